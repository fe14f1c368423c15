"""Records what the current run does in the store's run log, stage by stage."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar

from mlctl.config import Recipe
from mlctl.core.interruption import on_interruption
from mlctl.core.url_redaction import redact_text, redact_values
from storage import Store
from storage.run_log import Run, RunLog, StageRun

_current: ContextVar[tuple[RunLog, Run] | None] = ContextVar("current_run", default=None)
_overrides: ContextVar[tuple[str, ...]] = ContextVar("overrides", default=())
_recorded: list[Run] = []  # by this process, in order


@contextlib.contextmanager
def record_run(name: str, recipe: Recipe) -> Iterator[Run]:
    """Record a run of the flow `name` while the block lasts."""
    log = RunLog(Store(recipe.store))
    with log.run(name, redact_values(recipe.model_dump(mode="json")), _overrides.get()) as run:
        token = _current.set((log, run))
        _recorded.append(run)
        try:
            with on_interruption(lambda reason: _record_interruption(log, run, reason)):
                yield run
        finally:
            _current.reset(token)


@contextlib.contextmanager
def recording_overrides(overrides: Sequence[str]) -> Iterator[None]:
    """Record these overrides of the recipe, and those of an enclosing block, with each run that begins in the block."""
    token = _overrides.set(_overrides.get() + tuple(redact_text(text) for text in overrides))
    try:
        yield
    finally:
        _overrides.reset(token)


def latest() -> Run:
    """Return the run that this process recorded last."""
    return _recorded[-1]


def _record_interruption(log: RunLog, run: Run, reason: str) -> None:
    run.status, run.error = "interrupted", reason
    log.end(run)


@contextlib.contextmanager
def record_stage(name: str, key: str) -> Iterator[StageRun]:
    """Record one stage of the current run; the block sets `state`. Outside a run nothing is written."""
    record, started = StageRun(name, key), time.monotonic()
    current = _current.get()
    _save(current, record)
    try:
        yield record
    except BaseException as error:
        record.state = "failed" if isinstance(error, Exception) else "interrupted"
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
