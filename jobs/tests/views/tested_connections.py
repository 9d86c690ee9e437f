"""Pressing “Test” on a connection's page, and what comes of it."""

from django.contrib.messages import get_messages

from jobs.tests.factories import STAND_IN
from jobs.tests.views.pages import plain_text, text_of

NO_JOB_URL = f"{STAND_IN}/crm/bulk/v7/write/100000000000000000"


def verdict_of(admin, connection):
    """What the test of a connection says: its level, and its text with what that leads to."""
    response = admin.post(f"/connections/{connection.pk}/test/")
    assert response["Location"] == f"/connections/{connection.pk}/"
    (message,) = get_messages(response.wsgi_request)
    page = plain_text(admin.get(response["Location"]))
    connection.refresh_from_db()
    assert "canary" not in page
    said = str(message)
    if said.endswith("see below."):
        said += text_of(page[page.index('<section class="card-box verdict-card') :])
    return message.level, said


def state(connection):
    return {
        name: getattr(connection, name)
        for name in ("blocked_at", "last_error", "waiting_for", "failures")
    }


WELL = {"blocked_at": None, "last_error": None, "waiting_for": "", "failures": 0}
