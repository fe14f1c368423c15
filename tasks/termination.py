"""Termination of a run by Prefect (a cancellation, a preempted pod) while mlctl handles SIGTERM itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from prefect.utilities import engine

from mlctl.training import interruption


@contextlib.contextmanager
def acknowledging(handler: Any, previous: Any) -> Iterator[None]:
    """While the block lasts, Prefect takes `handler` for its own handler of SIGTERM, if `previous` is that.

    Prefect's own raises an exception wherever the process is, which no training step survives. But with another one, a run does not
    acknowledge why it is ended, and Prefect kills it at once, before its checkpoint is saved. There is no public function for this.
    """
    own = getattr(engine, "_prefect_sigterm_handler", None)
    if own is None or previous is not own:
        yield
        return
    engine._prefect_sigterm_handler = handler
    try:
        yield
    finally:
        engine._prefect_sigterm_handler = own


interruption.announce_handler = acknowledging
