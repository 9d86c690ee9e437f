"""The three sample answers of Zoho's v7 page "Bulk Write Job Details", their commas repaired."""

from typing import Any

JOB_ID = "111111000000541958"


def _mapping(api_name: str, index: int) -> dict[str, Any]:
    return {
        "api_name": api_name,
        "index": index,
        "format": None,
        "find_by": None,
        "default_value": None,
    }


def _job(status: str, code: str, stage_index: int, **fields: Any) -> dict[str, Any]:
    part = {
        "status": "COMPLETED" if status == "COMPLETED" else "INPROGRESS",
        "code": code,
        "type": "data",
        "module": {"api_name": "Deals", "id": "3652397000000002181"},
        "field_mappings": [_mapping("Deal_Name", 1), _mapping("Stage", stage_index)],
    }
    counted = {"name": "Deals.csv", "added_count": 0, "skipped_count": 100} | {
        "updated_count": 0,
        "total_count": 100,
    }
    part["file"] = {"status": part["status"]} | ({} if status == "ADDED" else counted)
    encoding = {} if status == "ADDED" else {"character_encoding": "UTF-8"}
    return {
        "status": status,
        **encoding,
        "resource": [part],
        "id": JOB_ID,
        **fields,
        "created_by": {"id": "111111000000035795", "name": "Patricia Boyle"},
        "operation": "insert",
        "created_time": f"2019-01-30T02:{'21:32' if status == 'ADDED' else '18:15'}-12:00",
    }


ADDED = _job("ADDED", "ADDED", 132)
IN_PROGRESS = _job("INPROGRESS", "ADDED", 2)
COMPLETED = _job(
    "COMPLETED",
    "SUCCESS",
    2,
    result={"download_url": f"/v7/crm/org6196138/bulk-write/{JOB_ID}/{JOB_ID}.zip"},
)
