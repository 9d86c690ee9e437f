"""What a person or a script pastes, and what is read out of it."""

import json
import re

import pytest

from jobs.services.registering import job_ids
from jobs.services.registering.job_ids import Verdict
from jobs.tests import seed
from jobs.tests.services.pastes import (
    CREATED,
    CREATED_TWO,
    CREATOR,
    CURL,
    FILE,
    ONE,
    ORG,
    READ_DETAILS,
    THREE,
    TWO,
    ids,
    told,
)


def verdicts(text: str) -> list[tuple[str, str]]:
    return [(entry.verdict.value, entry.text) for entry in job_ids.read(text).entries]


PASTES = {
    "one": ONE,
    "with blanks around": f"  {ONE}\t\n",
    "on windows lines": f"{ONE}\r\n",
    "quoted": f'"{ONE}",',
    "in brackets": f"[{ONE}]",
    "in a list of strings": f'["{ONE}"]',
    "a log line": f"2026-11-24 18:00:01,123 INFO loader: created bulk write job {ONE}.zip",
    "at the end of a sentence": f"Created the bulk write job {ONE}.",
    "a log line with the answer": f"18:00:01 INFO got {json.dumps(CREATED)} in 0.3 s",
    "the answer of a create call": json.dumps(CREATED),
    "the same over several lines": json.dumps(CREATED, indent=4),
    "in a data array": json.dumps({"data": [CREATED]}),
    "in an array": json.dumps([CREATED]),
    "details of a job": json.dumps(seed.COMPLETED, indent=2),
    "a number in json": json.dumps({"details": {"id": int(ONE)}}),
    "an address": f"https://www.zohoapis.com/crm/bulk/v7/write/{ONE}",
    "a line of csv": f"{ONE},Leads,leads.csv",
    "with a byte order mark": f"\ufeff{ONE}",
    "an apostrophe that makes it text": f"'{ONE}",
    "a formula that makes it text": f'="{ONE}"',
    "with a point and a nought": f"{ONE}.0",
    "with its thousands parted": "111,111,000,000,541,958",
    "an address of a result": f"https://download-accl.zoho.eu/v7/crm/org6/bulk-write/{ONE}/{ONE}.zip",
    "a path of a result": f"/v7/crm/org{ORG}/bulk-write/{ONE}/{ONE}.zip",
    "a command": CURL,
    "a python dict": repr({"data": [CREATED | {"ok": True, "next": None}]}),
    "a python dict in a log": f"18:00 INFO got {CREATED!r} at once",
    "a javascript object": "{ status: 'success',\n  details:\n   { created_by: "
    f"{{ id: '{CREATOR}' }},\n     id: '{ONE}' }} }}",
    "a java map": f"{{status=success, message=Bulk write job created, details={{id={ONE}, "
    f"created_by={{id={CREATOR}, name=Boyle}}}}}}",
    "json within json": json.dumps({"level": "info", "body": json.dumps(CREATED)}),
    "json within a log's json": json.dumps({"ts": 1, "msg": f"got {json.dumps(CREATED)} ok"}),
    "json within a quoted log": f'msg="got {json.dumps(json.dumps(CREATED))[1:-1]}"',
    "json that is cut off": json.dumps(CREATED, indent=2)[:-4],
    "json without commas": '{"status": "COMPLETED" "operation": "insert"\n"id": "' + ONE + '"}',
    "a callback's body": json.dumps(seed.COMPLETED | {"callback": {"url": "https://x/y"}}),
    "a structured log": json.dumps(
        {"ts": 1732458001123456, "org_id": ORG, "user": {"id": CREATOR}, "jobId": ONE}
    ),
    "its name in words": f"job id: {ONE} of user {CREATOR} in org {ORG}",
    "its name in a query": f"org_id={ORG}&job_id={ONE}&file_id={FILE}",
    "its name in capitals": f"JOB_ID={ONE} ZGID={ORG} createdBy={CREATOR}",
    "after a time in microseconds": f"1732458001123456 created {ONE}",
    "after a time in nanoseconds": f"ts=1732458001123456789 {ONE}",
    "with blanks": "111 111 000000 541958",
    "with blanks anywhere": " 11 1111000  000541 9 58 ",
    "with no-break spaces anywhere": "111111\u00a0000000\u00a0541958",
    "with no-break spaces": "111\u00a0111\u00a0000\u00a0000\u00a0541\u00a0958",
    "the same, narrow, in a note": "Leads 111\u202f111\u202f000\u202f000\u202f541\u202f958 2500",
    "the first of a list": f"1. {ONE}",
    "the first of a list, in a bracket": f"1) {ONE}",
    "the first of a list, in brackets": f"(1) {ONE}",
    "the first of a list, in square brackets": f"[1] {ONE}",
    "beside a count": f"{ONE} 2500",
    "beside counts": f"{ONE};1000;5",
    "beside a count and a module": f"{ONE},Leads,2500",
    "with its module": f"Leads: {ONE}",
    "with its module and a dash": f"Deals - {ONE}",
    "with its module alone": f"Contacts {ONE}",
    "with its module and an arrow": f"Leads file -> {ONE}",
    "with its module and a count": f"Leads\t{ONE}\t1000",
    "with what it was for": f"Import of 2500 records: {ONE}",
    "beside a lead": f"lead_id={FILE} {ONE} Record Id: {CREATOR}",
    "an object of java": f"BulkWriteJob(id={ONE}, createdBy=User(id={CREATOR}))",
    "one with a name first": f"BulkWriteJob(id={ONE}, createdBy=User(name=x, id={CREATOR}))",
    "named piece by piece": f"'Job ID:', '{ONE}', 'File ID:', '{FILE}'",
    "xml": f"<id>{ONE}</id><file>{FILE}</file>",
    "beside a date of digits": f"20261120100000123 {ONE}",
    "beside a date of digits in a log": f"20261120100000123 INFO created {ONE}",
    "beside round nanoseconds": f"1732458001123000000 {ONE}",
    "a table in markdown": f"| Job | Id |\n|-----|:---|\n| Nightly leads | {ONE} |",
    "a table with names of jobs": f"Job,Id\nNightly leads,{ONE}",
    "beside an unnamed org": f"2026-11-24T18:00:01.123456789Z org {ORG}: job {ONE} (file {FILE})",
}


