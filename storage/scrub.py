"""Verifies every file of every result of a store, and has what is damaged made again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.manifest import Manifest
from storage.store import Store
from storage.verify import find_extra


@dataclass(frozen=True)
class Finding:
    """What is wrong with a result.

    Attributes:
        stage: stage of the result.
        key: key of the result.
        problem: what is damaged, or which files its manifest does not list.
        consequence: what happens next, or what to do.
    """

    stage: str
    key: str
    problem: str
    consequence: str


def find_problems(store: Store, progress: Callable[[int, int], None] | None = None) -> Iterator[Finding]:
    """Verify every file of every result that this machine has, and yield what is wrong.

    A damaged result is marked, so that a run notices the damage whatever it verifies; it is not moved, because a run may be reading it.

    Args:
        store: the store to verify.
        progress: called with the number of bytes that are verified, and of all bytes.
    """
    folders = store.folders()
    sizes = [manifest.bytes if (manifest := Manifest.read(folder)) else 0 for folder in folders]
    done = 0
    for folder, size in zip(folders, sizes, strict=True):
        if not store.is_building(folder.parent.name, folder.name):
            yield from _findings(store, folder)
        done += size
        if progress:
            progress(done, sum(sizes))


def _findings(store: Store, folder: Path) -> Iterator[Finding]:
    stage, key = folder.parent.name, folder.name
    if damage := store.find_damage(folder):
        yield Finding(stage, key, damage, _consequence(store, stage, key))
    manifest = Manifest.read(folder)
    if manifest and (extra := find_extra(folder, manifest)):
        problem = f"not in its manifest: {', '.join(extra)}"
        yield Finding(stage, key, problem, f"no stage reads them; remove them from {folder}")


def _consequence(store: Store, stage: str, key: str) -> str:
    if not store.mark_suspect(stage, key):
        return f"the store is read-only: remove {store.folder(stage, key)} where it is writable, then run again"
    again = "fetched or computed again" if store.is_remote else "computed again"
    return f"the next run that needs it sets it aside; it is then {again}"
