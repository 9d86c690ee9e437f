"""The three sample bodies of the v7 page "Bulk Write Job Details", as printed there.

The page's JSON lacks two commas and carries stray backslashes; nothing else was repaired. All three
are printed with the same id; here each has its own, so that all can be asked for.
"""

import json
from typing import Any

from .lives import Job, Phase, Resource
from .sample_rows import Upload, skip

ADDED_ID = "111111000000541956"
IN_PROGRESS_ID = "111111000000541957"
COMPLETED_ID = "111111000000541958"
CREATOR = ("111111000000035795", "Patricia Boyle")
MODULE_ID = "3652397000000002181"

ADDED: dict[str, Any] = json.loads("""
{
  "status": "ADDED",
  "resource": [
    {
      "status": "INPROGRESS",
      "code": "ADDED",
      "type": "data",
      "module": {"api_name": "Deals", "id": "3652397000000002181"},
      "field_mappings": [
        {"api_name": "Deal_Name", "index": 1,
         "format": null, "find_by": null, "default_value": null},
        {"api_name": "Stage", "index": 132,
         "format": null, "find_by": null, "default_value": null}
      ],
      "file": {
        "status": "INPROGRESS"
      }
    }
  ],
  "id": "111111000000541956",
  "created_by": {"id": "111111000000035795", "name": "Patricia Boyle"},
  "operation": "insert",
  "created_time": "2019-01-30T02:21:32-12:00"
}
""")

IN_PROGRESS: dict[str, Any] = json.loads("""
{
  "status": "INPROGRESS",
  "character_encoding": "UTF-8",
  "resource": [
    {
      "status": "INPROGRESS",
      "code": "ADDED",
      "type": "data",
      "module": {"api_name": "Deals", "id": "3652397000000002181"},
      "field_mappings": [
        {"api_name": "Deal_Name", "index": 1,
         "format": null, "find_by": null, "default_value": null},
        {"api_name": "Stage", "index": 2,
         "format": null, "find_by": null, "default_value": null}
      ],
      "file": {
        "status": "INPROGRESS",
        "name": "Deals.csv",
        "added_count": 0,
        "skipped_count": 100,
        "updated_count": 0,
        "total_count": 100
      }
    }
  ],
  "id": "111111000000541957",
  "created_by": {"id": "111111000000035795", "name": "Patricia Boyle"},
  "operation": "insert",
  "created_time": "2019-01-30T02:18:15-12:00"
}
""")

COMPLETED: dict[str, Any] = json.loads("""
{
  "status": "COMPLETED",
  "character_encoding": "UTF-8",
  "resource": [
    {
      "status": "COMPLETED",
      "type": "data",
      "code": "SUCCESS",
      "module": {"api_name": "Deals", "id": "3652397000000002181"},
      "field_mappings": [
        {"api_name": "Deal_Name", "index": 1,
         "format": null, "find_by": null, "default_value": null},
        {"api_name": "Stage", "index": 2,
         "format": null, "find_by": null, "default_value": null}
      ],
      "file": {
        "status": "COMPLETED",
        "name": "Deals.csv",
        "added_count": 0,
        "skipped_count": 100,
        "updated_count": 0,
        "total_count": 100
      }
    }
  ],
  "id": "111111000000541958",
  "result": {
    "download_url": "/v7/crm/org6196138/bulk-write/111111000000541958/111111000000541958.zip"
  },
  "created_by": {"id": "111111000000035795", "name": "Patricia Boyle"},
  "operation": "insert",
  "created_time": "2019-01-30T02:18:15-12:00"
}
""")

_UPLOAD = Upload(
    fields=(("Owner", "Owner"), ("Deal_Name", "Deal_Name"), ("Stage", "Stage")),
    skips=(
        skip(88, "MANDATORY_NOT_FOUND-Stage"),
        skip(7, "MANDATORY_NOT_FOUND-Deal_Name,Stage"),
        skip(5, "MANDATORY_NOT_FOUND-Deal_Name", "INVALID_DATA-Stage"),
    ),
)
_CREATED = 1548857895.0  # 2019-01-30T02:18:15-12:00


def documented_jobs() -> list[Job]:
    """Return the three as jobs that never move; only the completed one has a result."""
    resource = Resource(
        "Deals",
        MODULE_ID,
        "Deals.csv",
        _UPLOAD.columns,
        tuple(COMPLETED["resource"][0]["field_mappings"]),
        _UPLOAD.tally,
        _UPLOAD.rows,
        result_name="Deals-bulkwrite.csv",
    )
    return [
        Job(
            body["id"],
            _CREATED,
            _CREATED,
            "insert",
            CREATOR,
            (resource,),
            (Phase(60, body["status"], 1.0),),
            link_seconds=None,
            verbatim=body,
        )
        for body in (ADDED, IN_PROGRESS, COMPLETED)
    ]
