"""What is kept of credits and shared tokens, and what a clock that was ahead leaves of them."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from jobs.models import CreditUse, SharedToken
from jobs.services.connections import access
from jobs.services.limits import credits, forecast, tidying
from jobs.tests.factories import make_connection, make_proven
from jobs.tests.stand_in import TOKEN_URL
from jobs.zoho.errors import TokensThrottledError
from jobs.zoho.oauth import MOST_IN_WINDOW

pytestmark = pytest.mark.django_db
MORNING = datetime(2026, 11, 25, 8, 20, tzinfo=UTC)


@pytest.fixture(autouse=True)
def morning():
    with time_machine.travel(MORNING, tick=False):
        yield


def ahead(days: float):
    return time_machine.travel(MORNING + timedelta(days=days), tick=False)


class TestCreditsOfAClockThatWasAhead:
    def test_are_not_counted(self):
        org = make_proven(daily_credits=100)
        with ahead(days=400):
            credits.spend(org, 100)
        credits.spend(org, 3)

        stands = credits.credits_of(org, MORNING)

        assert (stands.used, stands.left) == (3, 97)
        assert forecast.use_of([org], MORNING) == {org.pk: {MORNING.replace(minute=0): 3}}

    def test_put_no_end_to_a_wait_for_credits(self):
        org = make_proven(daily_credits=100)
        with ahead(days=400):
            credits.spend(org, 1_000)
        credits.spend(org, 100)

        at = credits.free_again_at(org, credits.credits_of(org, MORNING), MORNING)

        assert at == MORNING.replace(minute=0) + timedelta(hours=25)

    def test_count_where_another_machine_is_in_the_next_hour_already(self):
        org = make_proven(daily_credits=100)
        with ahead(days=41 / 24 / 60):
            credits.spend(org, 100)
        tidying.tidy_up(MORNING)

        assert credits.credits_of(org, MORNING).left == 0

    def test_go_when_things_are_tidied_up(self):
        org = make_proven()
        with ahead(days=400):
            credits.spend(org, 100)
        credits.spend(org, 3)

        tidying.tidy_up(MORNING)

        assert CreditUse.objects.get().calls == 3


class TestSharedTokens:
    def test_go_some_time_after_they_have_ended_those_of_former_sign_ins_too(self, zoho):
        zoho.gives_tokens("one", "two")
        org = make_connection()
        access.open_tokens(org).get()
        with time_machine.travel(MORNING + timedelta(days=1), tick=False):
            org.refresh_token = "of-another-sign-in"
            access.open_tokens(org).get()
            kept = set(SharedToken.objects.filter(expires_at__gt=timezone.now()))

            tidying.tidy_up(timezone.now())

            assert set(SharedToken.objects.all()) == kept
            assert {row.key.rpartition(":")[2] for row in kept} == {"token", "asked-0"}

    def test_are_asked_for_no_more_often_because_things_were_tidied_up(self, zoho):
        zoho.gives_tokens("one")
        tokens = access.open_tokens(make_connection())
        for number in range(MOST_IN_WINDOW):
            tokens.renew(f"not {number}")
            SharedToken.objects.filter(key__endswith=":token").delete()

        with time_machine.travel(MORNING + timedelta(minutes=9), tick=False):
            tidying.tidy_up(timezone.now())
            with pytest.raises(TokensThrottledError):
                tokens.renew("one")
        assert len(zoho.asked(TOKEN_URL)) == MOST_IN_WINDOW

    def test_that_zoho_refuses_for_now_are_not_asked_for_before_their_time(self, zoho):
        zoho.mock.post(TOKEN_URL, status=400, json={"error": "Access Denied"})
        tokens = access.open_tokens(make_connection())
        with pytest.raises(TokensThrottledError):
            tokens.get()

        with time_machine.travel(MORNING + timedelta(minutes=9), tick=False):
            tidying.tidy_up(timezone.now())
            with pytest.raises(TokensThrottledError):
                tokens.get()
        assert len(zoho.asked(TOKEN_URL)) == 1
