"""Pieces of pastes, and what is read out of a paste."""

from jobs.services.registering import job_ids
from jobs.services.registering.job_ids import Verdict

ONE, TWO, THREE = "111111000000541958", "111111000000541962", "111111000000541970"
FILE = "111111000000535001"
ORG = "111111000000012345"
CREATOR = "111111000000035795"
CREATED = {
    "status": "success",
    "code": "ADDED",
    "message": "Bulk write job created successfully",
    "details": {"id": ONE, "created_by": {"id": CREATOR, "name": "Patricia Boyle "}},
}
CREATED_TWO = CREATED | {"details": CREATED["details"] | {"id": TWO}}
READ_DETAILS = {"data": [{"id": TWO, "operation": "read", "state": "QUEUED", "query": {"page": 1}}]}
CURL = (
    f'curl "https://www.zohoapis.com/crm/bulk/v7/write/{ONE}" -X GET '
    '-H "Authorization: Zoho-oauthtoken 1000.8cb99d0123456789abcd.9b8f0123456789abcdef"'
)


def ids(text: str) -> list[str]:
    """The ids that would be registered."""
    return [
        entry.job_id for entry in job_ids.read(text).entries if entry.verdict == Verdict.TRACKED
    ]


def told(text: str) -> list[tuple[int, str, str]]:
    """(line, verdict, id) of all pieces."""
    entries = job_ids.read(text).entries
    return [(entry.line, entry.verdict.value, entry.job_id) for entry in entries]
