"""Results of jobs: fetched, kept, analysed, read, handed out, deleted."""
