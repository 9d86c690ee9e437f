"""What no log may hold."""

import logging
import re
from typing import Any

# The last part of the address that Zoho calls is a secret: whoever has it may call.
_HOOK = re.compile(r"(/hooks/zoho/)[^/\s\"'?]+")


class HideHookTokens(logging.Filter):
    """Take the tokens of callback addresses out of a record: message, arguments, traceback."""

    _plain = logging.Formatter()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _hidden(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(_hidden(argument) for argument in record.args)
        if record.exc_info and not record.exc_text:
            # Formatters take the text that is there already.
            record.exc_text = self._plain.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = _hidden(record.exc_text)
        return True


def _hidden(value: Any) -> Any:
    return _HOOK.sub(r"\1…", value) if isinstance(value, str) else value
