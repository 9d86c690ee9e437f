"""Which rows of an upload are the left-out rows of a result."""

from collections.abc import Iterable

import pytest

from jobs.services.reimport.matching import (
    EMPTY,
    UNREADABLE,
    Doubt,
    Fate,
    Match,
    OriginalRows,
    ResultRows,
    digest,
    find_columns,
    key_of,
    match,
)


def key(text: str) -> bytes:
    return key_of([text])


FATES = {"+": Fate.WRITTEN, "-": Fate.LEFT_OUT, "?": Fate.UNTOLD}


def matched(result: str, original: str, *, shows_all: bool = True) -> Match:
    """Match rows given as words: "k-" is a left-out row with the key k, "k+" a written one.

    Of "k?" nothing is known. In the original "k" is a row with that key, "k/1" one that is like no
    other of that key.
    """
    rows = ResultRows(shows_all)
    for number, word in enumerate(result.split()):
        rows.keys.append(key(word[:-1]))
        rows.fates.append(FATES[word[-1]])
        rows.reasons.append(number)
    originals = OriginalRows()
    for word in original.split():
        originals.keys.append(key(word.partition("/")[0]))
        originals.contents.append(digest(word.encode()))
    return match(rows, originals)


def counts(found: Match) -> tuple[int, int, int, int]:
    return found.matched, found.ambiguous, found.missing, found.changed


class TestByOrder:
    def test_every_row_at_its_place_is_that_row(self):
        found = matched("a+ b- a- c+", "a/1 b a/2 c")

        assert (found.method, list(found.output)) == ("order", [1, 2])
        assert found.reasons == [(1,), (2,)]
        assert counts(found) == (2, 0, 0, 0)

    def test_rows_that_a_written_one_resembles_are_counted(self):
        assert (
            matched("a+ b- a- b- c-", "a a b b c".replace("a a b b", "a b a b")).by_order_alone == 1
        )

    def test_rows_of_which_nothing_is_known_count_as_others_and_are_not_given(self):
        found = matched("a? a- b?", "a/1 a/2 b")

        assert (found.method, list(found.output), found.by_order_alone) == ("order", [1], 1)

    def test_columns_that_were_not_found_prove_no_order(self):
        # The upload was sorted, and what it shows is equal at every place all the same.
        found = matched("a+ a- a+ b-", "a/2 a/1 a/3 b", shows_all=False)

        assert (found.method, list(found.output)) == ("key", [3])
        assert counts(found) == (1, 1, 0, 0)

    @pytest.mark.parametrize("original", ["a b", "a b c d", "b a c", "a b x"])
    def test_another_number_of_rows_or_another_row_ends_it(self, original):
        assert matched("a+ b- c+", original).method == "key"

    def test_rows_that_show_nothing_prove_no_order(self):
        rows, originals = ResultRows(), OriginalRows()
        rows.keys.append(EMPTY)
        rows.fates.append(Fate.LEFT_OUT)
        rows.reasons.append(0)
        originals.keys.append(EMPTY)
        originals.contents.append(digest(b"x"))

        assert (match(rows, originals).method, counts(match(rows, originals))) == (
            "key",
            (0, 1, 0, 0),
        )

    def test_a_row_that_could_not_be_read_proves_no_order(self):
        assert matched("a- \ufffd+", "a \ufffd").method == "key"


@pytest.mark.parametrize(
    ("result", "original", "output", "expected"),
    [
        # No left-out row has the key.
        ("a+ b-", "b a", [0], (1, 0, 0, 0)),
        # All rows of the key were left out, and no more than that are in the file.
        ("a- a- b+", "b a/1 a/2", [1, 2], (2, 0, 0, 0)),
        ("a- a- b+", "b a", [1], (1, 0, 1, 0)),
        # More are in the file: it cannot be told which were left out, unless they are all alike.
        ("a- b+", "b a/1 a/2", [], (0, 1, 0, 0)),
        ("a- b+", "b a a", [1], (1, 0, 0, 0)),
        # Some were written: which, cannot be told, unless all are alike and all are there.
        ("a- a+ b+", "b a/1 a/2", [], (0, 1, 0, 0)),
        ("a- a+ b+", "b a", [], (0, 1, 0, 0)),
        ("a- a+ b+", "b a a a", [], (0, 1, 0, 0)),
        ("a- a+ b+", "b a a", [1], (1, 0, 0, 0)),
        ("a- a- a+ b+", "b a a a", [1, 2], (2, 0, 0, 0)),
        # Of one it is not known what became of it.
        ("a- a? b+", "b a/1 a/2", [], (0, 1, 0, 0)),
        ("a- a? b+", "b a/1", [], (0, 1, 0, 0)),
        # The file does not hold them.
        ("a- a- b+", "b", [], (0, 0, 2, 0)),
        ("a- a+ b+", "b", [], (0, 0, 1, 0)),
        # At their place stands a row that the result does not know.
        ("a- b+", "x b", [], (0, 0, 0, 1)),
        ("a- b- c+", "x c b", [2], (1, 0, 0, 1)),
        # In a longer or shorter file nothing has a place to compare.
        ("a- b+", "x b c", [], (0, 0, 1, 0)),
        ("a- b+ c+", "x b", [], (0, 0, 1, 0)),
        # At their place stands another row of the result.
        ("a- b+ c+", "b c b", [], (0, 0, 1, 0)),
        # A value with a lost character is like no other.
        ("a\ufffd- b+", "b a\ufffd c", [], (0, 1, 0, 0)),
    ],
)
def test_by_key_a_row_comes_back_only_where_it_can_be_no_other(result, original, output, expected):
    found = matched(result, original)

    assert found.method == "key"
    assert list(found.output) == output
    assert counts(found) == expected


