"""Results of the sandbox against what each row was made to be: reasons, rows, re-import files.

The test writes the uploads itself and knows of each row why it will be left out; the sandbox reads
the file as Zoho would; the product sees the sandbox's answers and the attached upload alone.
"""

import csv
import io
import random
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from jobs.models import BulkWriteJob, Connection, SkipReason
from jobs.sandbox.samples import SAMPLE_CONNECTION
from jobs.sandbox.server import Sandbox
from jobs.services.connections import connecting
from jobs.services.observing import polling
from jobs.services.registering import job_ids, tracking
from jobs.services.results import fetching
from jobs.tests.factories import make_user
from jobs.tests.sandbox.conftest import Client, MovableClock
from jobs.tests.sandbox.test_imports import created, file_id, zipped

pytestmark = pytest.mark.django_db

NUMBER, LAST, EMAIL, FIRM, SINCE = "No.", "Name, last", "E-Mail: main", "Firm - legal name", "Since"
HEADERS = [NUMBER, LAST, EMAIL, FIRM, SINCE]
MAPPINGS = [
    {"api_name": "Last_Name", "index": 1},
    {"api_name": "Email", "index": 2},
    {"api_name": "Company", "index": 3},
    {"api_name": "Newsletter_Since", "index": 4, "format": "dd.MM.yyyy"},
]
REFUSED_FIRMS = {
    "Wartet AG": "NOT_APPROVED",
    "Gesperrt GmbH": "BLOCKED_RECORD",
    "Unmöglich KG": "CANNOT_PROCESS",
    "Zu viel; Ltd": "LIMIT_EXCEEDED",
    'Nirgends "Nord"': "RESOURCE_NOT_FOUND",
}


@dataclass
class Line:
    """One row of an upload: its cells, and the (code, header) pairs that must keep it out."""

    cells: list[str]
    why: list[tuple[str, str]] = field(default_factory=list)

    @property
    def errors(self) -> str:
        columns: dict[str, list[str]] = {}
        for code, header in self.why:
            columns.setdefault(code, []).append(header)
        return ":".join(f"{code}-{','.join(names)}" for code, names in columns.items())


def good(number: int) -> Line:
    cells = [f"{number}", f"Müller {number}", f"m{number}@firm.example", f"Firma {number}"]
    return Line([*cells, "28.02.2026"])


def leads(seed: int) -> list[Line]:
    """Some hundreds of leads, for all eight codes, alone and together, in a random order."""
    chance = random.Random(seed)
    lines = [good(number) for number in range(200)]
    at = {header: place for place, header in enumerate(HEADERS)}

    def spoiled(number: int, **spoil: str) -> Line:
        line = good(1000 + number)
        for name, value in spoil.items():
            line.cells[at[{"last": LAST, "email": EMAIL, "firm": FIRM, "since": SINCE}[name]]] = (
                value
            )
        return line

    for number in range(90):
        match number % 9:
            case 0:
                line = spoiled(number, last="")
                line.why = [("MANDATORY_NOT_FOUND", LAST)]
            case 1:
                line = spoiled(number, email="n/a")
                line.why = [("INVALID_DATA", EMAIL)]
            case 2:
                line = spoiled(number, since="31.02.2026")
                line.why = [("INVALID_DATA", SINCE)]
            case 3:
                line = spoiled(number, last="", firm="", email="a@b", since="soon")
                line.why = [
                    ("MANDATORY_NOT_FOUND", LAST),
                    ("INVALID_DATA", EMAIL),
                    ("MANDATORY_NOT_FOUND", FIRM),
                    ("INVALID_DATA", SINCE),
                ]
            case kind:
                firm = list(REFUSED_FIRMS)[kind - 4]
                line = spoiled(number, firm=firm)
                line.why = [(REFUSED_FIRMS[firm], FIRM)]
        lines.append(line)
    chance.shuffle(lines)
    # Behind all others, so that the first of each pair is the one that gets in.
    for number in range(12):
        twin = good(number)
        twin.cells[:2] = [f"twin {number}", f"Zwilling {number}\nzweite Zeile"]
        twin.why = [("DUPLICATE_DATA", EMAIL)]
        lines.append(twin)
    return lines


