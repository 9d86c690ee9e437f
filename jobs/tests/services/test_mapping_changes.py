"""What differs between a mapping and that of the module's job before it."""

from copy import deepcopy
from datetime import UTC, datetime

import pytest

from jobs.models import BulkWriteJob, FieldMapping, Resource
from jobs.services import mapping_changes
from jobs.tests.factories import make_connection, make_job

A_DAY = datetime(2026, 11, 20, 9, tzinfo=UTC)


def at(day):
    return A_DAY.replace(day=day)


def add_resource(job, module="Deals", position=0, *, mapped=True):
    resource = Resource.objects.create(job=job, module=module, position=position)
    if mapped:
        FieldMapping.objects.create(resource=resource, position=0, api_name="Stage", index=2)
    return resource


@pytest.fixture
def connection(db):
    return make_connection()


@pytest.fixture
def job(connection):
    return make_job(connection, created_time=at(20))


def before(job):
    found = mapping_changes.previous(list(job.resources.all()))
    return {job.resources.get(pk=pk).module: resource for pk, resource in found.items()}


def test_the_latest_job_before_it_is_found_by_zohos_time(connection, job):
    add_resource(job)
    # Registered later, but created earlier.
    latest, older, newer = (make_job(connection, created_time=at(day)) for day in (19, 3, 21))
    for other in (latest, older, newer):
        add_resource(other)

    assert before(job)["Deals"].job == latest


def test_jobs_of_one_moment_and_those_without_a_time_come_as_they_were_registered(connection):
    first, second = (make_job(connection, created_time=at(20)) for _ in range(2))
    third, fourth = (make_job(connection) for _ in range(2))
    for job in (first, second, third, fourth):
        add_resource(job)

    assert before(first) == {}
    assert before(second)["Deals"].job == first
    assert before(third)["Deals"].job == second
    assert before(fourth)["Deals"].job in (second, third)


def test_other_connections_other_modules_and_jobs_without_mappings_are_no_job_before(
    connection, job
):
    add_resource(job)
    add_resource(make_job(created_time=at(19)))
    add_resource(make_job(connection, created_time=at(18)), "Leads")
    add_resource(make_job(connection, created_time=at(17)), mapped=False)

    assert before(job) == {}


def test_a_resource_without_a_module_has_no_job_before(connection, job):
    add_resource(job, "")
    add_resource(make_job(connection, created_time=at(19)), "")

    assert before(job) == {}


def test_each_module_has_a_job_before_of_its_own(connection, job):
    deals, leads = (make_job(connection, created_time=at(day)) for day in (18, 19))
    add_resource(deals)
    add_resource(leads, "Leads")
    add_resource(job)
    add_resource(job, "Leads", 1)

    found = before(job)

    assert (found["Deals"].job, found["Leads"].job) == (deals, leads)


def test_of_several_files_of_a_module_that_at_the_same_place_is_compared(connection, job):
    other = make_job(connection, created_time=at(19))
    first, second = add_resource(other), add_resource(other, position=1)
    own = [add_resource(job, position=place) for place in (0, 1, 2)]

    found = mapping_changes.previous(own)

    assert [found[resource.pk] for resource in own] == [first, second, first]


def test_of_a_long_history_the_latest_jobs_are_looked_at(connection, job, monkeypatch):
    monkeypatch.setattr(mapping_changes, "JOBS_LOOKED_AT", 3)
    add_resource(job)
    add_resource(job, "Leads", 1)
    for day, module in ((16, "Deals"), (17, "Leads"), (18, "Contacts"), (19, "Contacts")):
        add_resource(make_job(connection, created_time=at(day)), module)

    assert before(job).keys() == {"Leads"}


def test_the_number_of_queries_grows_with_nothing(connection, job, django_assert_num_queries):
    for module in ("Deals", "Leads", "Contacts", "Accounts"):
        for day in (17, 18, 19):
            add_resource(make_job(connection, created_time=at(day)), module)
    own = [add_resource(job, module, n) for n, module in enumerate(("Deals", "Leads", "Accounts"))]

    with django_assert_num_queries(4):  # since when; which jobs; their resources and mappings
        found = mapping_changes.previous(own)
        for resource in own:
            assert found[resource.pk].job.title
            assert list(found[resource.pk].field_mappings.all())


def side(*mappings, operation="insert", **fields):
    """A resource with these mappings, as loaded; nothing of it is stored."""
    resource = Resource(pk=1, job=BulkWriteJob(operation=operation), module="Deals", **fields)
    resource._prefetched_objects_cache = {
        "field_mappings": [FieldMapping(api_name=name, **rest) for name, rest in mappings]
    }
    return resource


