"""The run log: one small JSON file a run. `mlctl runs` shows it; the garbage collector keeps the results that recent runs refer to."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlctl.core import interruption, locks
from storage.documents import make_folder
from storage.errors import StoreError
from storage.manifest import write_json
from storage.store import Store

_log = logging.getLogger(__name__)

_FOLDER = ".runs"
_RESERVE, _RESERVED_BYTES = ".reserve", 2**16


@dataclass
class StageRun:
    """One stage of a run: `state` is running, computed, cached, failed or interrupted."""

    stage: str
    key: str
    state: str = "running"
    seconds: float = 0.0


@dataclass
class Run:
    """One run of a flow: `status` is running, completed, failed or interrupted (a signal ended it, or its process died)."""

    id: str
    name: str
    recipe: dict[str, Any]
    started: str
    status: str = "running"
    ended: str = ""
    error: str = ""
    stages: list[StageRun] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)

    @property
    def suffix(self) -> str:
        """The last part of the id, which is random."""
        return self.id.rpartition("-")[2]

    def matches(self, text: str) -> bool:
        """Return whether the id, or its last part, begins with `text`."""
        return self.id.startswith(text) or self.suffix.startswith(text)


class RunLog:
    """The runs of one store."""

    def __init__(self, store: Store) -> None:
        self.folder = store.root / _FOLDER
        self._warned = False

    @contextlib.contextmanager
    def run(self, name: str, recipe: dict[str, Any], overrides: Sequence[str] = ()) -> Iterator[Run]:
        """Record a run while the block lasts; call `save` after each change. An error is recorded and re-raised.

        Some space is reserved while it runs, so that also a run that ends because the disk is full is recorded with its error. Where the
        store cannot be written to, the run goes on without a record: if everything is cached, it needs none.
        """
        run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:8]}"
        run = Run(run_id, name, recipe, _now(), overrides=list(overrides))
        reserve = self.folder / f"{run.id}{_RESERVE}"
        with self._locked(run):
            self.save(run)
            with self._tolerated():
                reserve.write_bytes(bytes(_RESERVED_BYTES))
            try:
                yield run
                run.status = "completed"
            except BaseException as error:
                interruption.wait_if_requested()  # the error of a process that a signal ends is a consequence
                run.status = "failed" if isinstance(error, Exception) else "interrupted"
                run.error = str(error) or type(error).__name__
                raise
            finally:
                with self._tolerated():
                    reserve.unlink(missing_ok=True)
                self.end(run)
        with self._tolerated():
            self._lock(run.id).unlink(missing_ok=True)

    def end(self, run: Run) -> None:
        """Write the record of a run that has ended."""
        run.ended = _now()
        _end_stages(run)
        self.save(run)

    def save(self, run: Run) -> None:
        """Write the record of a run. An error becomes a warning: it must not end a run, nor hide the error that ended it."""
        with self._tolerated():
            make_folder(self.folder)
            write_json(self._file(run.id), dataclasses.asdict(run))

    @contextlib.contextmanager
    def _locked(self, run: Run) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            with self._tolerated():
                make_folder(self.folder)
                stack.enter_context(locks.locked(self._lock(run.id)))
            yield

    @contextlib.contextmanager
    def _tolerated(self) -> Iterator[None]:
        try:
            yield
        except (OSError, StoreError) as error:
            if not self._warned:
                self._warned = True
                _log.warning("this run is not recorded in %s: %s", self.folder, str(error).partition("\n")[0])

    def runs(self) -> list[Run]:
        """Return all runs, newest first; a run whose process died has the status `interrupted`."""
        found = [run for path in self.folder.glob("*.json") if (run := self._read(path))]
        return sorted(found, key=lambda run: run.id, reverse=True)

    def matching(self, text: str) -> list[Run]:
        """Return the runs whose id, or its last part, begins with `text`, newest first."""
        return [run for run in self.runs() if run.matches(text)]

    def forget(self, run: Run) -> None:
        """Remove the record of a run."""
        for file in (self._file(run.id), self._lock(run.id), self.folder / f"{run.id}{_RESERVE}"):
            file.unlink(missing_ok=True)

    def _read(self, path: Path) -> Run | None:
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            run = Run(**{**values, "stages": [StageRun(**stage) for stage in values["stages"]]})
            datetime.fromisoformat(run.started)
        except (OSError, ValueError, TypeError, KeyError):
            return None
        if run.status == "running" and not locks.is_locked(self._lock(run.id)):
            run.status = "interrupted"
            _end_stages(run)
        return run

    def _file(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.json"

    def _lock(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.lock"


def _end_stages(run: Run) -> None:
    """Give the stage that was running when a run ended the status of the run."""
    for stage in run.stages:
        if stage.state == "running":
            stage.state = run.status


def short_ids(runs: Sequence[Run]) -> dict[str, str]:
    """Return a short id for each run by its id: the fewest characters, four or more, of the last part that only this run matches."""
    return {run.id: _short_id(run, runs) for run in runs}


def _short_id(run: Run, runs: Sequence[Run]) -> str:
    prefixes = (run.suffix[:length] for length in range(4, len(run.suffix) + 1))
    return next((prefix for prefix in prefixes if sum(other.matches(prefix) for other in runs) == 1), run.id)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
