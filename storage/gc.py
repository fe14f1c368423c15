"""Garbage collection: removes what neither a recent or running run, a running process, nor a kept champion refers to."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlctl.core import locks
from mlctl.core.checksums import CheckedPath
from storage import leases
from storage.champion_registry import champions
from storage.errors import StoreError
from storage.leases import Address, HeldLeases
from storage.manifest import Manifest
from storage.run_log import RunLog
from storage.store import Store

_REMOVED = ".removed"


@dataclass(frozen=True)
class Collected:
    """What a collection did.

    Attributes:
        removed: path and size in bytes of each folder or file that was removed.
        in_use: the results that nothing but a running run or process kept.
    """

    removed: list[tuple[Path, int]]
    in_use: list[Path]


def collect(store: Store, keep_runs: int, dry_run: bool = False, caches: Sequence[str] = ()) -> Collected:
    """Remove results, drafts and damaged folders to which no run of the newest `keep_runs`, no running run and no kept champion refers.

    Results that a running process builds, reads or may read stay, with everything that they were made from (see `storage.leases`).

    Args:
        store: the store to clean up.
        keep_runs: number of newest runs whose results stay.
        dry_run: remove nothing.
        caches: folders of the store with entries that outlive runs, each touched under its lock when it is used: entries go that were
            last used before the oldest kept or running run started.

    Raises:
        StoreError: the store cannot be written to.
    """
    if not store.root.is_dir():
        return Collected([], [])
    try:
        with leases.exclusive(store.root):  # no process takes or extends a lease meanwhile
            collection = _Collection(store, keep_runs, leases.held(store.root), caches)
            garbage, in_use = collection.garbage(), collection.in_use()
            moved = {} if dry_run else {path: _move(store, path) for path in garbage}
    except OSError as error:
        raise StoreError(f"{store.root} cannot be cleaned up: {error}\n  → check its permissions") from error
    if dry_run:
        return Collected([(path, _size(path)) for path in garbage], in_use)
    removed = [(path, _size(target)) for path, target in moved.items()]
    for target in [*moved.values(), *(store.root / _REMOVED).glob("*")]:  # also what a killed collector left
        _delete(target)
    for run in collection.old_runs:
        RunLog(store).forget(run)
    return Collected(removed, in_use)


class _Collection:
    """What is kept and what is not, while no process takes a lease."""

    def __init__(self, store: Store, keep_runs: int, held: HeldLeases, caches: Sequence[str]) -> None:
        runs = RunLog(store).runs()
        kept, running = runs[:keep_runs], [run for run in runs if run.status == "running"]
        self._store, self._caches, self._held = store, caches, held
        self.old_runs = [run for run in runs[keep_runs:] if run.status != "running"]
        self._referenced = {(stage.stage, stage.key) for run in kept for stage in run.stages}
        self._referenced |= {
            item for _, state in champions(store) for champion in state.champions for item in champion.results.items()
        }
        in_use = {(stage.stage, stage.key) for run in running for stage in run.stages} | held.results
        self._in_use = _with_ancestors(store, in_use)
        starts = [datetime.fromisoformat(run.started).timestamp() for run in (*kept, *running)]
        self._since = min([*starts, *([held.since] if held.since else [])], default=None)

    def garbage(self) -> list[Path]:
        """Return what can be removed."""
        folders = [folder for folder in self._unreferenced() if not self._is_used(folder)]
        expired = [entry for cache in self._caches for entry in self._expired(self._store.root / cache)]
        return [*folders, *self._store.damaged(), *expired]

    def in_use(self) -> list[Path]:
        """Return the results and drafts that nothing but a running process keeps."""
        return [folder for folder in self._unreferenced() if self._is_used(folder)]

    def _unreferenced(self) -> list[Path]:
        return [folder for folder in self._store.folders() if _address(folder) not in self._referenced]

    def _is_used(self, folder: Path) -> bool:
        return self._held.everything or _address(folder) in self._in_use or self._store.is_building(*_address(folder))

    def _expired(self, cache: Path) -> Iterator[Path]:
        for entry in sorted(cache.glob("[!.]*")) if cache.is_dir() and not self._held.everything else ():
            if not _is_locked(entry) and (self._since is None or entry.stat().st_mtime < self._since):
                yield entry


def _address(folder: Path) -> Address:
    return folder.parent.name, folder.name


def _with_ancestors(store: Store, results: set[Address]) -> set[Address]:
    """Return results and everything that they were made from."""
    found, pending = set[Address](), list(results)
    while pending:
        if (address := pending.pop()) not in found:
            found.add(address)
            manifest = Manifest.read(store.folder(*address))
            pending += manifest.inputs.items() if manifest else []
    return found


def _is_locked(entry: Path) -> bool:
    return locks.is_locked(entry.parent / ".locks" / f"{entry.name}.lock")


def _move(store: Store, path: Path) -> Path:
    """Move a folder or file out of the way in one step, so that it is either whole or gone to whoever looks for it."""
    folder = store.root / _REMOVED
    folder.mkdir(exist_ok=True)
    target = folder / f"{path.parent.name}-{path.name}-{time.time_ns()}"
    path.rename(target)
    with contextlib.suppress(OSError):
        CheckedPath.at(path).checksum.unlink(missing_ok=True)
    return target


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    """Return the size of a file, or of the files in a folder, without following links."""
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_size
    return sum(Path(parent, name).lstat().st_size for parent, _, names in os.walk(path) for name in names)
