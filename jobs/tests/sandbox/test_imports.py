"""Upload and create, and what becomes of the rows."""

import csv
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

LEADS = (
    "Last_Name,Company,Email,Since\n"
    "Novák,Altair,a@altair.example,2026-01-31\n"
    ",Birch,b@birch.example,2026-02-01\n"
    "Weber,,not an address,2026-02-30\n"
    "Ito,Cobalt,A@ALTAIR.example,2026-02-02\n"
    "Silva,Drift,,\n"
)
MAPPINGS = [
    {"api_name": "Last_Name", "index": 0},
    {"api_name": "Company", "index": 1},
    {"api_name": "Email", "index": 2},
    {"api_name": "Newsletter_Since", "index": 3, "format": "yyyy-MM-dd"},
    {"api_name": "Lead_Source", "default_value": {"value": "Import"}},
]


def zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            data = text if isinstance(text, bytes) else text.encode()
            archive.writestr(f"{name}.csv", data)
    return buffer.getvalue()


def upload(client, data, **headers):
    headers = {"feature": "bulk-write", "X-CRM-ORG": "6196138", **headers}
    files = {"file": ("upload.zip", data, "application/zip")}
    return client.request("POST", "/crm/v7/upload", headers=headers, files=files)


def file_id(client, data):
    response = upload(client, data)
    assert response.status_code == 200, response.text
    return response.json()["details"]["file_id"]


def order(file, mappings=MAPPINGS, module="Leads", operation="insert", **more):
    resource = {
        "type": "data",
        "module": {"api_name": module},
        "file_id": file,
        "field_mappings": mappings,
    }
    return {"operation": operation, "resource": [resource], **more}


def create(client, body):
    return client.request("POST", "/crm/bulk/v7/write", json=body)


def created(client, body):
    response = create(client, body)
    assert response.status_code == 201, response.text
    return response.json()["details"]["id"]


def result(client, details):
    content = client.get(details["result"]["download_url"]).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {
            name: list(csv.DictReader(io.StringIO(archive.read(name).decode())))
            for name in archive.namelist()
        }


def counts(details, number=0):
    file = details["resource"][number]["file"]
    return file["added_count"], file["updated_count"], file["skipped_count"], file["total_count"]


def test_an_uploaded_zip_gets_a_file_id(client):
    body = upload(client, zipped(leads=LEADS)).json()
    assert (body["status"], body["code"]) == ("success", "FILE_UPLOAD_SUCCESS")
    assert body["message"] == "file uploaded."
    assert body["details"]["file_id"].isdigit()
    assert body["details"]["created_time"]


def test_upload_errors(client):
    assert upload(client, b"a,b\n1,2\n").json()["code"] == "INVALID_FILE_FORMAT"
    for missing in ("feature", "X-CRM-ORG"):
        body = upload(client, zipped(leads=LEADS), **{missing: None}).json()
        assert body["x-error"] == "check if headers [feature, X-CRM-ORG] are present and valid"
    big = upload(client, b"0" * (25 * 1024 * 1024 + 1))
    assert (big.status_code, big.json()["code"]) == (413, "FILE_TOO_LARGE")
    headers = {"feature": "bulk-write", "X-CRM-ORG": "6196138"}
    bare = client.request("POST", "/crm/v7/upload", headers=headers, data=b"x")
    assert bare.json()["code"] == "MANDATORY_NOT_FOUND"


def test_a_created_job_answers_as_documented(client):
    response = create(client, order(file_id(client, zipped(leads=LEADS))))
    assert response.status_code == 201
    body = response.json()
    assert (body["status"], body["code"], body["message"]) == ("success", "ADDED", "success")
    assert len(body["details"]["id"]) == 18
    assert body["details"]["created_by"].keys() == {"id", "name"}


def test_rows_are_decided_one_by_one(client, clock):
    job_id = created(client, order(file_id(client, zipped(leads=LEADS))))
    assert client.job(job_id)["status"] == "ADDED"
    clock.forward(3)
    assert client.job(job_id)["status"] == "INPROGRESS"
    clock.forward(3)

    details = client.job(job_id)
    assert details["status"] == "COMPLETED"
    assert counts(details) == (2, 0, 3, 5)
    assert details["resource"][0]["file"]["name"] == "leads.csv"
    rows = result(client, details)["Leads-leads.csv"]
    assert list(rows[0]) == ["Last_Name", "Company", "Email", "STATUS", "RECORD_ID", "ERRORS"]
    assert [(row["STATUS"], row["ERRORS"]) for row in rows] == [
        ("added", ""),
        ("skipped", "MANDATORY_NOT_FOUND-Last_Name"),
        ("skipped", "MANDATORY_NOT_FOUND-Company:INVALID_DATA-Email,Since"),
        ("skipped", "DUPLICATE_DATA-Email"),
        ("added", ""),
    ]
    assert [bool(row["RECORD_ID"]) for row in rows] == [True, False, False, False, True]


