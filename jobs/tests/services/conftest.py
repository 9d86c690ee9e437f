from jobs.tests.services.attached import empty_storage, result
from jobs.tests.stand_in import zoho

__all__ = ["empty_storage", "result", "zoho"]
