"""What people see when the monitor is blind: banners, the age of the data, a page without any."""

import html
import re
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection as database
from django.db.utils import InterfaceError, OperationalError
from django.utils import timezone

from jobs.models import Connection, Heartbeat
from jobs.services.health import broker, starting
from jobs.tests.factories import make_connection, make_job, make_user
from jobs.tests.views.pages import text_of

HTMX = {"HX-Request": "true"}
PAGES = ["/", "/jobs/", "/jobs/track/", "/alerts/", "/connections/", "/accounts/password/"]


@pytest.fixture
def alice(client, db):
    client.force_login(make_user("alice", is_staff=True))
    return client


@pytest.fixture
def connection(db, embedded_broker, monkeypatch):
    """A connection that works, watched by all parts."""
    # What pages of other tests heard of the broker is remembered for some seconds.
    monkeypatch.setattr(broker, "_last_known", broker._LastKnown())
    for part in (Heartbeat.WORKER, Heartbeat.BEAT, Heartbeat.LOOKOUT):
        Heartbeat.note(part, timezone.now())
    made = make_connection(name="production", last_answer_at=timezone.now())
    make_job(made, next_poll_at=timezone.now() + timedelta(minutes=1))
    return made


def page_of(client, address="/alerts/", **headers):
    return client.get(address, headers=headers).content.decode()


def kill_worker():
    Heartbeat.note(Heartbeat.WORKER, timezone.now() - timedelta(minutes=5))


def asks_at(page):
    """The address at which a page asks for what is new."""
    found = re.search(r'id="data-age" hx-get="(/banners/\?shown=[0-9a-f-]+[^"]*)"', page)[1]
    return html.unescape(found)


@pytest.mark.parametrize("address", PAGES)
class TestEveryPage:
    def test_says_that_the_monitor_is_blind(self, alice, connection, address):
        assert "banner-worker" not in page_of(alice, address)

        kill_worker()
        page = page_of(alice, address)
        assert "<strong>The worker is not running.</strong>" in page
        assert page.index("banner-worker") < page.index("<h1")

    def test_says_how_old_its_data_is(self, alice, connection, address):
        assert "Zoho answered <time" in page_of(alice, address)

        connection.jobs.update(next_poll_at=timezone.now() - timedelta(minutes=10))
        page = page_of(alice, address)
        assert re.search(
            r"<strong>Out of date:</strong> <span[^>]*>Zoho answered</span> <time", page
        )

    def test_asks_for_what_is_new_within_half_a_minute(self, alice, connection, address):
        page = page_of(alice, address)

        assert asks_at(page)
        assert 'hx-trigger="every 25s"' in page


def test_the_first_minute_of_the_web_server_is_no_alarm(alice, connection, monkeypatch):
    Heartbeat.objects.all().delete()
    monkeypatch.setattr(starting, "_begun_at", time.monotonic())

    page = page_of(alice)
    assert "<strong>Bulkwatch is starting.</strong>" in page
    assert set(re.findall(r'id="banner-([a-z-]+)"', page)) == {"starting"}
    assert alice.get("/readyz").status_code == 503

    monkeypatch.setattr(starting, "_begun_at", time.monotonic() - 61)
    assert "was not seen yet" in page_of(alice)


def test_the_web_server_knows_when_it_was_started():
    code = (
        "import config.supervisor.web\n"
        "from jobs.services.health import starting\n"
        "raise SystemExit(not starting.is_going_on())"
    )
    assert not starting.is_going_on()
    subprocess.run([sys.executable, "-c", code], cwd=settings.BASE_DIR, check=True)


def test_nothing_watched_is_said_so(alice, connection):
    connection.paused = True
    connection.save()

    page = page_of(alice)

    assert "Nothing is being watched" in page
    assert "Zoho answered" not in page


def test_no_answer_yet_is_said_so(alice, connection):
    Connection.objects.update(last_answer_at=None)

    assert "Zoho has not answered yet" in page_of(alice)


