"""Write into the store's diary what the run at hand does, stage by stage."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

from mlctl.config import Recipe
from mlctl.core import url_redaction
from storage import Store
from storage.run_log import Run, RunLog, StageRun

_current: ContextVar[tuple[RunLog, Run] | None] = ContextVar("current_run", default=None)


@contextlib.contextmanager
def run(name: str, recipe: Recipe) -> Iterator[Run]:
    """Record a run of the flow `name` while the block lasts."""
    book = RunLog(Store(recipe.store))
    with book.run(name, url_redaction.for_records(recipe.model_dump(mode="json"))) as record:
        token = _current.set((book, record))
        try:
            yield record
        finally:
            _current.reset(token)


@contextlib.contextmanager
def stage(name: str, key: str) -> Iterator[StageRun]:
    """Record one stage of the run at hand; the block sets `state`. Outside a run nothing is written."""
    record, started = StageRun(name, key), time.monotonic()
    current = _current.get()
    _save(current, record)
    try:
        yield record
    except BaseException:
        record.state = "failed"
        raise
    finally:
        record.seconds = round(time.monotonic() - started, 3)
        with contextlib.suppress(OSError):  # a full disk must not hide the error that is on its way
            _save(current)


def states() -> dict[str, str]:
    """Return what the run at hand did so far, by stage; empty outside a run."""
    current = _current.get()
    return {record.stage: record.state for record in current[1].stages} if current else {}


def _save(current: tuple[RunLog, Run] | None, new: StageRun | None = None) -> None:
    if current:
        book, record = current
        record.stages += [new] if new else []
        book.save(record)
