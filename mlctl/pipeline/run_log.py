"""Records what the current run does in the store's run log, stage by stage."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextvars import ContextVar

from mlctl.config import Recipe
from mlctl.core.url_redaction import redact_values
from storage import Store
from storage.run_log import Run, RunLog, StageRun

_current: ContextVar[tuple[RunLog, Run] | None] = ContextVar("current_run", default=None)


@contextlib.contextmanager
def record_run(name: str, recipe: Recipe) -> Iterator[Run]:
    """Record a run of the flow `name` while the block lasts."""
    log = RunLog(Store(recipe.store))
    with log.run(name, redact_values(recipe.model_dump(mode="json"))) as run:
        token = _current.set((log, run))
        try:
            yield run
        finally:
            _current.reset(token)


@contextlib.contextmanager
def record_stage(name: str, key: str) -> Iterator[StageRun]:
    """Record one stage of the current run; the block sets `state`. Outside a run nothing is written."""
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
        with contextlib.suppress(OSError):  # a full disk must not hide the error that is being raised
            _save(current)


def states() -> dict[str, str]:
    """Return the states of the current run's stages by name; empty outside a run."""
    current = _current.get()
    return {record.stage: record.state for record in current[1].stages} if current else {}


def _save(current: tuple[RunLog, Run] | None, new: StageRun | None = None) -> None:
    if current:
        log, run = current
        run.stages += [new] if new else []
        log.save(run)
