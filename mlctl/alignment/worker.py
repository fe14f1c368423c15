"""One language in a process of its own: `python -m mlctl.alignment.worker`, a job as JSON on standard input.

What went wrong for a reason that people can mend is said as JSON on standard output, with exit status 3.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from typing import Any

from mlctl.errors import InputError

#: Exit status of a failure that standard output explains.
EXPLAINED = 3

_PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> int:
    """Do the job on standard input and return the exit status."""
    told = json.load(sys.stdin)
    _die_with(told["parent"])
    try:
        from mlctl.alignment.language import Job, align_language

        align_language(Job.model_validate(told["job"]))
    except InputError as error:
        return _explain(problem=error.problem, remedy=error.remedy)
    except OSError as error:
        return _explain(errno=error.errno, text=error.strerror or str(error), file=error.filename and str(error.filename))
    return 0


def _explain(**facts: Any) -> int:
    sys.stdout.write(json.dumps(facts))
    return EXPLAINED


def _die_with(parent: int) -> None:
    """Have the kernel (Linux) kill this process when its parent dies, so that a killed run leaves nothing behind."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