def test_mappings_come_back_as_they_were_given(client, clock):
    job_id = created(client, order(file_id(client, zipped(leads=LEADS))))
    shown = client.job(job_id)["resource"][0]["field_mappings"]
    assert shown[3] == {
        "api_name": "Newsletter_Since",
        "index": 3,
        "format": "yyyy-MM-dd",
        "find_by": None,
        "default_value": None,
    }
    assert "index" not in shown[4]
    assert shown[4]["default_value"] == {"value": "Import"}


def test_progress_grows_at_a_plausible_speed(client, clock):
    lines = "".join(f"Name{n},Firm\n" for n in range(7000))
    mappings = MAPPINGS[:2]
    job_id = created(client, order(file_id(client, zipped(big="L,C\n" + lines)), mappings))
    seen = []
    for _ in range(5):
        clock.forward(18)
        seen.append(counts(client.job(job_id))[0])
    assert seen == sorted(set(seen))
    assert seen[0] > 0
    assert seen[-1] < 7000
    clock.forward(60)
    assert counts(client.job(job_id)) == (7000, 0, 0, 7000)


def test_upsert_updates_what_an_earlier_job_added(client, clock):
    created(client, order(file_id(client, zipped(leads=LEADS))))
    again = "L,C,E\nNovák,Altair,a@altair.example\nNew,Eastgate,new@east.example\n"
    mappings = [*MAPPINGS[:2], {"api_name": "Email", "index": 2, "find_by": "Email"}]
    body = order(file_id(client, zipped(again=again)), mappings, operation="upsert")
    job_id = created(client, body)
    clock.forward(60)
    assert counts(client.job(job_id)) == (1, 1, 0, 2)


def test_update_skips_what_is_not_there(client, clock):
    mappings = [*MAPPINGS[:2], {"api_name": "Email", "index": 2, "find_by": "Email"}]
    file = file_id(client, zipped(x="L,C,E\nA,B,nobody@x.example\n"))
    job_id = created(client, order(file, mappings, operation="update"))
    clock.forward(60)
    details = client.job(job_id)
    assert counts(details) == (0, 0, 1, 1)
    assert result(client, details)["Leads-x.csv"][0]["ERRORS"] == "RESOURCE_NOT_FOUND-E"


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfLast_Name,Company\nM\xc3\xbcller,Altair\n",
        "Last_Name;Company\nMüller;Altair\n".encode(),
        "Last_Name,Company\nMüller,Altair\n".encode("cp1252"),
        "Last_Name\tCompany\nMüller\tAltair\n".encode("utf-16"),
    ],
)
def test_encodings_and_delimiters(client, clock, data):
    job_id = created(client, order(file_id(client, zipped(x=data)), None))
    clock.forward(60)
    details = client.job(job_id)
    assert counts(details) == (1, 0, 0, 1)
    assert result(client, details)["Leads-x.csv"][0]["Last_Name"] == "Müller"


def test_children_find_their_parents_by_a_column(client, clock):
    file = file_id(
        client,
        zipped(
            products="Code,Name\nP1,Lamp\nP2,\n",
            tiers="Parent,From,Price\nP1,1,10\nP2,1,20\nP9,1,30\n",
        ),
    )
    parent = order(file, module="Products")["resource"][0] | {
        "file_names": ["products.csv"],
        "field_mappings": [
            {"api_name": "Product_Code", "index": 0},
            {"api_name": "Product_Name", "index": 1},
        ],
    }
    child = order(file, module="Price_Tiers")["resource"][0] | {
        "file_names": ["tiers.csv"],
        "field_mappings": [
            {"api_name": "Parent_Id", "index": 0, "parent_column_index": 0},
            {"api_name": "From_Quantity", "index": 1},
            {"api_name": "Tier_Price", "index": 2},
        ],
    }
    job_id = created(client, {"operation": "insert", "resource": [parent, child]})
    clock.forward(60)
    details = client.job(job_id)
    assert (counts(details, 0), counts(details, 1)) == ((1, 0, 1, 2), (1, 0, 2, 3))
    rows = result(client, details)["Price_Tiers-tiers.csv"]
    assert rows[2]["ERRORS"] == "RESOURCE_NOT_FOUND-Parent"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"operation": None}, "MISSING_REQUIRED_KEY"),
        ({"operation": "delete"}, "INVALID_REQUEST"),
        ({"resource": {}}, "MISSING_REQUIRED_KEY"),
        ({"resource": {"type": "data"}}, "INVALID_REQUEST"),
        ({"callback": {"url": "nonsense", "method": "post"}}, "INVALID_CALLBACK_URL"),
        ({"callBack": {"url": "https://x.example", "method": "get"}}, "INVALID_CALLBACK_METHOD"),
    ],
)
def test_what_can_be_wrong_with_a_request(client, change, code):
    body = order(file_id(client, zipped(leads=LEADS))) | change
    response = create(client, body)
    assert (response.status_code, response.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"module": {"api_name": "Unicorns"}}, "MODULE_NOT_AVAILABLE"),
        ({"type": None}, "MISSING_REQUIRED_KEY"),
        ({"file_id": "1"}, "INVALID_FILE_ID"),
        ({"file_names": ["other.csv"]}, "FILE_NOT_FOUND"),
        ({"field_mappings": MAPPINGS[:1]}, "MANDATORY_FIELDS_NOT_MAPPED"),
        ({"field_mappings": [{"api_name": "ast_Name", "index": 0}]}, "INVALID_FIELD"),
        ({"field_mappings": [{"api_name": "Email", "index": 44}]}, "COLUMN_INDEX_NOT_FOUND"),
        ({"field_mappings": [{"api_name": "Company"}]}, "COLUMN_INDEX_NOT_FOUND"),
        ({"field_mappings": [{"index": 0}]}, "MISSING_REQUIRED_KEY"),
        (
            {"field_mappings": [{"api_name": "Newsletter_Since", "index": 3, "format": "quux"}]},
            "INVALID_FORMAT",
        ),
    ],
)
def test_what_can_be_wrong_with_a_resource(client, change, code):
    body = order(file_id(client, zipped(leads=LEADS)))
    body["resource"][0] |= change
    response = create(client, body)
    assert (response.status_code, response.json()["code"]) == (400, code)