@pytest.mark.parametrize("text", PASTES.values(), ids=PASTES)
def test_an_id_is_found(text):
    assert ids(text) == [ONE]


@pytest.mark.parametrize(
    "text",
    [
        f"{ONE}\n{TWO}\n{THREE}",
        f"{ONE}, {TWO}; {THREE}",
        f"{ONE} {TWO}\t{THREE}",
        f"id,module\n{ONE},Leads\n{TWO},Deals\n{THREE},Tasks",
        "\n".join(json.dumps(CREATED | {"details": {"id": it}}) for it in (ONE, TWO, THREE)),
        "\n".join(
            json.dumps(CREATED | {"details": {"id": it}}, indent=1) for it in (ONE, TWO, THREE)
        ),
        json.dumps([CREATED, CREATED_TWO, {"id": THREE}]),
        f"{ONE}|{TWO}|{THREE}",
    ],
)
def test_several_ids_are_found_in_their_order(text):
    assert ids(text) == [ONE, TWO, THREE]


NO_IDS = {
    "letters": "abc",
    "letters and digits": "12ab",
    "decimal": "111111000000541958.5",
    "too long": "1" * 31,
    "other digits": "١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦٧٨",
    "wide digits": "１２３４５６７８９０１２３４５６７８",  # noqa: RUF001
    "markup": "<script>alert(1)</script>",
}


@pytest.mark.parametrize("text", NO_IDS.values(), ids=NO_IDS)
def test_what_is_no_id_is_named_and_not_taken(text):
    [entry] = job_ids.read(text).entries

    assert (entry.verdict, entry.job_id, entry.line) == (Verdict.NOT_AN_ID, "", 1)
    assert entry.text


