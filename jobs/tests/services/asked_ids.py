"""Ids that Zoho is asked about before they are registered."""

from jobs.models import Connection, IdCheck
from jobs.services.registering import id_checks, job_ids
from jobs.tests.factories import STAND_IN, make_user, resource
from jobs.tests.stand_in import error_body

ONE, TWO, THREE = "111111000000541958", "111111000000541962", "111111000000541970"


def url(job_id: str) -> str:
    return f"{STAND_IN}/crm/bulk/v7/write/{job_id}"


def knows(zoho, *job_ids: str, **counts: int) -> None:
    for job_id in job_ids:
        details = {
            "id": job_id,
            "status": "COMPLETED",
            "operation": "insert",
            "created_time": "2026-11-24T10:00:00+01:00",
            "resource": [resource(module="Leads", **counts), resource(module="Deals", **counts)],
        }
        zoho.mock.get(url(job_id), json=details)


def knows_not(zoho, *job_ids: str) -> None:
    for job_id in job_ids:
        zoho.mock.get(url(job_id), json=error_body("RESOURCE_NOT_FOUND"), status=404)


def begin(org: Connection, text: str, **for_all) -> IdCheck:
    given = {"label": "", "tags": [], "alert_recipients": "", "skip_threshold_percent": None}
    user = make_user(f"user-{IdCheck.objects.count()}")
    return id_checks.start(org, job_ids.read(text), for_all=given | for_all, user=user)


def work(check: IdCheck) -> IdCheck:
    """Do what workers do while there is something to do at once."""
    while (claimed := id_checks.claim_due()) is not None:
        assert claimed == check
        if not id_checks.work_on(claimed):
            break
    check.refresh_from_db()
    return check


def told(check: IdCheck) -> dict[str, str]:
    return dict(check.ids.values_list("job_id", "answer"))


def asked(zoho) -> list[str]:
    return [str(request.url).rpartition("/")[2] for request in zoho.asked(f"{STAND_IN}/crm")]