def test_rows_come_back_in_the_order_of_the_file():
    assert list(matched("a- b- c- d+", "c d b a").output) == [0, 2, 3]


def test_where_rows_are_alike_every_reason_of_theirs_is_named():
    found = matched("a- b- a- c+", "c a/1 a/2 b")

    assert found.reasons == [(0, 2), (0, 2), (1,)]


def test_rows_that_only_one_side_has_are_counted():
    found = matched("a- b+ b+ c+", "a x y b")

    assert (found.unknown, found.written_lost) == (2, 2)


def test_rows_of_which_nothing_is_known_are_no_written_ones_that_are_lost():
    assert matched("a- b? c+", "a x c").written_lost == 0
    assert matched("a- b? b+", "a x").written_lost == 1


def test_doubts_say_how_many_rows_are_concerned_on_either_side():
    found = matched("a- a- a+ b- b- c-", "a/1 b z/1 z/2")

    assert found.ambiguous_rows == [Doubt((0, 1), 2, 1, 1)]
    assert found.missing_rows == [Doubt((3, 4), 2, 0, 1), Doubt((5,), 1, 0, 0)]


def test_of_many_doubts_the_first_are_listed_and_all_are_counted():
    result = " ".join(f"a{number}-" for number in range(50))
    found = matched(f"{result} z+", "z")

    assert (found.missing, len(found.missing_rows)) == (50, 20)
    changed = matched(f"{result} z+", " ".join(f"x{number}" for number in range(51)))
    assert (changed.changed, changed.changed_rows) == (50, list(range(20)))


class TestKeys:
    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [("a", " a\t"), ("a\r\nb", "a\nb"), ("a", "a\0"), ("", " ")],
    )
    def test_what_writing_a_csv_may_change_makes_no_difference(self, ours, theirs):
        assert key_of([ours, "b"]) == key_of([theirs, "b"])

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [(["a", "b"], ["ab", ""]), (["a", ""], ["", "a"]), (["a"], ["A"]), (["é"], ["e\u0301"])],
    )
    def test_other_values_have_another_key(self, ours: Iterable[str], theirs: Iterable[str]):
        assert key_of(ours) != key_of(theirs)

    def test_no_values_and_lost_characters_have_keys_of_their_own(self):
        assert key_of(["", " ", "\0"]) == EMPTY
        assert key_of(["a", "b\ufffd"]) == UNREADABLE

    def test_a_lone_surrogate_has_a_key(self):
        assert key_of(["\ud800"]) != key_of(["\ud801"])


class TestColumns:
    def test_are_found_by_their_names(self):
        assert find_columns(["B", " A "], ["A", "B "], [None, None]) == [1, 0]

    def test_of_one_name_are_told_apart_by_the_mapping(self):
        assert find_columns(["A"], ["A", "A"], [1]) == [1]
        assert find_columns(["A"], ["A", "A"], [None]) == [None]
        assert find_columns(["A"], ["A", "A", "B"], [2]) == [None]

    def test_named_as_a_label_and_as_a_field_are_found_where_the_mapping_says_so(self):
        assert find_columns(["Last_Name"], ["X", "Last Name"], [1]) == [1]
        assert find_columns(["Last_Name"], ["X", "Last Name"], [None]) == [None]
        assert find_columns(["Last_Name"], ["X", "Nachname"], [1]) == [None]

    @pytest.mark.parametrize("index", [-1, 7, 10**30])
    def test_are_not_looked_for_beyond_the_header(self, index):
        assert find_columns(["A"], ["B"], [index]) == [None]

    def test_without_a_name_are_not_found(self):
        assert find_columns([""], ["", "A"], [None]) == [None]

    def test_of_long_names_are_found_though_a_result_keeps_them_shorter(self):
        assert find_columns(["n" * 255], ["n" * 300], [None]) == [0]