def raw(cells: list[str], chance: random.Random, delimiter: str) -> bytes:
    """A line as some program may write it: more quotes than are needed, now and then."""

    def cell(text: str) -> str:
        must = any(letter in text for letter in f'{delimiter}"\r\n')
        doubled = text.replace('"', '""')
        return f'"{doubled}"' if must or chance.random() < 0.2 else text

    return (delimiter.join(map(cell, cells)) + "\r\n").encode("cp1252")


@dataclass
class Import:
    lines: list[Line]
    header: bytes
    written: list[bytes]

    @property
    def upload(self) -> bytes:
        return self.header + b"".join(self.written)

    def left_out(self) -> list[bytes]:
        return [text for line, text in zip(self.lines, self.written, strict=True) if line.why]


def an_import(lines: list[Line], headers: list[str], seed: int, delimiter: str = ";") -> Import:
    chance = random.Random(seed)
    written = [raw(line.cells, chance, delimiter) for line in lines]
    return Import(lines, raw(headers, random.Random(0), delimiter), written)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def zoho(clock: MovableClock) -> Iterator[Client]:
    with Sandbox(clock=clock) as running:
        client = Client(running)
        orders = [
            {"module": "Leads", "api_name": "Company", "value": firm, "code": code}
            for firm, code in REFUSED_FIRMS.items()
        ]
        client.control("PUT", "refusals", orders)
        yield client
        client.session.close()


@pytest.fixture
def connection(zoho: Client, settings) -> Connection:
    settings.ALLOW_CUSTOM_ZOHO_HOSTS = True
    connection = Connection(
        name="sandbox",
        data_center="custom",
        api_url=zoho.sandbox.url,
        accounts_url=zoho.sandbox.url,
        **SAMPLE_CONNECTION,
    )
    connecting.save(connection)
    return connection


@pytest.fixture
def watch(zoho: Client, connection: Connection, clock: MovableClock):
    """Have a create request carried out by Zoho and seen to its end by the product."""

    def watched(order: dict) -> BulkWriteJob:
        job_id = created(zoho, order)
        clock.forward(60)
        tracking.track(connection, job_ids.read(job_id).entries)
        job = BulkWriteJob.objects.get(zoho_job_id=job_id)
        polling.poll_now([job])
        for result_id in fetching.claim_due():
            fetching.fetch(result_id)
        job.refresh_from_db()
        assert job.result.is_archived, job.result.error
        return job

    return watched


@pytest.fixture
def alice(client, db):
    client.force_login(make_user("alice"))
    return client


def order_of(zoho: Client, an: Import) -> dict:
    resource = {
        "type": "data",
        "module": {"api_name": "Leads"},
        "file_id": file_id(zoho, zipped(leads=an.upload)),
        "field_mappings": MAPPINGS,
    }
    return {"operation": "insert", "resource": [resource], "character_encoding": "windows-1252"}


def rows_of(response) -> list[list[str]]:
    assert response.status_code == 200
    content = b"".join(response.streaming_content).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(content, newline="")))


def attach(alice, job: BulkWriteJob, name: str, content: bytes) -> None:
    upload = SimpleUploadedFile(name, content)
    response = alice.post(f"/jobs/{job.pk}/reimport/", {"upload": upload})
    assert response.status_code == 302, response.content.decode()


