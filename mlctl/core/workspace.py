"""Where a stage works: a folder whose finished parts survive a crash, and a way to say how far it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlctl.core.files import atomic_write


class Progress(Protocol):
    """Told by a stage how far it is. Cheap to call: the receiver decides how often anything is shown."""

    def __call__(self, done: int, total: int | None, unit: str, **figures: float | str) -> None:
        """Report `done` of `total` (None: not known) `unit`s; `figures` are shown beside, e.g. loss=1.2."""


def silent(done: int, total: int | None, unit: str, **figures: float | str) -> None:
    """A `Progress` that says nothing."""


@dataclass(frozen=True)
class Workspace:
    """The folder of a stage in the making.

    A part is a file (or folder) of the result that is written under a temporary name and renamed when it is whole: what
    `has` reports was finished, also after kill -9 or a power cut. `scratch` keeps what helps to go on after a crash
    (a fetched archive, a checkpoint) and is no part of the result: the caller drops it when the result is complete.
    """

    root: Path

    @property
    def scratch(self) -> Path:
        """A folder that outlives a crash but not the stage."""
        folder = self.root / ".scratch"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def path(self, name: str) -> Path:
        """Return where the part `name` (a relative path with `/`) lies or will lie."""
        return self.root / name

    def has(self, name: str) -> bool:
        """Tell whether the part `name` is finished."""
        return self.path(name).exists()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[Path]:
        """Yield the path to write the part `name` at; it becomes visible, whole, when the block ends without error."""
        with atomic_write(self.path(name)) as path:
            yield path
