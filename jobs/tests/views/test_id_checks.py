"""The check of ids before they are registered, as people see it."""

import pytest
from django.utils import timezone

from jobs.models import BulkWriteJob, CheckedId, Connection, IdCheck
from jobs.services.limits import credits
from jobs.services.registering import id_checks, job_ids
from jobs.tests.factories import make_connection, make_job, make_user

pytestmark = pytest.mark.django_db
State = IdCheck.State
ONE, TWO, THREE = "111111000000541958", "111111000000541962", "111111000000541970"
FOUR = "111111000000541974"


@pytest.fixture
def alice(client):
    client.user = make_user("alice")
    client.force_login(client.user)
    return client


@pytest.fixture
def org() -> Connection:
    return make_connection(name="production", daily_credits=5_000)


def check_of(org: Connection, user, text: str, **fields) -> IdCheck:
    for_all = {"label": "", "tags": [], "alert_recipients": "", "skip_threshold_percent": None}
    check = id_checks.start(org, job_ids.read(text), for_all=for_all, user=user)
    for name, value in fields.items():
        setattr(check, name, value)
    check.save()
    return check


def says(check: IdCheck, job_id: str, answer: str, **fields) -> None:
    check.ids.filter(job_id=job_id, verdict="tracked").update(answer=answer, **fields)


def page_of(client, check: IdCheck, query: str = "", **headers) -> str:
    return client.get(f"/jobs/track/checks/{check.pk}/{query}", headers=headers).content.decode()


def ask_for(client, org: Connection, ids: str, **fields):
    given = {"ids": ids, "connection": org.pk, "check": "yes"} | fields
    return client.post("/jobs/track/", given)


class TestBeginning:
    def test_stores_the_check_with_what_holds_for_all_and_registers_nothing(self, alice, org):
        text = f"id,name\n{ONE},Leads\n{TWO},Deals\n{ONE},again\nnone,no job"
        response = ask_for(alice, org, text, label="Nightly", tags="a, b")

        check = IdCheck.objects.get()
        assert response.headers["Location"] == f"/jobs/track/checks/{check.pk}/"
        assert (check.user, check.connection, check.state) == (alice.user, org, State.RUNNING)
        assert check.options["for_all"] == {
            "label": "Nightly",
            "tags": ["a", "b"],
            "alert_recipients": "",
            "skip_threshold_percent": None,
        }
        assert check.options["labels"] == {ONE: "Leads", TWO: "Deals"}
        assert not BulkWriteJob.objects.exists()

    def test_the_form_says_what_it_costs(self, alice, org):
        credits.spend(org, 200)
        page = alice.get("/jobs/track/").content.decode()

        assert "one API credit an id" in page
        assert "Checks on production may use 2,300 more of its 5,000 credits a day" in page
        assert "half of which are kept for polling" in page

    def test_of_more_ids_than_credits_is_refused_with_what_to_do(self, alice, org):
        Connection.objects.update(daily_credits=1)
        page = ask_for(alice, org, f"{ONE}\n{TWO}").content.decode()

        assert "production may use 1 more within these 24 hours" in page
        assert f"{ONE}\n{TWO}" in page
        assert not IdCheck.objects.exists()

    @pytest.mark.parametrize(
        ("fields", "words"),
        [
            ({"paused": True}, "is paused"),
            ({"refresh_token": ""}, "Nobody has signed in"),
            ({"blocked_at": timezone.now(), "last_error": {"message": "Revoked."}}, "Revoked."),
        ],
    )
    def test_of_a_connection_that_cannot_be_asked_is_refused(self, alice, fields, words):
        page = ask_for(alice, make_connection(**fields), ONE).content.decode()

        assert "Zoho cannot be asked now." in page
        assert words in page
        assert not IdCheck.objects.exists()

    def test_without_the_button_ids_are_registered_at_once(self, alice, org):
        ask_for(alice, org, ONE, check="")
        alice.post("/jobs/track/", {"ids": TWO, "connection": org.pk})

        assert IdCheck.objects.count() == 1
        assert BulkWriteJob.objects.get().zoho_job_id == TWO


