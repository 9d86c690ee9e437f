"""The result of a job: a ZIP with one CSV for each uploaded one.

Source: the v7 page "Download Result": the CSV is named ``<Module>-<uploaded name>`` and holds the
first three mapped columns followed by STATUS, RECORD_ID and ERRORS, in the uploaded order.
"""

import csv
import io
import zipfile
from collections.abc import Iterator

from .lives import PLAIN, Dialect, Job, Resource

RESULT_COLUMNS = ("STATUS", "RECORD_ID", "ERRORS")
KEPT_COLUMNS = 3


def kept_columns(resource: Resource) -> list[int]:
    """Return which columns of the upload come back."""
    indexes = [m["index"] for m in resource.mappings if m.get("index") is not None]
    return [index for index in indexes if index < len(resource.columns)][:KEPT_COLUMNS]


def result_csv(resource: Resource, *, own_columns: bool = True) -> bytes:
    """Return the result CSV; without ``own_columns`` as a file that lacks Zoho's three."""
    kept = kept_columns(resource)
    header = [resource.columns[index] for index in kept]
    if own_columns:
        header += RESULT_COLUMNS
    lines: Iterator[list[str]] = (
        [row.values[index] for index in kept]
        + ([row.status, row.record_id, row.errors] if own_columns else [])
        for row in resource.rows()
    )
    return _csv(header, lines)


def upload_csv(resource: Resource) -> bytes:
    """Return the CSV as it was uploaded, all columns of it."""
    if resource.uploaded is not None:
        return resource.uploaded
    rows = (list(row.values) for row in resource.rows())
    return _csv(list(resource.columns), rows, resource.dialect)


def result_zip(job: Job, *, own_columns: bool = True) -> bytes:
    files = {
        resource.result_csv_name: result_csv(resource, own_columns=own_columns)
        for resource in job.resources
    }
    return zip_of(files)


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            # A fixed date, so that the same job always gives the same bytes.
            archive.writestr(
                zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED
            )
    return buffer.getvalue()


def _csv(header: list[str], lines: Iterator[list[str]], dialect: Dialect = PLAIN) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=dialect.delimiter, lineterminator=dialect.line_end)
    writer.writerow(header)
    writer.writerows(lines)
    return text.getvalue().encode(dialect.encoding)
