"""Garbage collection: removes what neither a recent run nor a kept champion refers to."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from storage.champion_registry import champions
from storage.manifest import NAME
from storage.run_log import RunLog
from storage.store import Store


def collect(store: Store, keep_runs: int, dry_run: bool = False, caches: Sequence[str] = ()) -> list[tuple[Path, int]]:
    """Remove results, drafts and damaged folders to which none of the newest `keep_runs` runs and no kept champion refers.

    Results that a running process is building stay.

    Args:
        store: the store to clean up.
        keep_runs: number of newest runs whose results stay.
        dry_run: remove nothing.
        caches: folders of the store with entries that outlive runs, each touched when it is used: entries go that were last used
            before the oldest kept run started.

    Returns:
        Path and size in bytes of each removed folder or file.
    """
    log = RunLog(store)
    runs = log.runs()
    referenced = {(stage.stage, stage.key) for run in runs[:keep_runs] for stage in run.stages}
    referenced |= {result for _, state in champions(store) for champion in state.champions for result in champion.results.items()}
    unreferenced = [
        folder
        for folder in store.folders()
        if (folder.parent.name, folder.name) not in referenced and not store.is_building(folder.parent.name, folder.name)
    ]
    since = datetime.fromisoformat(runs[:keep_runs][-1].started).timestamp() if runs[:keep_runs] else None
    expired = [entry for cache in caches for entry in _unused_since(store.root / cache, since)]
    garbage = [(path, _size(path)) for path in [*unreferenced, *store.damaged(), *expired]]
    if not dry_run:
        for path, _ in garbage:
            _remove(path)
        for run in runs[keep_runs:]:
            if run.status != "running":
                log.forget(run)
    return garbage


def _unused_since(cache: Path, since: float | None) -> list[Path]:
    entries = sorted(cache.glob("[!.]*")) if cache.is_dir() else []
    return [entry for entry in entries if since is None or entry.stat().st_mtime < since]


def _remove(path: Path) -> None:
    """Remove the manifest first, so that an interrupted removal leaves no result that looks complete."""
    if path.is_file():
        path.unlink()
        return
    (path / NAME).unlink(missing_ok=True)
    shutil.rmtree(path)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
