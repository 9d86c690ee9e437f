"""Result ZIPs made by hand, and readers of them."""

import io
import zipfile

from jobs.zoho.result_files import ResultArchive

HEADER = "Deal_Name,Stage,Amount,STATUS,RECORD_ID,ERRORS\n"
CSV = HEADER + (
    "Big,New,1,added,111111000000541958,\n"
    'Small,Old,2,SKIPPED,,"MANDATORY_NOT_FOUND-Company,Last_Name:DUPLICATE_DATA-Email"\n'
    "Third,Old,3, Updated ,3,\n"
    "Fourth,Old,4,unprocessed,,\n"
)


def zipped(*members, compression=zipfile.ZIP_DEFLATED):
    """A ZIP of these members, each a name and its content."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file


def reader(data, limits=None, **options):
    """A reader of a ZIP that holds this CSV."""
    data = data.encode() if isinstance(data, str) else data
    archive = ResultArchive(zipped(("Deals-bulkwrite.csv", data)), limits)
    return archive.rows(archive.members[0], **options)


def rows(data, limits=None, **options):
    return list(reader(data, limits, **options))
