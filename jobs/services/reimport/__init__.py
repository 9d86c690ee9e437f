"""The re-import file: the left-out rows of an upload, found and given back as they were."""
