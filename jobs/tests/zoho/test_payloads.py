import json
import random
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.tests.zoho.support import JOB_ID, job_payload
from jobs.zoho.errors import MalformedAnswerError, ZohoError
from jobs.zoho.payloads import (
    JobDetails,
    canonical_digest,
    is_terminal,
    normalise_status,
    parse_job_details,
)

# The three sample bodies of the v7 page as printed: commas missing, a backslash at each line's end.
SAMPLE_AS_PRINTED = r"""{
  "status": "ADDED",
  "resource": [\
    {\
      "status": "INPROGRESS",\
      "code":"ADDED"\
      "type": "data",\
      "module": { "api_name": "Deals", "id": "3652397000000002181" }\
      "field_mappings": [\
        {"api_name": "Deal_Name", "index": 1, "format": null, "default_value": null}\
      ],\
      "file": {\
        "status": "INPROGRESS"\
      }\
    }\
  ],
  "id": "111111000000541958",
  "created_by": {"id": "111111000000035795", "name": "Patricia Boyle"},
  "operation": "insert",
  "created_time": "2019-01-30T02:21:32-12:00"
}"""
SAMPLES = {
    "ADDED": SAMPLE_AS_PRINTED,
    "INPROGRESS": SAMPLE_AS_PRINTED.replace('"ADDED"', '"INPROGRESS"', 1).replace(
        '"code":"ADDED"', '"code":"ADDED",'
    ),
    "COMPLETED": SAMPLE_AS_PRINTED.replace('"ADDED"', '"COMPLETED"', 1).replace(
        '"code":"ADDED"', '"code":"SUCCESS",'
    ),
}


def repaired(text: str) -> bytes:
    text = re.sub(r"\\\n", "\n", text)
    text = re.sub(r'("code":"ADDED")\s*"', r'\1, "', text)
    return re.sub(r'\}\s*"field_mappings"', '}, "field_mappings"', text).encode()


def parse(job: object) -> JobDetails:
    return parse_job_details(json.dumps(job).encode())


def with_resource(**changes: object) -> JobDetails:
    return parse(job_payload(resource=[job_payload()["resource"][0] | changes]))


def with_file(**counts: object) -> JobDetails:
    return with_resource(file={"status": "COMPLETED", **counts})


class TestStatus:
    @pytest.mark.parametrize("text", ["IN PROGRESS", "INPROGRESS", "In-Progress", "in_progress "])
    def test_every_spelling_of_in_progress_is_one_status(self, text):
        assert normalise_status(text) == "INPROGRESS"

    def test_an_absent_status_is_empty(self):
        assert normalise_status(None) == ""

    @pytest.mark.parametrize("text", ["COMPLETED", "FAILED", "SKIPPED", "Failure", "ABORTED"])
    def test_ends_are_terminal(self, text):
        assert is_terminal(normalise_status(text))

    @pytest.mark.parametrize("text", ["ADDED", "IN PROGRESS", "QUEUED", "", "SOMETHING NEW"])
    def test_everything_else_is_not_terminal(self, text):
        assert not is_terminal(normalise_status(text))


class TestSamples:
    @pytest.mark.parametrize("name", SAMPLES)
    def test_the_samples_as_printed_are_malformed(self, name):
        with pytest.raises(MalformedAnswerError):
            parse_job_details(SAMPLES[name].encode())

    @pytest.mark.parametrize("name", SAMPLES)
    def test_the_samples_repaired_are_parsed(self, name):
        details = parse_job_details(repaired(SAMPLES[name]))
        assert (details.status, details.job_id) == (name, JOB_ID)