MERE_TEXTS = {
    "a sentence": "no job was created",
    "a number among words": "took 35 seconds for 12 rows",
    "broken json": '{"details": {"id": ',
    "a line of a log": "2026-11-24 18:00:01,123 INFO [loader] 12 of 35 files are read",
    "one with a time in microseconds": "ts=1732458001123456 INFO all is well",
    "one with a time in milliseconds": "1732458001123 INFO all is well",
    "one with times in digits": "20261124T180001Z 20261124180001 INFO all is well",
    "one with identifiers of others": "INFO [4bf92f3577b34da6] 0af7651916cd43dd8448eb211c80319c ok",
    "one with a uuid and an address": "GET 6ba7b810-9dad-11d1-80b4-00c04fd430c8 192.168.100.100:80",
    "an object without an id": json.dumps({"users": [{"id": CREATOR}], "info": 1}, indent=1),
    "a slip in the id of a file": "uploaded, file_id=11111100000O541962 done",
}


@pytest.mark.parametrize("text", MERE_TEXTS.values(), ids=MERE_TEXTS)
def test_a_line_in_which_nothing_looks_like_an_id_is_counted_and_not_listed(text):
    paste = job_ids.read(text)

    assert (paste.entries, paste.lines_without_id) == ([], 1)
    assert paste.notes == ["1 line holds no id."]


SLIPS_IN_TEXTS = {
    "the letter O": "18:00:01 INFO created job 11111100000O541962, 12 rows",
    "letters of json": '{"status": "success", "details": {"id": "l1111100000054I962"}}',
    "the same over several lines": '{"data": {\n "id": "11111100000O541962"\n}}',
    "digits that are missing": "18:00:01 INFO created job 11111100000054 with 12 rows",
    "digits that are too many": "18:00:01 INFO created job 1111110000000054196200 with 12 rows",
    "far behind": f"18:00:01 {'INFO ' * 100} created job 11111100000O541962 {'with ' * 100}",
}


@pytest.mark.parametrize("text", SLIPS_IN_TEXTS.values(), ids=SLIPS_IN_TEXTS)
def test_a_slip_among_words_is_named_with_what_stands_before_it(text):
    paste = job_ids.read(f"nothing here\n{text}\n{ONE}")

    [slip, good] = paste.entries
    assert (slip.verdict, slip.job_id, good.job_id) == (Verdict.NOT_AN_ID, "", ONE)
    assert re.search("11111|l1111", slip.text)
    assert paste.lines_without_id == 1


@pytest.mark.parametrize("text", ["", "  \n\t\n ", ",;,", "\n" * 10_000])
def test_nothing_pasted_is_nothing(text):
    assert job_ids.read(text).entries == []


@pytest.mark.parametrize("short", ["0", "2026", "20261120", "404", "1" * 22])
def test_numbers_of_another_shape_are_ids_only_where_no_other_is_or_so_named(short):
    assert told(f"{short}\n{ONE}") == [(1, "no_job", ""), (2, "tracked", ONE)]
    assert ids(f"{ONE} {short}") == [ONE]
    assert ids(f"{short} rows") == []
    assert ids(f"{short}") == [short]
    assert ids(f"job id: {short}\n{ONE}") == [short, ONE]
    assert ids(f"Job ID,x\n{short},1") == [short]


@pytest.mark.parametrize(
    "number", ["20261120100000123", "20261120100000123456", "1732458001123456789"]
)
def test_a_nameless_time_is_no_id(number):
    assert told(number) == [(1, "no_job", "")]
    assert "looks like a time" in job_ids.read(number).entries[0].why
    assert ids(f"job id: {number}") == [number]
    assert ids(f"when,what,zoho\n{number},a,{ONE}\n{int(number) + 1},b,{TWO}") == [ONE, TWO]


@pytest.mark.parametrize("job_id", ["1732458000000541958", "2026112000000541958", ONE])
def test_an_id_of_zohos_shape_is_no_time(job_id):
    assert ids(job_id) == [job_id]


@pytest.mark.parametrize("text", ["404\n405", "404, 405", "1. 404\n2. 405", "404 405"])
def test_a_list_of_short_ids_alone_is_taken(text):
    assert ids(text) == ["404", "405"]


