"""The table of outcomes, and what no verdict may ever do."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.models import Outcome
from jobs.services.outcomes import (
    Counts,
    ResourceState,
    add_up,
    falls,
    has_ended,
    judge,
    tone,
)


def counts(text: str) -> Counts:
    """Counts written as "added updated skipped total", a dash for absent."""
    return Counts(*(None if part == "-" else int(part) for part in text.split()))


def part(status: str, numbers: str = "- - - -", name: str = "Leads") -> ResourceState:
    return ResourceState(name, status, counts(numbers))


TABLE = [
    # what it is about, job's status, its resources, outcome
    ("the seed's added body", "ADDED", [part("INPROGRESS")], "running"),
    (
        "counts equal to the total do not end it",
        "INPROGRESS",
        [part("INPROGRESS", "0 0 100 100")],
        "running",
    ),
    (
        "the seed's completed body",
        "COMPLETED",
        [part("COMPLETED", "0 0 100 100")],
        "nothing_imported",
    ),
    ("an unknown word", "QUEUED", [part("QUEUED")], "running"),
    ("no word at all", "", [], "running"),
    (
        "a resource still runs",
        "COMPLETED",
        [part("COMPLETED", "5 0 0 5"), part("INPROGRESS")],
        "running",
    ),
    ("a resource without a status", "COMPLETED", [part("", "5 0 0 5")], "imported"),
    ("all added", "COMPLETED", [part("COMPLETED", "5 0 0 5")], "imported"),
    ("all updated", "COMPLETED", [part("COMPLETED", "0 5 0 5")], "imported"),
    ("one skipped", "COMPLETED", [part("COMPLETED", "4 0 1 5")], "partial"),
    ("some unprocessed", "COMPLETED", [part("COMPLETED", "4 0 0 5")], "partial"),
    ("no rows at all", "COMPLETED", [part("COMPLETED", "0 0 0 0")], "nothing_imported"),
    ("only a total of 0", "COMPLETED", [part("COMPLETED", "- - - 0")], "nothing_imported"),
    ("all left unprocessed", "COMPLETED", [part("COMPLETED", "0 0 0 9")], "nothing_imported"),
    (
        "added absent, the others leave no room",
        "COMPLETED",
        [part("COMPLETED", "- 0 9 9")],
        "nothing_imported",
    ),
    ("added absent, the others leave room", "COMPLETED", [part("COMPLETED", "- 0 8 9")], "unknown"),
    (
        "updated absent, added fills the total",
        "COMPLETED",
        [part("COMPLETED", "9 - 0 9")],
        "imported",
    ),
    ("only added is known", "COMPLETED", [part("COMPLETED", "9 - - -")], "unknown"),
    ("no total, nothing skipped", "COMPLETED", [part("COMPLETED", "9 0 0 -")], "imported"),
    (
        "updated absent, the others leave room",
        "COMPLETED",
        [part("COMPLETED", "9 - 0 20")],
        "unknown",
    ),
    ("no counts", "COMPLETED", [part("COMPLETED")], "unknown"),
    (
        "a child without counts",
        "COMPLETED",
        [part("COMPLETED", "9 0 0 9"), part("COMPLETED")],
        "unknown",
    ),
    (
        "a child's rows unprocessed behind a sum too large",
        "COMPLETED",
        [part("COMPLETED", "19 0 0 9"), part("COMPLETED", "0 0 0 9")],
        "partial",
    ),
    ("no resources", "COMPLETED", [], "unknown"),
    ("a sum above the total", "COMPLETED", [part("COMPLETED", "100 0 100 100")], "partial"),
    (
        "a child wholly skipped",
        "COMPLETED",
        [part("COMPLETED", "100 0 0 100"), part("COMPLETED", "0 0 10 10")],
        "partial",
    ),
    (
        "a child SKIPPED without counts",
        "COMPLETED",
        [part("COMPLETED", "9 0 0 9"), part("SKIPPED")],
        "partial",
    ),
    (
        "a child FAILED without counts",
        "COMPLETED",
        [part("COMPLETED", "9 0 0 9"), part("FAILED")],
        "partial",
    ),
    ("the job FAILED", "FAILED", [part("FAILED")], "failed"),
    ("FAILED though rows were written", "FAILED", [part("FAILED", "5 0 0 9")], "failed"),
    ("a tolerated word for it", "FAILURE", [], "failed"),
    ("every resource FAILED", "COMPLETED", [part("FAILED"), part("FAILED")], "failed"),
    ("the job SKIPPED", "SKIPPED", [part("SKIPPED")], "skipped"),
    ("every resource SKIPPED", "COMPLETED", [part("SKIPPED"), part("SKIPPED")], "skipped"),
    ("some FAILED, the rest SKIPPED", "COMPLETED", [part("FAILED"), part("SKIPPED")], "failed"),
]


@pytest.mark.parametrize(
    ("status", "resources", "outcome"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_outcome_of(status, resources, outcome):
    assert judge(status, resources, threshold_percent=10).outcome == outcome


def test_the_rows_of_the_result_file_settle_what_zoho_gave_no_counts_for():
    def settled(rows: str) -> str:
        verdict = judge("COMPLETED", [part("COMPLETED")], threshold_percent=10, rows=counts(rows))
        return verdict.outcome

    assert settled("100 0 0 100") == "imported"
    assert settled("0 0 100 100") == "nothing_imported"
    assert settled("90 0 10 100") == "partial"


def test_the_rows_of_the_result_file_settle_a_job_of_which_one_part_has_no_counts():
    verdict = judge(
        "COMPLETED",
        [part("COMPLETED", "9 0 0 9"), part("COMPLETED")],
        threshold_percent=10,
        rows=counts("9 0 5 14"),
    )

    assert (verdict.outcome, verdict.counts) == (Outcome.PARTIAL, counts("9 0 5 14"))
    assert verdict.over_threshold
    assert verdict.warnings == ("Zoho gave no counts for Leads.",)


def test_rows_that_differ_from_the_counts_are_a_warning_and_the_worse_is_believed():
    verdict = judge(
        "COMPLETED",
        [part("COMPLETED", "100 0 0 100")],
        threshold_percent=10,
        rows=counts("98 0 2 100"),
    )

    assert (verdict.outcome, verdict.counts.added) == (Outcome.PARTIAL, 100)
    assert len(verdict.warnings) == 2
    assert "100 rows added by the count, 98 in the file" in verdict.warnings[0]


@pytest.mark.parametrize(("skipped", "over"), [(9, False), (10, True), (11, True)])
def test_skips_are_bad_from_the_threshold_on(skipped, over):
    verdict = judge(
        "COMPLETED", [part("COMPLETED", f"{100 - skipped} 0 {skipped} 100")], threshold_percent=10
    )

    assert verdict.over_threshold is over
    assert verdict.needs_attention is over
    assert tone(verdict.outcome, needs_attention=verdict.needs_attention) == (
        "bad" if over else "warn"
    )


@pytest.mark.parametrize("percent", range(1, 101))
def test_skips_exactly_at_the_threshold_are_bad_whatever_the_threshold(percent):
    at = part("COMPLETED", f"{1000 - 10 * percent} 0 {10 * percent} 1000")
    below = part("COMPLETED", f"{1001 - 10 * percent} 0 {10 * percent - 1} 1000")

    assert judge("COMPLETED", [at], threshold_percent=percent).over_threshold
    assert not judge("COMPLETED", [below], threshold_percent=percent).over_threshold


def test_a_small_child_wholly_skipped_is_over_the_threshold_under_a_large_parent():
    parent, child = part("COMPLETED", "9990 0 0 9990"), part("COMPLETED", "0 0 10 10")

    verdict = judge("COMPLETED", [parent, child], threshold_percent=10)

    assert verdict.skip_ratio == 0.001
    assert verdict.over_threshold


@pytest.mark.parametrize("status", ["FAILED", "SKIPPED"])
def test_a_part_that_ended_badly_needs_attention_however_small(status):
    verdict = judge("COMPLETED", [part("COMPLETED", "9 0 0 9"), part(status)], threshold_percent=10)

    assert verdict.needs_attention


def test_counts_that_contradict_each_other_are_a_warning():
    verdict = judge(
        "COMPLETED", [part("COMPLETED", "100 0 100 100", "Deals")], threshold_percent=10
    )

    assert "Deals" in verdict.warnings[0]
    assert "make 200, but the total is 100" in verdict.warnings[0]


def test_a_count_that_falls_is_a_warning_and_one_that_appears_or_goes_is_not():
    assert len(falls(counts("5 0 0 10"), counts("4 0 0 10"))) == 1
    assert falls(counts("- - - -"), counts("5 0 0 10")) == []
    assert falls(counts("5 0 0 10"), counts("- - - -")) == []


def test_absent_counts_stay_absent_when_added_up():
    assert add_up([]) == counts("- - - -")
    assert add_up([counts("1 - 2 -"), counts("3 - - -")]) == counts("4 - 2 -")


def test_unprocessed_is_unknown_while_a_count_is_absent():
    assert counts("5 0 1 10").unprocessed == 4
    assert counts("5 - 1 10").unprocessed is None
    assert counts("9 - 1 10").unprocessed == 0
    assert counts("9 0 1 -").unprocessed is None


def test_a_ratio_needs_rows():
    assert counts("0 0 0 0").skip_ratio is None
    assert counts("0 0 5 -").skip_ratio is None
    assert counts("0 0 200 100").skip_ratio == 1.0


# Few and small, so that absent, equal and contradicting counts meet often.
numbers = st.sampled_from([None, 0, 1, 2, 3, 10**12])
statuses = st.just("COMPLETED") | st.sampled_from(
    ["", "ADDED", "INPROGRESS", "COMPLETED", "FAILED", "SKIPPED", "ABORTED", "QUEUED"]
)
states = st.builds(
    ResourceState, st.just("Leads"), statuses, st.builds(Counts, numbers, numbers, numbers, numbers)
)


def check_what_is_good(status, resources, rows):
    verdict = judge(status, resources, threshold_percent=10, rows=rows)

    if tone(verdict.outcome, needs_attention=verdict.needs_attention) == "good":
        assert has_ended(status, resources)
        assert status == "COMPLETED"
        assert verdict.counts.written
        assert not verdict.counts.skipped
        assert not verdict.counts.unprocessed
        assert {resource.status for resource in resources} <= {"", "COMPLETED"}
        parts = [] if verdict.counts is rows else [resource.counts for resource in resources]
        for seen in [verdict.counts, *parts]:
            assert not seen.skipped
            assert seen.unprocessed == 0 or (seen.total is None and seen.skipped == 0)


@settings(max_examples=500, deadline=None)
@given(statuses, st.lists(states, max_size=3), st.none() | st.builds(Counts, *[numbers] * 4))
def test_nothing_that_went_wrong_is_good(status, resources, rows):
    check_what_is_good(status, resources, rows)


@pytest.mark.parametrize("status", ["", "INPROGRESS", "COMPLETED", "FAILED", "SKIPPED", "QUEUED"])
def test_nothing_that_went_wrong_is_good_whatever_counts_are_there(status):
    small = [None, 0, 1, 3]
    for numbers in itertools.product(small, repeat=4):
        one = ResourceState("Leads", status, Counts(*numbers))
        for resources in ([one], [one, part("COMPLETED", "5 0 0 5")], [one, part("COMPLETED")]):
            check_what_is_good("COMPLETED", resources, None)
            check_what_is_good(status, resources, None)


@settings(max_examples=500, deadline=None)
@given(statuses, st.lists(states, max_size=3), st.none() | st.builds(Counts, *[numbers] * 4))
def test_no_verdict_is_at_odds_with_itself(status, resources, rows):
    verdict = judge(status, resources, threshold_percent=10, rows=rows)

    if verdict.outcome in ("imported", "partial"):
        assert verdict.counts.written
    if verdict.outcome == "nothing_imported":
        assert not verdict.counts.written
    if verdict.skip_ratio is not None:
        assert 0 <= verdict.skip_ratio <= 1
    assert (verdict.outcome == "running") is not has_ended(status, resources)
    for value in (verdict.counts.added, verdict.counts.total):
        assert value is None or 0 <= value <= 10**12


@pytest.mark.parametrize(
    ("outcome", "needs_attention", "colour"),
    [
        ("running", False, "neutral"),
        ("unknown", False, "neutral"),
        ("unknown", True, "bad"),
        ("imported", False, "good"),
        ("imported", True, "bad"),
        ("partial", False, "warn"),
        ("partial", True, "bad"),
        ("stuck", True, "bad"),
        ("nothing_imported", True, "bad"),
        ("skipped", True, "bad"),
        ("failed", True, "bad"),
        ("a word of tomorrow", False, "neutral"),
    ],
)
def test_the_tone_of(outcome, needs_attention, colour):
    assert tone(outcome, needs_attention=needs_attention) == colour
