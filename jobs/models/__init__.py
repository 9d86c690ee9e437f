"""What is stored, and the questions asked of it."""

from jobs.models.alert import Alert
from jobs.models.connection import Connection, split_addresses
from jobs.models.fields import EncryptedTextField, UndecryptableError
from jobs.models.history import JobEvent, Snapshot
from jobs.models.job import BulkWriteJob, CountsMixin, FieldMapping, Outcome, Resource
from jobs.models.machine import Heartbeat, SharedToken
from jobs.models.result import OriginalFile, Result, ResultFile, SkipReason

__all__ = [
    "Alert",
    "BulkWriteJob",
    "Connection",
    "CountsMixin",
    "EncryptedTextField",
    "FieldMapping",
    "Heartbeat",
    "JobEvent",
    "OriginalFile",
    "Outcome",
    "Resource",
    "Result",
    "ResultFile",
    "SharedToken",
    "SkipReason",
    "Snapshot",
    "UndecryptableError",
    "split_addresses",
]
