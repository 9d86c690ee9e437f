"""The questions that QuerySets answer, and what rows say of themselves."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db import connection as database
from django.db.models import ProtectedError
from django.utils import timezone

from jobs.models import (
    Alert,
    BulkWriteJob,
    Connection,
    Heartbeat,
    JobEvent,
    Outcome,
    Resource,
    Result,
    checked_addresses,
    split_addresses,
)
from jobs.models.fields import EncryptedTextField
from jobs.tests.factories import body, completed, make_connection, make_job, observe, resource

pytestmark = pytest.mark.django_db
PollState = BulkWriteJob.PollState
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class TestJobs:
    def test_due_are_active_ones_whose_time_has_come_the_oldest_first(self):
        org = make_connection()
        late, later = (
            make_job(org, next_poll_at=NOON - timedelta(minutes=minutes)) for minutes in (1, 5)
        )
        make_job(org, next_poll_at=NOON + timedelta(seconds=1))
        make_job(org, next_poll_at=None)
        make_job(org, next_poll_at=NOON, lease_until=NOON + timedelta(seconds=1))
        for state in (PollState.DONE, PollState.PAUSED, PollState.BLOCKED):
            make_job(org, next_poll_at=NOON, poll_state=state)
        freed = make_job(org, next_poll_at=NOON, lease_until=NOON)

        assert list(BulkWriteJob.objects.due(NOON)) == [later, late, freed]

    def test_due_are_answered_from_an_index(self):
        # Of an empty table, a planner may take any index.
        connection = make_connection()
        BulkWriteJob.objects.bulk_create(
            BulkWriteJob(
                connection=connection,
                zoho_job_id=str(number),
                tracked_at=NOON,
                created_time=NOON - timedelta(minutes=number),
                poll_state=PollState.DONE if number % 50 else PollState.ACTIVE,
                next_poll_at=None if number % 50 else NOON + timedelta(seconds=number),
            )
            for number in range(3000)
        )
        with database.cursor() as cursor:
            cursor.execute("ANALYZE")
        due = BulkWriteJob.objects.filter(connection=connection).due(NOON).values_list("pk")
        plan = due[:500].explain()

        assert "job_due" in plan
        assert "TEMP B-TREE" not in plan

    def test_live_are_active_ones_whose_connections_are_polled(self):
        live = make_job()
        make_job(poll_state=PollState.DONE)
        make_job(make_connection(paused=True))
        make_job(make_connection(blocked_at=NOON))

        assert list(BulkWriteJob.objects.live()) == [live]
        assert [job.is_live for job in BulkWriteJob.objects.order_by("pk")] == [
            True,
            False,
            False,
            False,
        ]

    @pytest.mark.parametrize(
        ("text", "is_found"),
        [
            ("", True),
            ("q4", True),
            ("Q4 LEADS", True),
            ("erp 541958", True),
            ("patricia", True),
            ("deals.csv upsert", True),
            ("q4 nothing", False),
            ("100%", True),
            ("100_", False),
        ],
    )
    def test_searched_hold_each_word_somewhere_and_know_no_wildcards(self, text, is_found):
        make_job(
            zoho_job_id="111111000000541958",
            label="Q4 leads 100%",
            tags=["erp"],
            created_by_name="Patricia Boyle",
            file_names="Deals.csv",
            operation="upsert",
        )

        assert BulkWriteJob.objects.searched(text).exists() is is_found

    def test_ended_between_takes_whole_days_by_the_installations_clock(self, settings):
        settings.TIME_ZONE = "Pacific/Auckland"  # thirteen hours ahead in November
        timezone.deactivate()
        make_job(ended_at=datetime(2026, 11, 24, 10, 59, tzinfo=UTC))
        make_job(ended_at=datetime(2026, 11, 24, 11, 0, tzinfo=UTC))
        make_job(ended_at=None)
        jobs = BulkWriteJob.objects

        assert jobs.ended_between(date(2026, 11, 24), date(2026, 11, 24)).count() == 1
        assert jobs.ended_between(date(2026, 11, 25), None).count() == 1
        assert jobs.ended_between(None, None).count() == 2
        assert jobs.ended_between(date.min, date.max).count() == 2

    def test_of_a_module_come_once_however_many_parts_have_it(self):
        job = make_job()
        observe(job, body(job, "INPROGRESS", *[resource("INPROGRESS", module="Deals")] * 3))
        make_job()

        assert list(BulkWriteJob.objects.of_module("Deals")) == [job]

    def test_are_counted_by_outcome_those_without_any_included(self):
        make_job(outcome=Outcome.FAILED)

        counts = BulkWriteJob.objects.outcome_counts()
        assert counts.keys() == set(Outcome.values)
        assert (counts["failed"], counts["imported"]) == (1, 0)

    def test_rows_per_day_take_an_absent_count_for_none(self):
        make_job(ended_at=NOON, added_count=5)
        make_job(ended_at=NOON, skipped_count=2)
        make_job(ended_at=NOON - timedelta(days=9), added_count=99)

        [day] = BulkWriteJob.objects.rows_per_day(NOON - timedelta(days=7))
        assert day == {"day": NOON.date(), "added": 5, "updated": 0, "skipped": 2}

    def test_skips_by_module_are_of_ended_jobs_with_rows(self):
        for skipped in (3, 4):
            job = make_job()
            observe(job, completed(job, added=1, updated=0, skipped=skipped, total=10))
        empty = make_job()
        observe(empty, completed(empty, added=0, updated=0, skipped=0, total=0))

        found = Resource.objects.skips_by_module(timezone.now() - timedelta(days=1))
        assert found == [{"module": "Leads", "skipped": 7, "total": 20}]

    def test_an_id_is_one_job_in_a_connection(self):
        job = make_job()

        with pytest.raises(IntegrityError), transaction.atomic():
            make_job(job.connection, zoho_job_id=job.zoho_job_id)

    def test_are_kept_from_being_lost_with_their_connection(self):
        with pytest.raises(ProtectedError):
            make_job().connection.delete()

    @pytest.mark.parametrize(
        ("fields", "title"),
        [
            ({"label": "Q4", "file_names": "a.csv"}, "Q4"),
            ({"file_names": "a.csv", "modules": "Deals"}, "a.csv"),
            ({"modules": "Deals"}, "Deals"),
            ({"zoho_job_id": "7"}, "Job 7"),
        ],
    )
    def test_are_called_what_a_person_would_call_them(self, fields, title):
        assert make_job(**fields).title == title


class TestConnections:
    @pytest.mark.parametrize(
        ("fields", "may"),
        [
            ({}, True),
            ({"paused": True}, False),
            ({"blocked_at": NOON, "resume_at": NOON + timedelta(minutes=30)}, False),
            ({"blocked_at": NOON, "resume_at": NOON}, True),
            ({"refresh_token": ""}, False),
            ({"resume_at": NOON + timedelta(seconds=1)}, False),
            ({"resume_at": NOON}, True),
        ],
    )
    def test_may_be_polled(self, fields, may):
        make_connection(**fields)

        assert Connection.objects.pollable(NOON).exists() is may

    @pytest.mark.parametrize(
        ("text", "addresses"),
        [
            ("", []),
            (" \n;,", []),
            ("a@x.org", ["a@x.org"]),
            ("a@x.org, b@x.org;c@x.org\r\nd@x.org", ["a@x.org", "b@x.org", "c@x.org", "d@x.org"]),
        ],
    )
    def test_addresses_are_parted_by_commas_semicolons_or_blanks(self, text, addresses):
        assert split_addresses(text) == addresses

    def test_addresses_are_taken_once_each_and_all_that_are_none_are_named(self):
        assert checked_addresses("b@x.org, a@x.org\nb@x.org") == ["b@x.org", "a@x.org"]
        with pytest.raises(ValidationError) as refused:
            checked_addresses(f"a@x.org @nowhere, {'x' * 200}")
        assert refused.value.messages == [
            "“@nowhere” is no mail address.",
            f"“{'x' * 100}” is no mail address.",
        ]


class TestEvents:
    def test_are_noted_as_of_now_with_as_much_of_their_text_as_is_kept(self):
        job = make_job()

        JobEvent.objects.note(job.pk, JobEvent.Kind.RESULT, "ä" * 501)
        JobEvent.objects.note(job.pk, JobEvent.Kind.PINNED, at=NOON)

        pinned, result = job.events.all()
        assert (pinned.at, pinned.text, pinned.actor) == (NOON, "", None)
        assert result.text == "ä" * 500
        assert timezone.now() - result.at < timedelta(minutes=1)


class TestSecrets:
    def test_need_no_migration_of_their_own_making(self):
        _, path, args, kwargs = EncryptedTextField(blank=True).deconstruct()

        assert (path, args, kwargs) == (
            "jobs.models.fields.EncryptedTextField",
            [],
            {"blank": True},
        )

    def test_that_are_empty_are_stored_empty(self):
        make_connection(client_secret="")

        with database.cursor() as cursor:
            cursor.execute("SELECT client_secret FROM jobs_connection")
            assert cursor.fetchone() == ("",)

    @pytest.mark.parametrize("secret", ["x", "ü€𝄞", "x" * 10_000, " blanks kept "])
    def test_come_back_as_they_were(self, secret):
        make_connection(client_secret=secret)

        assert Connection.objects.get().client_secret == secret

    def test_look_different_each_time(self):
        for _ in range(2):
            make_connection()

        with database.cursor() as cursor:
            cursor.execute("SELECT client_secret FROM jobs_connection")
            assert len(set(cursor.fetchall())) == 2


class TestTheRest:
    def test_alerts_are_due_in_the_order_in_which_they_were_written(self):
        org = make_connection()
        fields = {"connection": org, "kind": Alert.Kind.STUCK, "created_at": NOON}
        second = Alert.objects.create(about="a", next_attempt_at=NOON, **fields)
        third = Alert.objects.create(
            about="b", next_attempt_at=NOON - timedelta(hours=1), lease_until=NOON, **fields
        )
        Alert.objects.create(about="c", next_attempt_at=NOON + timedelta(seconds=1), **fields)
        Alert.objects.create(about="d", next_attempt_at=NOON, state=Alert.State.SENT, **fields)
        Alert.objects.create(
            about="e", next_attempt_at=NOON, lease_until=NOON + timedelta(seconds=1), **fields
        )

        assert list(Alert.objects.due(NOON)) == [second, third]

    def test_a_results_file_is_kept_where_no_name_of_zohos_has_a_say(self):
        job = make_job(zoho_job_id="111111000000541958")
        result = Result(job=job)

        name = result.archive.field.generate_filename(result, "../../etc/passwd")
        folder = f"results/{job.connection_id}/958"
        assert re.fullmatch(rf"{folder}/111111000000541958-[0-9a-f]{{12}}\.zip", name)

    def test_a_heartbeat_is_one_row_per_part(self):
        for minutes in (0, 1):
            Heartbeat.note(Heartbeat.BEAT, NOON + timedelta(minutes=minutes))

        assert Heartbeat.objects.get().seen_at == NOON + timedelta(minutes=1)
