"""The folder that a stage writes into, whose finished parts survive a crash, and the progress callback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlctl.core.files import atomic_write


class Progress(Protocol):
    """Progress callback of a stage. Cheap to call: the receiver decides how often anything is shown."""

    def __call__(self, done: int, total: int | None, unit: str, **figures: float | str) -> None:
        """Report `done` of `total` (None: unknown) `unit`s; `figures` are shown beside, e.g. loss=1.2."""


def silent(done: int, total: int | None, unit: str, **figures: float | str) -> None:
    """A `Progress` that shows nothing."""


@dataclass(frozen=True)
class Workspace:
    """The folder in which a stage builds its result.

    A part is a file or folder of the result that is written under a temporary name and renamed when it is complete: a part for which
    `has` returns true was finished, also after kill -9 or a power cut. `scratch` holds what speeds up a restart (a downloaded archive,
    a checkpoint) and is not part of the result: the caller removes it when the result is complete.
    """

    root: Path

    @property
    def scratch(self) -> Path:
        """A folder that survives a crash and is removed when the stage is complete."""
        folder = self.root / ".scratch"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def path(self, name: str) -> Path:
        """Return the path of the part `name` (a relative path with `/`), whether or not it exists."""
        return self.root / name

    def has(self, name: str) -> bool:
        """Return whether the part `name` is finished."""
        return self.path(name).exists()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[Path]:
        """Yield the temporary path to write the part `name` at; the part appears, complete, when the block ends without error."""
        with atomic_write(self.path(name)) as path:
            yield path