class TestShapes:
    def test_a_complete_job(self):
        details = parse(job_payload())
        assert details.created_time == datetime(2019, 1, 30, 14, 18, 15, tzinfo=UTC)
        assert details.created_by.name == "Patricia Boyle"
        assert details.download_url.endswith(f"{JOB_ID}.zip")
        [resource] = details.resources
        assert (resource.module, resource.module_id) == ("Deals", "3652397000000002181")
        assert (resource.file.added_count, resource.file.skipped_count) == (0, 100)
        assert [mapping.index for mapping in resource.field_mappings] == [1, None]
        assert resource.field_mappings[1].default_value == {"value": "New"}
        assert json.loads(details.raw) == job_payload()

    def test_absent_is_none_and_not_zero(self):
        details = with_resource(file={"status": "INPROGRESS"})
        assert details.resources[0].file.added_count is None
        assert details.resources[0].file.total_count is None
        bare = parse({"status": "ADDED"})
        assert (bare.job_id, bare.resources, bare.created_by) == ("", (), None)
        assert (bare.download_url, bare.created_time) == (None, None)

    @pytest.mark.parametrize(
        "module", ["Deals", {"api_name": "Deals"}, {"module": "Deals"}, {"module_name": " Deals "}]
    )
    def test_a_module_is_a_string_or_an_object(self, module):
        assert with_resource(module=module).resources[0].module == "Deals"

    def test_a_module_may_stand_beside_the_file(self):
        resource = {"file": {"module": "Leads"}}
        assert parse(job_payload(resource=[resource])).resources[0].module == "Leads"

    def test_a_resource_may_be_one_object(self):
        one = job_payload()["resource"][0]
        assert parse(job_payload(resource=one)).resources[0].module == "Deals"

    def test_an_id_that_is_a_number_loses_no_digit(self):
        assert parse(job_payload(id=int(JOB_ID))).job_id == JOB_ID

    def test_an_id_that_is_a_float_is_not_believed(self):
        assert parse(job_payload(id=1.11111000000541958e17)).job_id == ""

    def test_counts_may_be_numeric_strings(self):
        assert with_file(added_count=" 12 ").resources[0].file.added_count == 12

    @pytest.mark.parametrize(
        "count", [-1, 10**12 + 1, 2**63, True, 1.5, 7.0, "x", "-3", [], "1" * 13, "9" * 40, "٣"]
    )
    def test_absurd_counts_are_unknown(self, count):
        assert with_file(total_count=count).resources[0].file.total_count is None

    def test_a_count_far_above_what_zoho_takes_is_kept(self):
        assert with_file(total_count=10**12).resources[0].file.total_count == 10**12

    @pytest.mark.parametrize(
        ("text", "hour"),
        [("2019-01-30T02:18:15-12:00", 14), ("2019-01-30T02:18:15Z", 2)],
    )
    def test_created_time_is_in_utc(self, text, hour):
        assert parse(job_payload(created_time=text)).created_time.hour == hour

    @pytest.mark.parametrize(
        "text",
        ["yesterday", "", None, 5, "2019-01-30T02:18:15", "0001-01-01T00:00:00+14:00", "9" * 99],
    )
    def test_a_time_that_makes_no_sense_is_unknown(self, text):
        assert parse(job_payload(created_time=text)).created_time is None

    def test_a_too_long_address_is_not_cut_into_another_one(self):
        result = {"download_url": "/" + "x" * 3000}
        assert parse(job_payload(result=result)).download_url is None

    def test_long_texts_are_bounded(self):
        details = parse(job_payload(status="Ä" * 5000, operation="x" * 5000))
        assert len(details.status_raw) <= 100
        assert len(details.status) <= 50
        assert len(details.operation) <= 100


