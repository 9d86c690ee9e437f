"""What is stored, and the questions asked of it."""

from jobs.models.alert import Alert
from jobs.models.connection import Connection, SignIn, checked_addresses, split_addresses
from jobs.models.fields import EncryptedTextField, UndecryptableError
from jobs.models.history import JobEvent, Snapshot
from jobs.models.id_check import CheckedId, IdCheck
from jobs.models.job import BulkWriteJob, CountsMixin, FieldMapping, Outcome, Resource
from jobs.models.limits import CallSlot, CreditUse
from jobs.models.machine import Heartbeat, SharedToken
from jobs.models.result import OriginalFile, Result, ResultFile, SkipReason

__all__ = [
    "Alert",
    "BulkWriteJob",
    "CallSlot",
    "CheckedId",
    "Connection",
    "CountsMixin",
    "CreditUse",
    "EncryptedTextField",
    "FieldMapping",
    "Heartbeat",
    "IdCheck",
    "JobEvent",
    "OriginalFile",
    "Outcome",
    "Resource",
    "Result",
    "ResultFile",
    "SharedToken",
    "SignIn",
    "SkipReason",
    "Snapshot",
    "UndecryptableError",
    "checked_addresses",
    "split_addresses",
]
