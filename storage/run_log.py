"""The run log: one small JSON file a run. `mlctl runs` shows it; the garbage collector keeps the results that recent runs refer to."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlctl.core import locks
from storage.documents import make_folder
from storage.manifest import write_json
from storage.store import Store

_FOLDER = ".runs"


@dataclass
class StageRun:
    """One stage of a run: `state` is running, computed, cached or failed."""

    stage: str
    key: str
    state: str = "running"
    seconds: float = 0.0


@dataclass
class Run:
    """One run of a flow: `status` is running, completed, failed or interrupted (its process died)."""

    id: str
    name: str
    recipe: dict[str, Any]
    started: str
    status: str = "running"
    ended: str = ""
    error: str = ""
    stages: list[StageRun] = field(default_factory=list)


class RunLog:
    """The runs of one store."""

    def __init__(self, store: Store) -> None:
        self.folder = store.root / _FOLDER

    @contextlib.contextmanager
    def run(self, name: str, recipe: dict[str, Any]) -> Iterator[Run]:
        """Record a run while the block lasts; call `save` after each change. An error is recorded and re-raised."""
        run = Run(f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:4]}", name, recipe, _now())
        make_folder(self.folder)
        with locks.locked(self._lock(run.id)):
            self.save(run)
            try:
                yield run
                run.status = "completed"
            except BaseException as error:
                run.status, run.error = "failed", str(error) or type(error).__name__
                raise
            finally:
                run.ended = _now()
                with contextlib.suppress(OSError):  # a full disk must not hide the error being raised
                    self.save(run)
        self._lock(run.id).unlink(missing_ok=True)

    def save(self, run: Run) -> None:
        """Write the record of a run."""
        make_folder(self.folder)
        write_json(self._file(run.id), dataclasses.asdict(run))

    def runs(self) -> list[Run]:
        """Return all runs, newest first; a run whose process died has the status `interrupted`."""
        found = [run for path in self.folder.glob("*.json") if (run := self._read(path))]
        return sorted(found, key=lambda run: run.id, reverse=True)

    def forget(self, run: Run) -> None:
        """Remove the record of a run."""
        self._file(run.id).unlink(missing_ok=True)
        self._lock(run.id).unlink(missing_ok=True)

    def _read(self, path: Path) -> Run | None:
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            run = Run(**{**values, "stages": [StageRun(**stage) for stage in values["stages"]]})
        except (OSError, ValueError, TypeError, KeyError):
            return None
        if run.status == "running" and not locks.is_locked(self._lock(run.id)):
            run.status = "interrupted"
        return run

    def _file(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.json"

    def _lock(self, run_id: str) -> Path:
        return self.folder / f"{run_id}.lock"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