class TestHostileBodies:
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"   ",
            b"null",
            b"[]",
            b'"COMPLETED"',
            b"{}",
            b'{"foo": 1}',
            b"<html>Sign in</html>",
            b'{"status": "COMPLETED"',
            b'{"status": NaN}',
            b'{"status": "A", "x": 1e999}',
            b'{"status": "A", "x": -Infinity}',
            b'{"status": "A", "id": ' + b"9" * 5000 + b"}",
            b'{"status": "A", "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
            b'{"code":"INVALID_TOKEN","message":"invalid oauth token","status":"error"}',
        ],
    )
    def test_is_malformed(self, body):
        with pytest.raises(MalformedAnswerError) as caught:
            parse_job_details(body)
        assert len(caught.value.excerpt) <= 4096

    def test_what_postgresql_refuses_is_replaced_everywhere(self):
        body = rb'{"status":"ADDED","id":"1","operation":"a\u0000b\ud800c\ud83d\ude00\\u0000"}'
        details = parse_job_details(body)
        assert details.operation == "a\ufffdb\ufffdc\U0001f600\\u0000"
        assert "\\u0000b" not in details.raw
        assert json.loads(details.raw)["operation"] == details.operation

    def test_a_bare_nul_is_replaced(self):
        assert parse_job_details(b'{"status": "A\x00"}').status_raw == "A\ufffd"

    def test_invalid_utf_8_is_replaced(self):
        details = parse_job_details(b'{"status":"ADDED","operation":"a\xff\xed\xa0\x80b"}')
        details.raw.encode("utf-8")
        assert details.operation.startswith("a\ufffd")

    def test_of_duplicate_keys_one_counts(self):
        assert parse_job_details(b'{"status":"ADDED","status":"FAILED"}').status == "FAILED"

    def test_a_default_value_nested_absurdly_is_left_out(self):
        deep: object = "x"
        for _ in range(100):
            deep = [deep]
        details = with_resource(field_mappings=[{"api_name": "A", "default_value": deep}])
        assert details.resources[0].field_mappings[0].default_value is None

    def test_an_object_too_many_is_left_out(self):
        details = parse(job_payload(resource=[{}] * 20_000))
        assert len(details.resources) <= 200

    def test_an_answer_of_too_many_pieces_is_not_read(self):
        with pytest.raises(MalformedAnswerError, match="too many pieces"):
            parse(job_payload(resource=[{}] * 30_000))

    def test_an_error_excerpt_holds_no_token(self):
        token = "1000." + "ab" * 16 + "." + "cd" * 16
        with pytest.raises(MalformedAnswerError) as caught:
            parse_job_details(f'["{token}"]'.encode())
        assert token not in caught.value.excerpt
        with pytest.raises(MalformedAnswerError) as caught:
            parse_job_details(f'["{"x" * 4075} {token}"]'.encode())
        assert "1000." not in caught.value.excerpt

    def test_two_thousand_mutated_bodies_raise_nothing_of_their_own(self):
        seed = random.Random(20261123)
        good = json.dumps(job_payload()).encode()
        pieces = [b"\x00", b"\xff", b'"', b"{", b"[", b"\\u0000", b"\\ud800", b"NaN", b"1e999"]
        parsed = 0
        for _ in range(2000):
            body = bytearray(good)
            for _ in range(seed.randint(1, 4)):
                at = seed.randrange(len(body))
                kind = seed.randrange(4)
                if kind == 0:
                    del body[at : at + seed.randint(1, 200)]
                elif kind == 1:
                    body[at:at] = seed.choice(pieces)
                elif kind == 2:
                    body[at] = seed.randrange(256)
                else:
                    body += body[at : at + 50]
                body = body or bytearray(b" ")
            try:
                details = parse_job_details(bytes(body))
            except MalformedAnswerError:
                continue
            parsed += 1
            assert_storable(details)
        assert parsed > 20

    def test_wrong_types_at_every_place_are_survived(self):
        wrong = [None, True, -1, 1.5, 2**70, "", "x", "\x00\ud800", [], [[]], {}, {"id": {}}]
        tried = 0
        for path in paths(job_payload()):
            for value in wrong:
                try:
                    assert_storable(parse(replaced(job_payload(), path, value)))
                except MalformedAnswerError:
                    pass
                tried += 1
        assert tried > 300


def paths(value, at=()):
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*at, key)
        if isinstance(item, dict | list):
            yield from paths(item, (*at, key))


def replaced(job, path, value):
    place = job
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return job


def assert_storable(details: JobDetails) -> None:
    text = details.raw
    assert "\0" not in text
    text.encode("utf-8")
    json.loads(text)
    assert "\\x00" not in repr(details).replace("\\\\", "")
    assert "\\ud8" not in repr(details).replace("\\\\", "")
    canonical_digest(details)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "status",
                    "id",
                    "resource",
                    "file",
                    "module",
                    "api_name",
                    "result",
                    "created_by",
                    "field_mappings",
                    "default_value",
                    "index",
                    "download_url",
                    "created_time",
                    "x",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


class TestProperties:
    @settings(max_examples=300, deadline=None)
    @given(json_values)
    def test_any_json_gives_details_or_a_malformed_answer(self, value):
        try:
            details = parse_job_details(json.dumps(value).encode())
        except MalformedAnswerError:
            return
        assert_storable(details)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=200))
    def test_any_bytes_raise_nothing_but_our_errors(self, body):
        try:
            parse_job_details(body)
        except ZohoError:
            pass
        canonical_digest(body)


class TestDigest:
    def test_the_order_of_keys_and_blanks_do_not_matter(self):
        job = job_payload()
        turned = dict(reversed(job.items()))
        one = parse_job_details(json.dumps(job).encode())
        other = parse_job_details(json.dumps(turned, indent=3).encode())
        assert canonical_digest(one) == canonical_digest(other) == canonical_digest(one.raw)

    def test_another_count_is_another_digest(self):
        assert canonical_digest(with_file(added_count=1)) != canonical_digest(
            with_file(added_count=2)
        )

    def test_text_that_is_no_json_has_a_digest(self):
        assert len(canonical_digest("[" * 100_000)) == 64
