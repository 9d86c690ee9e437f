from jobs.tests.stand_in import zoho

__all__ = ["zoho"]
