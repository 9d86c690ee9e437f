"""The sample org of `up --demo`: a connection to the sandbox, and its sample imports."""

import requests
from django.contrib.auth.models import User

from jobs.models import Connection
from jobs.services.connections import connecting
from jobs.services.registering import tracking
from jobs.services.registering.tracking import Entry, Verdict

SAMPLE_NAME = "sample-org"
SAMPLE_RECIPIENT = "crm-admin@sample.example"


def load_sample_org(sandbox_url: str, *, user: User | None = None) -> Connection:
    """Register the sandbox's sample jobs under a connection of their own; safe to repeat.

    Raises requests.RequestException where no sandbox answers at the address.
    """
    answer = requests.get(f"{sandbox_url}/__sandbox__/samples", timeout=10)
    answer.raise_for_status()
    samples = answer.json()
    credentials = samples["connection"]
    connection = Connection.objects.filter(name=SAMPLE_NAME).first() or Connection(
        name=SAMPLE_NAME,
        alert_recipients=SAMPLE_RECIPIENT,
        edition=Connection.Edition.ENTERPRISE,
        paid_users=25,
        # Short, so that the sample's stuck job shows within minutes.
        stuck_after_minutes=1,
    )
    connection.is_sample = True
    connection.data_center = Connection.DataCenter.CUSTOM
    connection.api_url = connection.accounts_url = sandbox_url
    connection.download_url = ""
    connection.client_id = credentials["client_id"]
    connection.client_secret = credentials["client_secret"]
    connection.refresh_token = credentials["refresh_token"]
    connecting.save(connection)
    for sample in samples["jobs"]:
        entry = Entry(1, sample["job_id"], Verdict.TRACKED, sample["job_id"])
        tracking.track(
            connection,
            [entry],
            label=sample.get("label", ""),
            tags=sample.get("tags", []),
            user=user,
        )
    return connection