class TestOneOfTwoConnectionsIsBehind:
    @pytest.fixture
    def behind(self, connection):
        made = make_connection(name="neworg2", refresh_token="", last_answer_at=None)
        make_job(made, next_poll_at=timezone.now())
        return made

    def age_on(self, page):
        return text_of(re.search(r'<p class="data-age.*?</p>', page, re.DOTALL)[0])

    @pytest.mark.parametrize("address", PAGES)
    def test_it_is_named_and_the_other_is_said_to_be_answered(self, alice, behind, address):
        age = self.age_on(page_of(alice, address))

        assert age == "Out of date: neworg2 (no answer yet) ; the others answered now"

    @pytest.mark.parametrize("headers", [{}, HTMX], ids=["page", "refresh"])
    def test_pages_about_one_have_the_age_of_that_one(self, alice, connection, behind, headers):
        for one, age in ((connection, "Zoho answered now"), (behind, "Out of date: no answer yet")):
            addresses = (f"/connections/{one.pk}/", f"/jobs/{one.jobs.get().pk}/")
            for address in addresses:
                assert self.age_on(page_of(alice, address, **headers)) == age

    def test_they_ask_for_what_is_new_about_that_one(self, alice, connection, behind):
        address = asks_at(page_of(alice, f"/connections/{connection.pk}/"))
        assert alice.get(address, headers=HTMX).status_code == 204

        connection.jobs.update(next_poll_at=timezone.now() - timedelta(minutes=10))
        answer = alice.get(address, headers=HTMX).content.decode()
        assert self.age_on(answer) == "Out of date: Zoho answered now"
        assert alice.get(asks_at(answer), headers=HTMX).status_code == 204


class TestTheBannerOfAConnection:
    @pytest.fixture
    def blocked(self, connection):
        made = make_connection(
            name="neworg2",
            blocked_at=timezone.now(),
            last_error={"code": "invalid_code", "message": "Revoked.", "resolution": "Sign in."},
        )
        make_job(made, next_poll_at=timezone.now())
        return made

    def test_is_left_out_where_the_page_says_the_same(self, alice, connection, blocked):
        kill_worker()
        own = page_of(alice, f"/connections/{blocked.pk}/")

        assert "Revoked." in own
        for page in (own, page_of(alice, f"/connections/{blocked.pk}/", **HTMX)):
            assert set(re.findall(r'id="banner-([a-z0-9-]+)"', page)) == {"worker"}
        for address in (f"/jobs/{blocked.jobs.get().pk}/", f"/connections/{connection.pk}/"):
            page = page_of(alice, address)
            assert f'id="banner-connection-{blocked.pk}-blocked"' in page

    def test_does_not_come_while_that_page_is_open(self, alice, blocked):
        address = asks_at(page_of(alice, f"/connections/{blocked.pk}/"))
        assert alice.get(address, headers=HTMX).status_code == 204

        kill_worker()
        answer = alice.get(address, headers=HTMX).content.decode()
        assert 'id="banner-worker"' in answer
        assert f"banner-connection-{blocked.pk}" not in answer

    def test_says_the_time_since_when_it_is_so(self, alice, blocked):
        at = timezone.now().replace(hour=0, minute=3, second=20) - timedelta(days=1)
        Connection.objects.filter(pk=blocked.pk).update(blocked_at=at)
        said = f"Since {at.day} {at:%b}, 00:03:20."

        for address in ("/", f"/connections/{blocked.pk}/"):
            assert said in re.sub(r"<[^>]+>", "", page_of(alice, address))


def test_signed_out_visitors_are_told_nothing(client, connection):
    kill_worker()

    page = page_of(client, "/accounts/login/")

    assert "data-age" not in page
    assert "banner" not in page


@pytest.mark.parametrize("address", ["/", "/jobs/", "/alerts/"])
def test_a_live_refresh_brings_banners_and_age_along(alice, connection, address):
    page = page_of(alice, address, **HTMX)

    assert page.count('id="banners"') == page.count('id="data-age"') == 1
    assert re.search(r'id="banners"[^>]* hx-swap-oob="true"', page)
    assert re.search(r'id="data-age"[^>]* hx-swap-oob="true"', page)


