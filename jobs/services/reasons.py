"""Skip reasons in words: Zoho's codes, and our own for what Zoho left unsaid."""

from jobs.zoho.result_files import ResultCode, describe_result_code

NO_REASON = "NO_REASON_GIVEN"
OTHER_REASONS = "OTHER_REASONS"

_OWN = {
    NO_REASON: ResultCode(
        NO_REASON,
        "Zoho skipped the row, or did not come to it, and gave no reason.",
        "Import unprocessed rows again as they are. Compare skipped ones with a row that was "
        "imported; import one again alone to see what Zoho says.",
    ),
    OTHER_REASONS: ResultCode(
        OTHER_REASONS,
        "Further reasons, too many to list each.",
        "Download the skipped rows: each carries its own reason.",
    ),
}


def describe(code: str) -> ResultCode:
    """What a skip reason's code means and what to do about it."""
    return _OWN.get(code) or describe_result_code(code)


def in_words(code: str, column: str) -> str:
    """One skip reason as a person reads it: "Company: A mandatory field is empty"."""
    meaning = describe(code).meaning.rstrip(".")
    return f"{column}: {meaning}" if column else meaning
