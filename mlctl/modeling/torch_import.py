"""The first import of torch, in a process that may be interrupted: a notebook's kernel."""

from __future__ import annotations

import importlib
import sys

from mlctl.core.interruption import deferring_interrupts


def import_torch() -> None:
    """Import torch to its end, and only then let Ctrl-C through.

    An import that was interrupted cannot be repeated: its compiled module is half set up, and the process has to be started anew.
    """
    if "torch" not in sys.modules:
        with deferring_interrupts():
            importlib.import_module("torch")
