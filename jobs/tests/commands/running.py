"""Runs our commands in the test's process, as a shell would see them."""

import io
import json
from typing import Any, NamedTuple

from django.core.management import CommandError, call_command


class Run(NamedTuple):
    """How a command ended: its exit status and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What stands on standard output, which must be JSON and nothing else."""
        return json.loads(self.out)


def run(*argv: str) -> Run:
    out, err = io.StringIO(), io.StringIO()
    status = 0
    try:
        call_command(*argv, stdout=out, stderr=err)
    except CommandError as error:
        status = error.returncode
        err.write(str(error))
    except SystemExit as end:
        status = int(end.code or 0)
    return Run(status, out.getvalue(), err.getvalue())