def reimport(alice, job: BulkWriteJob, position: int = 0) -> bytes:
    response = alice.get(f"/jobs/{job.pk}/reimport/{position}.csv")
    assert response.status_code == 200
    return b"".join(response.streaming_content)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_reasons_rows_and_the_re_import_file_of_all_eight_codes(zoho, watch, alice, seed):
    sent = an_import(leads(seed), HEADERS, seed)
    job = watch(order_of(zoho, sent))

    expected = Counter(reason for line in sent.lines for reason in line.why)
    assert {code for code, _ in expected} == {
        *REFUSED_FIRMS.values(),
        "MANDATORY_NOT_FOUND",
        "INVALID_DATA",
        "DUPLICATE_DATA",
    }
    stored = SkipReason.objects.filter(file__result__job=job)
    assert {(reason.code, reason.field): reason.rows for reason in stored} == expected
    for reason in stored:
        hit = [
            number
            for number, line in enumerate(sent.lines, start=1)
            if (reason.code, reason.field) in line.why
        ]
        assert reason.first_rows == hit[:20]
        assert [sample["row"] for sample in reason.samples] == hit[:5]
        for sample in reason.samples:
            assert sample["values"] == sent.lines[sample["row"] - 1].cells[1:4]

    header, *rows = rows_of(alice.get(f"/jobs/{job.pk}/rows.csv"))
    shown = [header.index(name) for name in (LAST, EMAIL, FIRM)]
    assert [[row[place] for place in shown] for row in rows] == [
        line.cells[1:4] for line in sent.lines
    ]
    assert [row[header.index("Zoho's ERRORS")] for row in rows] == [
        line.errors for line in sent.lines
    ]
    for code, name in expected:
        asked = {"file": 0, "code": code, "field": name}
        header, *rows = rows_of(alice.get(f"/jobs/{job.pk}/rows.csv", asked))
        assert [int(row[header.index("Row")]) for row in rows] == [
            number for number, line in enumerate(sent.lines, start=1) if (code, name) in line.why
        ]

    attach(alice, job, "leads.csv", sent.upload)
    assert reimport(alice, job) == sent.header + b"".join(sent.left_out())


def test_facts_tell_duplicates_of_the_file_from_records_of_the_crm(zoho, watch):
    known = an_import([good(7)], HEADERS, 0)
    watch(order_of(zoho, known))
    lines = [good(7), good(8), good(8), good(8), good(9)]
    lines[0].why = lines[2].why = lines[3].why = [("DUPLICATE_DATA", EMAIL)]

    job = watch(order_of(zoho, an_import(lines, HEADERS, 0)))

    reason = SkipReason.objects.get(file__result__job=job)
    assert (reason.code, reason.rows) == ("DUPLICATE_DATA", 3)
    assert reason.facts["column"] == 1
    assert (reason.facts["repeated"], reason.facts["repeated_written"]) == (2, 2)


def test_parents_and_children_each_get_their_own_rows_back(zoho, watch, alice):
    products = [Line([f"P-{number}", f"Lamp {number}"]) for number in range(30)]
    for number in (3, 17):
        products[number].cells[1] = ""
        products[number].why = [("MANDATORY_NOT_FOUND", "Product_Name")]
    tiers = [Line([f"P-{number % 40}", str(number + 1), "9.90"]) for number in range(80)]
    for line in tiers:
        if line.cells[0] in ("P-3", "P-17") or int(line.cells[0][2:]) >= 30:
            line.why = [("RESOURCE_NOT_FOUND", "Product_Code")]
    parents = an_import(products, ["Product_Code", "Product_Name"], 1, ",")
    children = an_import(tiers, ["Product_Code", "From", "Price"], 2, ",")
    file = file_id(zoho, zipped(products=parents.upload, tiers=children.upload))
    mapped = {
        "Products": [("Product_Code", 0), ("Product_Name", 1)],
        "Price_Tiers": [("Parent_Id", 0), ("From_Quantity", 1), ("Tier_Price", 2)],
    }
    resources = [
        {
            "type": "data",
            "module": {"api_name": module},
            "file_id": file,
            "file_names": [name],
            "field_mappings": [
                {"api_name": api_name, "index": index}
                | ({"parent_column_index": 0} if api_name == "Parent_Id" else {})
                for api_name, index in mapped[module]
            ],
        }
        for module, name in (("Products", "products.csv"), ("Price_Tiers", "tiers.csv"))
    ]
    job = watch({"operation": "insert", "resource": resources})

    files = list(job.result.files.all())
    assert [str(file.resource) for file in files] == ["Products", "Price_Tiers"]
    for file, sent in zip(files, (parents, children), strict=True):
        expected = Counter(reason for line in sent.lines for reason in line.why)
        found = {(reason.code, reason.field): reason.rows for reason in file.reasons.all()}
        assert found == expected

    both = io.BytesIO()
    with zipfile.ZipFile(both, "w") as archive:
        archive.writestr("data/tiers.csv", children.upload)
        archive.writestr("data/products.csv", parents.upload)
    attach(alice, job, "import.zip", both.getvalue())
    for position, sent in ((0, parents), (1, children)):
        assert reimport(alice, job, position) == sent.header + b"".join(sent.left_out())
