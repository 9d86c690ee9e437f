"""What no log may hold."""

import logging
import re

# The last part of the address that Zoho calls is a secret: whoever has it may call.
_HOOK = re.compile(r"(/hooks/zoho/)[^/\s\"'?]+")


class HideHookTokens(logging.Filter):
    """Take the tokens of callback addresses out of a record: message and traceback."""

    _plain = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        # Arguments of any kind may write the address: what counts is what the message becomes.
        try:
            message = record.getMessage()
        except Exception:  # Whoever logs must not fail by it.
            message = f"{record.msg!r} (its arguments do not suit it)"
        record.msg, record.args = _hidden(message), None
        if record.exc_info and not record.exc_text:
            # Formatters take the text that is there already.
            record.exc_text = self._plain.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = _hidden(record.exc_text)
        return True


class HideNotReady(logging.Filter):
    """Leave out that `/readyz` has answered 503: its answer, and again every few seconds.

    What is wrong stands in banners and mails. An exception there is an error as anywhere.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        path = getattr(getattr(record, "request", None), "path_info", "")
        is_answer = getattr(record, "status_code", None) == 503 and not record.exc_info
        return not (is_answer and path == "/readyz")


def _hidden(text: str) -> str:
    return _HOOK.sub(r"\1…", text)
