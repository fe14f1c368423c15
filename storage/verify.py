"""Verifies the files of a result against its manifest.

How much is read is one of three checks:

- always: the digest of every file.
- sampled: the digest of every small file (up to 1 MiB) and of every file whose modification time changed; of the other files up to 32
  blocks of the result, drawn at random at each use. A result of up to 32 such blocks is read whole. In one of B blocks a single damaged
  block is found by a use with probability 32/B.
- changed: the digest of files whose modification time changed.

Sizes are compared in any case, and a link that leads out of the store is damage.
"""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from mlctl.core.checksums import SCRATCH
from mlctl.core.files import is_temporary
from mlctl.core.hashing import file_digest
from storage import blocks
from storage.manifest import NAME, File, Manifest

Check = Literal["always", "sampled", "changed"]

_CHANGED = "its bytes have changed"
_SAMPLED_BLOCKS = 32


def find_damage(folder: Path, manifest: Manifest, check: Check = "sampled") -> Iterator[str]:
    """Yield one message for each file of a result that is missing or differs from the manifest."""
    links, unread = _Links(folder), []
    if problem := links.problem(NAME):
        yield f"{NAME}: {problem}"
    for file in manifest.files:
        problem = links.problem(file.name) or _problem(folder / file.name, file, check)
        if problem:
            yield f"{file.name}: {problem}"
        elif check == "sampled" and file.blocks:
            unread.append(file)
    for file, numbers in _sample(unread, _SAMPLED_BLOCKS):
        if not blocks.are_intact(folder / file.name, file.blocks, numbers):
            yield f"{file.name}: {_CHANGED}"


def find_extra(folder: Path, manifest: Manifest) -> list[str]:
    """Return the files and links in a result's folder that its manifest does not list, sorted: no stage reads them."""
    listed = {NAME, *(file.name for file in manifest.files)}
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != SCRATCH]  # left by a kill right after the manifest
        links = [name for name in folders if Path(parent, name).is_symlink()]
        found += [Path(parent, name).relative_to(folder).as_posix() for name in (*files, *links) if not is_temporary(name)]
    return sorted(set(found) - listed)


def _problem(path: Path, file: File, check: Check) -> str:
    try:
        status = path.stat()
    except OSError:
        return "missing"
    if not stat.S_ISREG(status.st_mode):
        return "it is no file"
    if status.st_size != file.bytes:
        return f"{status.st_size} bytes, written with {file.bytes}"
    small = check == "sampled" and file.bytes <= blocks.SMALL_FILE
    if (check == "always" or small or status.st_mtime_ns != file.modified_ns) and file_digest(path) != file.sha256:
        return _CHANGED
    return ""


def _sample(files: Sequence[File], count: int) -> Iterator[tuple[File, list[int]]]:
    """Yield files with the numbers of blocks to verify: `count` of all of their blocks, drawn at random."""
    total = sum(blocks.block_count(file.blocks) for file in files)
    # The system's generator: draws must neither repeat from run to run nor move the recipe's random numbers.
    drawn = sorted(random.SystemRandom().sample(range(total), min(count, total)))
    first = 0
    for file in files:
        last = first + blocks.block_count(file.blocks)
        if numbers := [number - first for number in drawn if first <= number < last]:
            yield file, numbers
        first = last


class _Links:
    """Finds links that lead out of the store: out of the folder that holds all stages, and out of the stage's own folder, which may be
    a link to another volume."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._roots = folder.parent.resolve(), folder.parents[1].resolve()
        self._known = {"": self._problem_of(folder)}

    def problem(self, name: str) -> str:
        """Return what is wrong with a file of the result or a folder above it; empty: nothing."""
        path, parts = self._folder, name.split("/")
        problem = self._known[""]
        for number, part in enumerate(parts, 1):
            path, prefix = path / part, "/".join(parts[:number])
            if prefix not in self._known:
                self._known[prefix] = self._problem_of(path)
            problem = problem or self._known[prefix]
        return problem

    def _problem_of(self, path: Path) -> str:
        if not path.is_symlink():
            return ""
        target = path.resolve()
        return "" if any(target.is_relative_to(root) for root in self._roots) else f"a link to {target}, outside of the store"