def told(then, now):
    then, now = (x if isinstance(x, Resource) else side(*x) for x in (then, now))
    return [str(change) for change in mapping_changes.changes(then, now)]


@pytest.mark.parametrize(
    ("then", "now", "text"),
    [
        ({"index": 132}, {"index": 2}, "column 133 → column 3"),
        ({"index": 1}, {"default_value": {"value": "New"}}, "column 2 → no column"),
        ({"index": 1, "find_by": "Stage"}, {"index": 1}, "find_by Stage gone"),
        ({"index": 1, "find_by": None}, {"index": 1, "find_by": "Stage"}, "new find_by Stage"),
        ({"find_by": "Email"}, {"find_by": "Phone"}, "find_by Email → Phone"),
        ({"default_value": {"value": "New"}}, {}, "default value “New” gone"),
        ({}, {"default_value": {"value": "New"}}, "new default value “New”"),
        ({"default_value": "a"}, {"default_value": "b"}, "default value “a” → “b”"),
        ({"format": "dd/MM/yyyy"}, {"format": "MM-dd-yyyy"}, "format dd/MM/yyyy → MM-dd-yyyy"),
        ({"format": "dd/MM/yyyy"}, {"format": None}, "format dd/MM/yyyy gone"),
        ({"module": "Accounts"}, {"module": "Vendors"}, "linked module Accounts → Vendors"),
        (
            {"parent_column_index": 1},
            {"parent_column_index": 0},
            "parent column: column 2 → column 1",
        ),
        (
            {"parent_column_index": 1},
            {"parent_column_index": None},
            "parent column: column 2 → no column",
        ),
    ],
)
def test_what_changed_of_a_field_is_told(then, now, text):
    found = told([("Stage", then)], [("Stage", now)])

    assert f"Stage: {text}" in found
    assert len(found) == (2 if "no column" in text and "default_value" in now else 1)


@pytest.mark.parametrize(
    "same",
    [
        {},
        {"index": 3, "find_by": None, "format": "", "module": None},
        {"default_value": {"value": 1, "name": "x"}},
    ],
)
def test_what_is_the_same_is_no_change(same):
    other = {"find_by": "", "format": None, "module": ""} | {
        name: deepcopy(value) for name, value in same.items() if value not in (None, "")
    }

    assert told([("Stage", same)], [("Stage", other)]) == []


def test_fields_added_and_dropped_say_from_where():
    then = [("Stage", {"index": 2}), ("Owner", {"default_value": "Ann"}), ("Type", {})]
    now = [("Stage", {"index": 2}), ("Amount", {"index": 4}), ("Source", {"default_value": "Web"})]

    assert told(then, now) == [
        "Amount: new, from column 5",
        "Source: new, from the default value “Web”",
        "Owner: no longer mapped, was the default value “Ann”",
        "Type: no longer mapped, was no column",
    ]


def test_a_field_that_is_mapped_twice_is_compared_column_by_column():
    then = [("Tag", {"index": 1}), ("Tag", {"index": 2})]

    assert told(then, then[::-1]) == []
    assert told(then, [("Tag", {"index": 2}), ("Tag", {"index": 7})]) == [
        "Tag: column 2 → column 8"
    ]
    assert told(then, [("Tag", {"index": 2})]) == ["Tag: no longer mapped, was column 2"]
    assert told(then[:1], [*then, ("", {"index": 9})]) == [
        "Tag: new, from column 3",
        "a mapping without a field: new, from column 10",
    ]


def test_what_changed_of_the_whole_comes_first():
    then = side(("Stage", {"index": 2}), operation="upsert", find_by="Email", ignore_empty=False)
    now = side(("Stage", {"index": 3}), operation="insert", find_by="", ignore_empty=True)

    assert told(then, now) == [
        "operation upsert → insert",
        "find_by Email gone",
        "empty cells now leave fields as they are",
        "Stage: column 3 → column 4",
    ]
    assert told(now, then)[2] == "empty cells now empty their fields"


def test_what_zoho_left_unsaid_is_no_change():
    then = side(operation="", ignore_empty=None)

    assert told(then, side(operation="insert", ignore_empty=True)) == []
    assert told(side(operation="insert", ignore_empty=True), then) == []


def test_a_change_knows_the_later_mapping():
    then, now = side(("Stage", {"index": 1})), side(("Stage", {"index": 2}))

    [change] = mapping_changes.changes(then, now)

    assert change.mapping is now.field_mappings.all()[0]
