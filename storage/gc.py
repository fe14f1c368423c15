"""Remove what neither a recent run nor a champion needs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from storage.champion_registry import champions
from storage.run_log import RunLog
from storage.store import Store


def collect(store: Store, keep_runs: int, dry_run: bool = False, memories: Sequence[str] = ()) -> list[tuple[Path, int]]:
    """Remove results, drafts and damaged folders that none of the newest `keep_runs` runs and no champion that is kept refers to.

    What a living process is making stays.

    Args:
        store: where to look.
        keep_runs: how many runs keep what they refer to.
        dry_run: remove nothing.
        memories: folders of the store with parts that outlive runs, each touched when it is used: those go that were last used
            before the oldest run that is kept.

    Returns:
        Folder (or file) and bytes of each removal.
    """
    diary = RunLog(store)
    runs = diary.runs()
    kept = {(stage.stage, stage.key) for run in runs[:keep_runs] for stage in run.stages}
    kept |= {place for _, standing in champions(store) for one in standing.champions for place in one.results.items()}
    unused = [f for f in store.folders() if (f.parent.name, f.name) not in kept and not store.is_building(f.parent.name, f.name)]
    since = datetime.fromisoformat(runs[:keep_runs][-1].started).timestamp() if runs[:keep_runs] else None
    forgotten = [part for memory in memories for part in _unused_since(store.root / memory, since)]
    removed = [(folder, _size(folder)) for folder in [*unused, *store.damaged(), *forgotten]]
    if not dry_run:
        for folder, _ in removed:
            _remove(folder)
        for run in runs[keep_runs:]:
            if run.status != "running":
                diary.forget(run)
    return removed


def _unused_since(memory: Path, since: float | None) -> list[Path]:
    parts = sorted(part for part in memory.glob("[!.]*")) if memory.is_dir() else []
    return [part for part in parts if since is None or part.stat().st_mtime < since]


def _remove(folder: Path) -> None:
    """Take the manifest away first, so that a removal cut short leaves no result that looks whole."""
    if folder.is_file():
        folder.unlink()
        return
    (folder / "manifest.json").unlink(missing_ok=True)
    shutil.rmtree(folder)


def _size(folder: Path) -> int:
    if folder.is_file():
        return folder.stat().st_size
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