def test_an_id_named_twice_is_taken_once_and_said_so():
    assert verdicts(f"{ONE}\n{TWO}\n{ONE}") == [
        ("tracked", ONE),
        ("tracked", TWO),
        ("repeated", ONE),
    ]


def test_a_slip_in_a_list_does_not_cost_the_rest_of_the_line():
    assert verdicts(f"{ONE}, 1111110000005419x2, {TWO}") == [
        ("tracked", ONE),
        ("not_an_id", "1111110000005419x2"),
        ("tracked", TWO),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "404 405",
        "111 111 000 000",
        "1111 111 000 000 541 958 00",
        "404\t111111\t000000541",
        "2026 11 20 10 00 00 123",
        f"{ONE[:15]} 405",
    ],
)
def test_of_other_groups_of_digits_no_id_is_made(line):
    assert "".join(line.split()) not in ids(line)


SLIP = "11111100000O541962"
SLIPS = {
    "a comma": f"{ONE}, {SLIP}",
    "the slip first": f"{SLIP}, {ONE}",
    "a semicolon": f"{ONE};{SLIP}",
    "a blank": f"{ONE} {SLIP}",
    "a tab": f"{ONE}\t{SLIP}",
    "a list of json": json.dumps([ONE, SLIP]),
    "a list of numbers": f"[{ONE}, {SLIP}]",
    "a list of python": str([ONE, SLIP]),
    "a named list of json": json.dumps({"ids": [ONE, SLIP]}),
    "a heading": f"ids: {ONE}, {SLIP}",
    "a heading of jobs": f"Job IDs = [{ONE}, {SLIP}]",
    "the address of a job": f"https://www.zohoapis.com/crm/bulk/v7/write/{ONE}, {SLIP}",
}


@pytest.mark.parametrize("text", SLIPS.values(), ids=SLIPS)
def test_one_good_and_one_with_a_slip_are_both_named(text):
    entries = job_ids.read(text).entries

    [good] = [entry for entry in entries if entry.verdict == Verdict.TRACKED]
    [slip] = [entry for entry in entries if entry is not good]
    assert good.job_id == ONE
    assert (slip.verdict, slip.text) == (Verdict.NOT_AN_ID, SLIP)
    assert "digits alone" in slip.why


def test_in_a_list_each_part_that_is_no_id_is_named_however_many_they_are():
    assert verdicts(f'id, abc, 12, "see mail", 20261120100000123, {ONE}') == [
        ("not_an_id", "id"),
        ("not_an_id", "abc"),
        ("no_job", "12"),
        ("not_an_id", "see mail"),
        ("no_job", "20261120100000123"),
        ("tracked", ONE),
    ]


@pytest.mark.parametrize("parting", [",", ", ", " ", "\t"])
def test_a_number_longer_than_zohos_ids_is_named_beside_one(parting):
    [good, long] = job_ids.read(f"{ONE}{parting}{'2' * 22}").entries

    assert good.job_id == ONE
    assert (long.verdict, long.text) == (Verdict.NO_JOB, "2" * 22)
    assert "15 to 20 digits" in long.why


@pytest.mark.parametrize(
    "line",
    [
        f"2026-11-24 18:00:01,123 INFO [loader] created job {ONE}, 12 rows, all well",
        f"18:00:01,123 {ONE}, done",
        f"org_id=12,job_id={ONE},rows=5",
        f"job {ONE}, Nightly leads",
        f"Nightly leads import, {ONE}",
        f"{ONE} 2500",
        f"{ONE} Leads",
    ],
)
def test_words_and_counts_beside_an_id_are_not_reported_one_by_one(line):
    assert told(line) == [(1, "tracked", ONE)]


def test_each_entry_names_its_line():
    entries = job_ids.read(f"{ONE}\n\nnonsense\n{TWO}, {THREE}").entries

    assert [entry.line for entry in entries] == [1, 3, 4, 4]


def test_the_person_who_created_a_job_is_no_job():
    text = f"a log\n18:00 {json.dumps(CREATED)}\n18:01 {json.dumps(CREATED_TWO)}"

    assert ids(text) == [ONE, TWO]