class TestAsking:
    def ask(self, client, page):
        return client.get(asks_at(page), headers=HTMX)

    def test_nothing_new_is_204(self, alice, connection):
        assert self.ask(alice, page_of(alice)).status_code == 204

    def test_a_new_age_brings_the_age_alone(self, alice, connection):
        page = page_of(alice)
        Connection.objects.update(last_answer_at=timezone.now() + timedelta(seconds=5))

        answer = self.ask(alice, page).content.decode()

        assert 'id="data-age"' in answer
        assert "hx-swap-oob" not in answer
        assert 'id="banners"' not in answer
        assert self.ask(alice, answer).status_code == 204

    def test_a_new_banner_comes_with_it(self, alice, connection):
        page = page_of(alice)
        kill_worker()

        answer = self.ask(alice, page).content.decode()

        assert "The worker is not running." in answer
        assert re.search(r'id="banners"[^>]* hx-swap-oob="true"', answer)
        assert answer.count('id="data-age"') == 1
        assert 'hx-trigger="every 10s"' in answer
        assert self.ask(alice, answer).status_code == 204

    def test_what_is_over_goes(self, alice, connection):
        kill_worker()
        page = page_of(alice)
        Heartbeat.note(Heartbeat.WORKER, timezone.now())

        answer = self.ask(alice, page).content.decode()

        assert 'id="banners"' in answer
        assert "The worker is not running." not in answer

    def test_it_costs_four_queries(self, alice, connection, django_assert_num_queries):
        page = page_of(alice)
        kill_worker()

        with django_assert_num_queries(4):  # session, user; heartbeats, connections
            self.ask(alice, page)

    def test_who_is_signed_out_is_not_sent_away_from_a_form(self, client, connection):
        answer = client.get("/banners/?shown=x", headers=HTMX)

        assert answer.status_code == 403
        assert answer.content == b""

    @pytest.mark.parametrize("shown", ["", "x", "-", "\x00", "a" * 5000])
    def test_nonsense_brings_all(self, alice, connection, shown):
        answer = alice.get("/banners/", {"shown": shown}, headers=HTMX)

        assert answer.status_code == 200
        assert 'id="banners"' in answer.content.decode()


def test_what_a_banner_says_is_escaped(alice, connection):
    kill_worker()
    Connection.objects.update(
        blocked_at=timezone.now(),
        last_error={"message": "<script>alert(1)</script>", "resolution": "<b>"},
    )

    page = page_of(alice)

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


class TestDeadDatabase:
    @pytest.fixture(autouse=True)
    def show_errors(self, alice):
        alice.raise_request_exception = False

    def dead(self, kind=OperationalError):
        def refuse(execute, *args):
            raise kind("could not connect to server at 10.0.0.7, password geheim")

        return database.execute_wrapper(refuse)

    @pytest.mark.parametrize("address", [*PAGES, "/jobs/1/", "/no/such/page/"])
    @pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
    def test_pages_say_so_with_503_and_name_nothing(self, alice, address, kind):
        with self.dead(kind):
            answer = alice.get(address)

        page = answer.content.decode()
        assert answer.status_code == 503
        assert answer["Retry-After"] == "10"
        assert "The database does not answer" in page
        assert f'href="{address}"' in page
        assert "geheim" not in page
        assert "10.0.0.7" not in page

    def test_a_form_that_was_sent_leads_to_a_page(self, alice):
        with self.dead():
            answer = alice.post("/jobs/refresh/", {"job": 1})

        assert answer.status_code == 503
        assert 'href="/"' in answer.content.decode()

    def test_refreshes_get_503_which_changes_nothing_on_the_page(self, alice):
        with self.dead():
            assert alice.get("/", headers=HTMX).status_code == 503
            assert alice.get("/banners/", headers=HTMX).status_code == 503

    def test_what_is_no_fault_of_the_database_stays_500(self, alice, monkeypatch):
        def fail(*args):
            raise RuntimeError("ours")

        monkeypatch.setattr(Connection, "is_signed_in", property(fail))
        make_connection()

        answer = alice.get("/alerts/")

        assert answer.status_code == 500
        assert "Something broke here" in answer.content.decode()

    def test_it_is_over_when_the_database_is_back(self, alice):
        with self.dead():
            alice.get("/")

        assert alice.get("/").status_code == 200
