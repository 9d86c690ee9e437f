"""What holds of reading ids, whatever is pasted."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.services.registering import job_ids
from jobs.services.registering.job_ids import Verdict

ONE, TWO = "111111000000541958", "111111000000541962"


_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.just(ONE), st.just("read")
)
_names = st.sampled_from(
    ["id", "details", "data", "job_id", "query", "state", "status", "code", "x", "created_by"]
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(_values)
def test_any_json_is_read_alike_as_value_and_as_text(value):
    in_value = job_ids.ids_in_json(value)
    in_text = [
        e.job_id for e in job_ids.read(json.dumps(value)).entries if e.verdict == Verdict.TRACKED
    ]

    assert all(job_id.isdigit() for job_id in in_value)
    if isinstance(value, dict):
        assert set(in_value) <= {e.job_id for e in job_ids.read(json.dumps(value)).entries}
    assert len(in_text) == len(set(in_text))


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=60),
            st.sampled_from(
                [
                    ONE,
                    TWO,
                    "{",
                    "}",
                    "[",
                    '"',
                    "'",
                    ",",
                    ";",
                    "\t",
                    "\n",
                    "\r\n",
                    "=",
                    "id",
                    "job_id",
                    "details",
                    ":",
                    "1.1E+17",
                    ".0",
                    "file_id",
                    "\\",
                ]
            ),
        ),
        max_size=40,
    ).map("".join)
)
def test_any_text_is_read_and_each_entry_stands_in_a_line_of_it(text):
    entries = job_ids.read(text).entries

    lines = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    taken = [entry.job_id for entry in entries if entry.verdict == Verdict.TRACKED]
    assert len(taken) == len(set(taken))
    for entry in entries:
        assert 1 <= entry.line <= lines
        assert len(entry.text) <= 200
        assert entry.why or entry.verdict in (Verdict.TRACKED, Verdict.REPEATED)
        assert not entry.job_id or (entry.job_id.isascii() and entry.job_id.isdigit())
    left = job_ids.to_correct(entry.text for entry in entries)
    assert not any(entry.job_id for entry in job_ids.read("\n".join(left)).entries)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(10**17, 10**18 - 1).map(str), min_size=1, max_size=30, unique=True),
    st.sampled_from(["\n", "\r\n", ", ", ";", " ", "\t", " | ", "\n\n"]),
    st.sampled_from(["{}", '"{}"', "'{}", "{}.0", '="{}"', "<{}>"]),
)
def test_a_list_of_ids_is_read_whole_and_in_order_however_it_is_parted(numbers, parting, shape):
    entries = job_ids.read(parting.join(shape.format(number) for number in numbers)).entries
    assert [entry.job_id for entry in entries] == numbers
