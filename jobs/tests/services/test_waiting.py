"""Why nothing is asked about a connection's jobs now, in words."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.services.observing import waiting
from jobs.tests.factories import make_connection, make_job

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("remaining", "is_org_short"), [(0, True), (None, False)])
def test_whose_credits_are_used_up_is_said(remaining, is_org_short):
    now = timezone.now()
    org = make_connection(
        waiting_for="credits",
        resume_at=now + timedelta(minutes=1),
        credits_remaining=remaining,
        credits_seen_at=now,
    )

    said = "The org has hardly any API credits left"
    assert (said in waiting.why_not(org, now)) == is_org_short
    assert (said in waiting.next_check(make_job(org), now).note) == is_org_short


def test_what_may_be_asked_has_no_reason():
    org, now = make_connection(), timezone.now()

    assert waiting.why_not(org, now) == waiting.why_not_in_a_word(org, now) == ""


def test_a_moment_names_its_zone():
    now = timezone.now()

    assert waiting.moment(now, now) == f"at {timezone.localtime(now):%H:%M:%S %Z}"
