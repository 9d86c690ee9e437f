"""Skip reasons in words: Zoho's codes, and our own for what Zoho left unsaid."""

from jobs.zoho.result_codes import UNKNOWN, ResultCode, describe_result_code

NO_REASON = "NO_REASON_GIVEN"
UNPROCESSED = "UNPROCESSED"
OTHER_REASONS = "OTHER_REASONS"

_OWN = {
    NO_REASON: ResultCode(
        NO_REASON,
        "Zoho left the row out and gave no reason.",
        "Compare the row with one that was imported; import it again alone to see what Zoho says.",
    ),
    UNPROCESSED: ResultCode(
        UNPROCESSED,
        "Zoho did not come to the row before the job ended.",
        "Import the row again: nothing is known to be wrong with it.",
    ),
    OTHER_REASONS: ResultCode(
        OTHER_REASONS,
        "Further reasons, too many to list each.",
        "Download the skipped rows: each carries its own reason.",
    ),
}


def as_zoho_wrote(code: str, column: str) -> str:
    """A skip reason as it stands in the ERRORS column; "" for one of our own."""
    if code in _OWN:
        return ""
    return column if code == UNKNOWN else "-".join(filter(None, (code, column)))


def name_of(code: str, column: str) -> str:
    """What a skip reason is called: as Zoho wrote it, or by its code where Zoho wrote nothing."""
    return as_zoho_wrote(code, column) or code


def of_silence(status: str) -> str:
    """The code under which rows are counted for which Zoho names no error, by their status."""
    return UNPROCESSED if status == "unprocessed" else NO_REASON


def describe(code: str) -> ResultCode:
    """What a skip reason's code means and what to do about it."""
    return _OWN.get(code) or describe_result_code(code)


def in_words(code: str, column: str) -> str:
    """One skip reason as a person reads it: "Company: A mandatory field is empty"."""
    meaning = describe(code).meaning.rstrip(".")
    return f"{column}: {meaning}" if column else meaning