def test_an_answer_among_log_lines_counts_for_the_line_in_which_its_id_stands():
    pretty = json.dumps([CREATED, CREATED_TWO], indent=2)
    text = f"start\n18:00 got {pretty}\n18:01 done\n{THREE}"
    line_of = {
        job_id: number
        for number, line in enumerate(text.split("\n"), start=1)
        for job_id in (ONE, TWO, THREE)
        if job_id in line
    }

    assert told(text) == [
        (1, "not_an_id", ""),
        (line_of[ONE], "tracked", ONE),
        (line_of[TWO], "tracked", TWO),
        (line_of[THREE], "tracked", THREE),
    ]


@pytest.mark.parametrize(
    "text",
    [
        CURL,
        f"refresh_token=1000.secretsecretsecret&job {ONE}",
        f"callback https://bulkwatch.example.com/hooks/zoho/s3cr3t-t0ken_secret/ job {ONE}",
    ],
)
def test_no_secret_of_a_paste_is_shown_again(text):
    shown = "".join(entry.text + entry.why for entry in job_ids.read(text).entries)

    assert "[hidden]" in shown
    assert "secret" not in shown.replace("client_secret", "")
    assert "0123456789abcd" not in shown
    assert "s3cr3t" not in shown


@pytest.mark.parametrize("place", range(0, 140, 10))
def test_no_part_of_a_token_is_shown_wherever_the_text_is_cut(place):
    tokens = f"1000.{'abcdef01' * 8}.{'abcdef01' * 8} " * 6
    [entry] = job_ids.read(f"{'x' * place} {tokens} job {ONE}").entries

    assert entry.job_id == ONE
    assert "abcdef" not in entry.text


@pytest.mark.parametrize(
    "text",
    [
        f"{ONE} {TWO} Bearer secretsecretsecret",
        f'{{"jobId": "{ONE}", "to": "https:\\/\\/x.example\\/hooks\\/zoho\\/secret\\/"}} {TWO}x',
        f"job_id,label\n{ONE},Bearer secretsecret",
    ],
)
def test_no_secret_is_shown_or_kept_as_a_label(text):
    entries = job_ids.read(text).entries

    assert "secret" not in "".join(entry.text + entry.label for entry in entries)


def test_a_word_before_a_line_does_not_hide_the_id_in_it():
    assert ids(f"Bearer\n{ONE}\nrefresh_token=\n{TWO}") == [ONE, TWO]


def test_lone_surrogates_and_nul_survive_without_reaching_the_database():
    [first, second] = job_ids.read(f"a\ud800\x00b\n{ONE}").entries

    assert first.text == "a\ufffd\ufffdb"
    assert second.job_id == ONE


def test_ids_in_json_are_those_of_bulk_write_jobs():
    assert job_ids.ids_in_json([CREATED, CREATED_TWO, CREATED]) == [ONE, TWO]
    assert job_ids.ids_in_json(seed.COMPLETED) == [ONE]
    assert job_ids.ids_in_json({"details": {"id": int(ONE)}}) == [ONE]
    assert job_ids.ids_in_json(READ_DETAILS) == []
    for nothing in (None, True, 1, 1.5, "x", [], {}, {"id": None}, {"details": [1]}):
        assert job_ids.ids_in_json(nothing) == []


class TestToCorrect:
    """The texts that may be shown again for somebody to correct."""

    def test_each_slip_stands_there_once_and_in_one_line(self):
        assert job_ids.to_correct([SLIP, f"job\n{SLIP}", SLIP]) == [SLIP, f"job {SLIP}"]

    @pytest.mark.parametrize(
        "text", [ONE, "404", f"see {ONE}", f"Deals 3 {ONE}", "111,111,000,000,541,958"]
    )
    def test_what_would_name_a_job_as_it_is_does_not_stand_there(self, text):
        assert job_ids.to_correct([SLIP, text]) == [SLIP]

    def test_what_is_too_much_to_be_read_again_does_not_stand_there(self):
        assert job_ids.to_correct(f"x {ONE[:-4]}{number}" for number in range(1000, 7000)) == []