class TestPage:
    def test_while_zoho_is_asked_it_shows_how_far_that_is_and_follows_by_itself(self, alice, org):
        check = check_of(org, alice.user, f"{ONE}\n{TWO}\n{THREE}")
        says(check, ONE, "found", status="COMPLETED", modules="Leads", rows=100)
        page = page_of(alice, check)

        assert "Asking Zoho: 1 of 3 ids" in page
        assert "1 of 3 asked" in page
        assert "3 ids are 3 of 5,000 API credits a day" in page
        assert f'hx-get="/jobs/track/checks/{check.pk}/" hx-trigger="every 2s"' in page
        assert f'href="/jobs/track/checks/{check.pk}/">reload it</a>' in page
        assert 'id="check-register"' not in page
        assert "Not asked yet" in page

    def test_a_refresh_is_the_live_part_alone_with_the_filter_kept(self, alice, org):
        check = check_of(org, alice.user, f"{ONE}\n{TWO}")
        part = page_of(alice, check, "?show=found", **{"HX-Request": "true"})

        assert "<html" not in part
        assert f'hx-get="/jobs/track/checks/{check.pk}/?show=found"' in part

    def test_done_it_says_line_by_line_what_zoho_says_and_stops(self, alice, org):
        make_job(org, zoho_job_id=THREE, label="Old one")
        text = f"{ONE}\n{TWO}\n{THREE}\n{ONE}\nnonsense\n/crm/bulk/v7/read/404\n1.1E+17"
        check = check_of(org, alice.user, text, state=State.DONE)
        says(check, ONE, "found", status="IN PROGRESS", modules="Leads", rows=None)
        says(check, TWO, "unknown")
        page = page_of(alice, check)

        assert "Zoho knows 1 of 2 ids; 3 lines are no job ids" in page
        assert 'hx-get="/jobs/track' not in page
        assert "status IN PROGRESS" in page
        assert "Unknown to Zoho" in page
        assert "1 id is unknown to Zoho." in page
        assert "Already tracked" in page
        assert "as Old one" in page
        assert "Stands there twice" in page
        assert "No job id" in page
        assert "Bulkwatch watches Bulk Write jobs" in page
        assert "formatted as text" in page

    def test_the_lines_of_a_log_in_which_no_id_stands_are_one_note(self, alice, org):
        log = "\n".join(f"18:00:01 INFO read {number} rows" for number in range(300))
        check = check_of(org, alice.user, f"{log}\n{ONE}", state=State.DONE)
        says(check, ONE, "found")
        page = page_of(alice, check)

        assert "300 lines hold no id." in page
        assert "Zoho knows the id" in page
        assert page.count('data-label="Line"') == 1

    def test_what_zoho_may_mean_by_not_knowing_an_id_is_said(self, alice, org):
        check = check_of(org, alice.user, ONE, state=State.DONE)
        says(check, ONE, "unknown")
        page = page_of(alice, check)

        assert "Zoho knows none of the ids" in page
        assert "verdict-bad" in page
        for words in ("the id is wrong", "environment or data centre", "Bulk Read", "purged"):
            assert words in page

    def test_all_known_is_good_only_where_nothing_was_left_out(self, alice, org):
        good = check_of(org, alice.user, ONE, state=State.DONE)
        mixed = check_of(org, alice.user, f"{TWO}\nnonsense", state=State.DONE)
        CheckedId.objects.filter(answer="waiting").update(answer="found")

        assert "verdict-good" in page_of(alice, good)
        assert "verdict-warn" in page_of(alice, mixed)

    @pytest.mark.parametrize(
        ("error", "word"),
        [
            ({"http_status": 403, "code": "NO_PERMISSION", "message": "no"}, "Not allowed"),
            ({"http_status": 400, "code": "ODD", "message": "no"}, "Refused"),
            ({"http_status": 503, "code": None, "message": "no"}, "No answer"),
            ({"http_status": None, "code": None, "message": "no"}, "No answer"),
        ],
    )
    def test_what_failed_says_how(self, alice, org, error, word):
        check = check_of(org, alice.user, ONE, state=State.DONE)
        says(check, ONE, "no_answer", error=error)

        assert f"</svg>{word}</span>" in page_of(alice, check)

    def test_why_it_stopped_or_waits_is_said(self, alice, org):
        error = {"message": "It was revoked.", "code": "invalid_code", "resolution": "Sign in."}
        check = check_of(org, alice.user, ONE, state=State.STOPPED, error=error)
        page = page_of(alice, check)
        assert "Stopped after 0 of 1 ids" in page
        assert "It was revoked. <code>invalid_code</code> Sign in." in page
        assert "Go on asking" in page

        error = {"message": "Too many.", "code": None, "resolution": ""}
        IdCheck.objects.update(state=State.RUNNING, error=error, next_attempt_at=timezone.now())
        page = page_of(alice, check)
        assert "It waits and goes on" in page

    def test_hundreds_of_rows_come_in_pages_from_few_queries(
        self, alice, org, django_assert_max_num_queries
    ):
        text = "\n".join(str(10**17 + n) for n in range(450))
        check = check_of(org, alice.user, text)

        with django_assert_max_num_queries(18):
            page = page_of(alice, check, "?page=2")
        assert "of 450" in page
        assert "Page 2 of 5" in page
        assert page.count('scope="row"') == 100

        IdCheck.objects.update(state=State.STOPPED)
        id_checks.register(check, user=alice.user, with_unanswered=True)
        with django_assert_max_num_queries(20):
            page = page_of(alice, check, "?page=2")
        assert page.count('class="track-state"') == 100
        assert "Zoho is being asked about 450 of them" in page

    @pytest.mark.parametrize("query", ["?show=nonsense", "?page=x", "?page=999", "?show=unknown"])
    def test_an_odd_address_is_no_error(self, alice, org, query):
        assert "Asking Zoho" in page_of(alice, check_of(org, alice.user, ONE), query)

    def test_hostile_text_is_escaped(self, alice, org):
        evil = "<script>alert(1)</script>"
        check = check_of(org, alice.user, f"{evil}\n{ONE}", state=State.DONE)
        says(check, ONE, "found", status=evil, modules=evil)
        page = page_of(alice, check)

        assert "<script>alert" not in page
        assert page.count("&lt;script&gt;alert") == 3

    def test_others_do_not_see_it_and_staff_does(self, alice, org, client):
        check = check_of(org, make_user("bob"), ONE)
        address = f"/jobs/track/checks/{check.pk}/"

        refused = alice.get(address)
        assert refused.status_code == 403
        assert "This check of ids belongs to somebody else." in refused.content.decode()
        assert ONE not in refused.content.decode()
        for action in ("register", "stop", "go-on"):
            assert alice.post(f"{address}{action}/").status_code == 403
        assert alice.get("/jobs/track/checks/999999/").status_code == 404
        check.refresh_from_db()
        assert check.state == State.RUNNING
        client.force_login(make_user("root", is_staff=True))
        assert client.get(address).status_code == 200
        client.logout()
        assert client.get(address).status_code == 302


