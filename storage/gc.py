"""Remove what no recent run needs."""

from __future__ import annotations

import shutil
from pathlib import Path

from storage.runs import Diary
from storage.store import Store


def collect(store: Store, keep_runs: int, dry_run: bool = False) -> list[tuple[Path, int]]:
    """Remove results, drafts and damaged folders that none of the newest `keep_runs` runs refers to.

    What a living process is making stays. Returns (folder, bytes) of each removal.
    """
    diary = Diary(store)
    runs = diary.runs()
    kept = {(stage.stage, stage.key) for run in runs[:keep_runs] for stage in run.stages}
    unused = [f for f in store.folders() if (f.parent.name, f.name) not in kept and not store.is_building(f.parent.name, f.name)]
    removed = [(folder, _size(folder)) for folder in [*unused, *store.damaged()]]
    if not dry_run:
        for folder, _ in removed:
            _remove(folder)
        for run in runs[keep_runs:]:
            if run.status != "running":
                diary.forget(run)
    return removed


def _remove(folder: Path) -> None:
    """Take the manifest away first, so that a removal cut short leaves no result that looks whole."""
    (folder / "manifest.json").unlink(missing_ok=True)
    shutil.rmtree(folder)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