def test_files_that_are_refused(client):
    wide = ",".join(f"c{n}" for n in range(201)) + "\n"
    for data, code in ((wide, "HEADER_LIMIT_EXCEEDED"), (b"", "FILE_NOT_SUPPORTED")):
        response = create(client, order(file_id(client, zipped(x=data)), None))
        assert response.json()["code"] == code
    bad_json = client.request("POST", "/crm/bulk/v7/write", data=b"{")
    assert bad_json.json()["code"] == "INVALID_REQUEST_BODY"


def test_more_than_25000_rows_fail_the_job(client, clock):
    data = "Last_Name,Company\n" + "A,B\n" * 25001
    job_id = created(client, order(file_id(client, zipped(x=data)), None))
    clock.forward(10)
    details = client.job(job_id)
    assert (details["status"], details["resource"][0]["code"]) == ("FAILED", "LIMIT_EXCEEDED")


def test_the_callback_is_called_once_at_the_end(client, clock):
    bodies = []
    arrived = threading.Event()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()
            arrived.set()

        def log_message(self, *args):
            pass

    receiver = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, args=(0.02,), daemon=True).start()
    try:
        callback = {
            "url": f"http://127.0.0.1:{receiver.server_port}/hooks/zoho/secret/",
            "method": "post",
        }
        body = order(file_id(client, zipped(leads=LEADS)), callback=callback)
        job_id = created(client, body)
        assert not arrived.wait(0.3)
        clock.forward(60)
        assert arrived.wait(3)
        arrived.clear()
        assert not arrived.wait(0.3)
    finally:
        receiver.shutdown()
        receiver.server_close()
    assert bodies == [client.details(job_id).content]
    assert client.job(job_id)["callback"] == callback


def test_callbacks_to_other_machines_or_to_nobody_do_no_harm(client, clock):
    file = file_id(client, zipped(leads=LEADS))
    for url in ("https://hooks.example/x", "http://127.0.0.1:1/x"):
        created(client, order(file, callback={"url": url, "method": "post"}))
    clock.forward(60)
    assert client.control("GET", "health")["status"] == "ok"


def test_the_uploaded_bytes_are_kept_as_they_were(client):
    raw = '\ufeffLast_Name;Company\r\n"Novák; Jr";Altair\r\n'.encode()
    mappings = [{"api_name": "Last_Name", "index": 0}, {"api_name": "Company", "index": 1}]
    job_id = created(client, order(file_id(client, zipped(leads=raw)), mappings))

    assert client.get(f"/__sandbox__/jobs/{job_id}/upload").content == raw


def test_a_row_is_refused_by_the_value_that_was_named(client, clock):
    refusal = {"module": "Leads", "api_name": "Company", "value": "Altair"}
    client.control("PUT", "refusals", [refusal | {"code": "BLOCKED_RECORD"}])
    job_id = created(client, order(file_id(client, zipped(leads=LEADS))))
    clock.forward(30)

    [rows] = result(client, client.job(job_id)).values()
    assert (rows[0]["STATUS"], rows[0]["ERRORS"]) == ("skipped", "BLOCKED_RECORD-Company")
    assert "BLOCKED_RECORD" not in "".join(row["ERRORS"] for row in rows[1:])