class TestPastingAnew:
    """What the form holds that "Paste anew" opens."""

    @pytest.fixture
    def check(self, alice, org) -> IdCheck:
        text = f"{ONE}\n{TWO}\n{THREE}\n11111100000O541962\n404\n/crm/bulk/v7/read/{FOUR}"
        options = {"label": "Nightly", "tags": ["a", "b"], "skip_threshold_percent": 5}
        check = check_of(org, alice.user, text, state=State.DONE)
        check.options["for_all"] |= options
        check.save()
        says(check, ONE, "found")
        says(check, TWO, "unknown")
        says(check, THREE, "no_answer")
        return check

    def form_of(self, client, check: IdCheck) -> dict[str, object]:
        page = page_of(client, check)
        address = f"/jobs/track/?check={check.pk}"
        assert f'href="{address}">Paste anew</a>' in page
        form = client.get(address).context["form"]
        return {name: form[name].value() for name in form.fields}

    def test_holds_what_is_not_registered_with_what_was_to_hold_for_all(self, alice, org, check):
        make_connection(name="another")
        alice.post(f"/jobs/track/checks/{check.pk}/register/")

        assert self.form_of(alice, check) == {
            "ids": f"{TWO}\n{THREE}\n11111100000O541962",
            "connection": org.pk,
            "label": "Nightly",
            "tags": "a, b",
            "alert_recipients": "",
            "skip_threshold_percent": 5,
        }

    def test_holds_all_ids_where_nothing_is_registered(self, alice, check):
        ids = f"{ONE}\n{TWO}\n{THREE}\n11111100000O541962"

        assert self.form_of(alice, check)["ids"] == ids

    def test_keeps_the_labels_that_the_paste_gave(self, alice, org):
        text = f'id,name\n{ONE},"Leads, all"\n{TWO},\nnone,no job'
        check = check_of(org, alice.user, text, state=State.DONE)

        paste = job_ids.read(self.form_of(alice, check)["ids"])

        told = [(entry.text, entry.label) for entry in paste.entries]
        assert told == [(ONE, "Leads, all"), (TWO, ""), ("none", "")]

    @pytest.mark.parametrize("asked", ["", "x", "-1", "999999", "9" * 30, "\u0661"])
    def test_of_no_check_the_form_is_empty(self, alice, org, asked):
        response = alice.get("/jobs/track/", {"check": asked})

        assert not response.context["form"]["ids"].value()

    def test_of_somebody_elses_check_the_form_is_empty(self, check, client):
        client.force_login(make_user("bob"))
        response = client.get(f"/jobs/track/?check={check.pk}")

        assert not response.context["form"]["ids"].value()


