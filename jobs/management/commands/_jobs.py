"""What the commands about jobs share: finding connections and jobs by what was typed."""

from django.core.management.base import CommandError

from jobs.models import BulkWriteJob, Connection


def get_connection(name: str) -> Connection:
    """The connection of this name; CommandError that lists the names there are."""
    connection = Connection.objects.filter(name=name).first()
    if connection is not None:
        return connection
    names = ", ".join(Connection.objects.values_list("name", flat=True))
    raise CommandError(
        f"There is no connection {name!r}. "
        + (f"There are: {names}." if names else "Add one with add_connection."),
        returncode=2,
    )


def get_job(job_id: str, connection_name: str | None) -> BulkWriteJob:
    """The tracked job of this id; CommandError where there is none, or one in several orgs."""
    jobs = BulkWriteJob.objects.select_related("connection").filter(zoho_job_id=job_id)
    if connection_name:
        jobs = jobs.filter(connection=get_connection(connection_name))
    found = list(jobs[:2])
    if not found:
        raise CommandError(
            f"Job {job_id} is not tracked. Register it with: track {job_id} --connection NAME"
        )
    if len(found) > 1:
        raise CommandError(
            f"Job {job_id} is tracked in several connections: say which with --connection.",
            returncode=2,
        )
    return found[0]