class TestActions:
    def test_registering_takes_what_zoho_knows_and_follows_it(self, alice, org):
        check = check_of(org, alice.user, f"{ONE}\n{TWO}\nnonsense", state=State.DONE)
        says(check, ONE, "found")
        says(check, TWO, "unknown")
        response = alice.post(f"/jobs/track/checks/{check.pk}/register/")
        page = page_of(alice, check)

        assert response.headers["Location"] == f"/jobs/track/checks/{check.pk}/"
        job = BulkWriteJob.objects.get()
        assert (job.zoho_job_id, job.tracked_by) == (ONE, alice.user)
        assert "1 job is registered. 2 lines were left out. Below it says why." in page
        address = f"/jobs/track/states/?jobs={job.pk}&amp;of={job.pk}-{job.pk}"
        assert f'hx-get="{address}"' in page
        assert f'id="state-{job.pk}"' in page
        assert job.get_absolute_url() in page
        assert 'id="check-register"' not in page
        assert "Unknown to Zoho" in page
        assert "is registered." not in page_of(alice, check)

    def test_registering_once_more_says_what_is_tracked_already(self, alice, org):
        make_job(org, zoho_job_id=THREE)
        check = check_of(org, alice.user, f"{ONE}\n{TWO}\n{THREE}", state=State.DONE)
        check.ids.filter(answer="waiting").update(answer="found")
        address = f"/jobs/track/checks/{check.pk}/register/"
        alice.post(address, follow=True)
        page = alice.post(address, follow=True).content.decode()

        assert "No new job was registered. 2 were tracked already." in page
        assert "left out" not in page
        assert page.count('class="track-state"') == 2

    def test_the_address_at_which_it_registers_leads_to_the_check(self, alice, org):
        check = check_of(org, alice.user, ONE, state=State.DONE)
        says(check, ONE, "found")
        response = alice.get(f"/jobs/track/checks/{check.pk}/register/")

        assert response.headers["Location"] == f"/jobs/track/checks/{check.pk}/"
        assert not BulkWriteJob.objects.exists()

    @pytest.mark.parametrize(("given", "ids"), [({}, {ONE}), ({"unanswered": "yes"}, {ONE, TWO})])
    def test_the_unanswered_are_taken_where_that_is_ticked(self, alice, org, given, ids):
        check = check_of(org, alice.user, f"{ONE}\n{TWO}", state=State.STOPPED)
        says(check, ONE, "found")
        assert "the 1 without an answer" in page_of(alice, check)

        alice.post(f"/jobs/track/checks/{check.pk}/register/", given)

        assert set(BulkWriteJob.objects.values_list("zoho_job_id", flat=True)) == ids

    def test_registering_while_zoho_is_asked_says_no(self, alice, org):
        check = check_of(org, alice.user, ONE)
        response = alice.post(f"/jobs/track/checks/{check.pk}/register/", follow=True)

        assert "Zoho is still being asked" in response.content.decode()
        assert not BulkWriteJob.objects.exists()

    def test_stopping_and_going_on(self, alice, org):
        check = check_of(org, alice.user, f"{ONE}\n{TWO}")
        says(check, ONE, "no_answer")

        page = alice.post(f"/jobs/track/checks/{check.pk}/stop/", follow=True).content.decode()
        assert "Stopped after 1 of 2 ids" in page
        page = alice.post(f"/jobs/track/checks/{check.pk}/go-on/", follow=True).content.decode()
        assert "Asking Zoho: 0 of 2 ids" in page

    def test_going_on_where_zoho_cannot_be_asked_says_why(self, alice, org):
        check = check_of(org, alice.user, ONE, state=State.STOPPED)
        Connection.objects.update(paused=True)
        page = alice.post(f"/jobs/track/checks/{check.pk}/go-on/", follow=True).content.decode()

        assert "is paused" in page
        assert "Stopped after 0 of 1 ids" in page

    @pytest.mark.parametrize("action", ["stop", "go-on"])
    def test_changes_are_posts(self, alice, org, action):
        check = check_of(org, alice.user, ONE)

        assert alice.get(f"/jobs/track/checks/{check.pk}/{action}/").status_code == 405
