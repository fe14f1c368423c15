"""The folder that a stage writes into, whose finished parts survive a crash, and the progress callback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlctl.core.checksums import SCRATCH, CheckedPath


class Progress(Protocol):
    """Progress callback of a stage. Cheap to call: the receiver decides how often anything is shown."""

    def __call__(self, done: int, total: int | None, unit: str, **figures: float | str) -> None:
        """Report `done` of `total` (None: unknown) `unit`s; `figures` are shown beside, e.g. loss=1.2."""


def silent(done: int, total: int | None, unit: str, **figures: float | str) -> None:
    """A `Progress` that shows nothing."""


@dataclass(frozen=True)
class Workspace:
    """The folder in which a stage builds its result.

    A part is a file or folder of the result that is written under a temporary name and renamed when it is complete, with a checksum
    file (`mlctl.core.checksums`): a part for which `has` returns true was finished and is unchanged, also after kill -9, a
    power cut or a failing disk. The result consists of the finished parts; another file in the folder does not become part of it. Where
    parts belong together, ask for each of them: `has`, and `is_lost` for one that may never have been written. `scratch` holds what
    speeds up a restart (a downloaded archive, a checkpoint) and is not part of the result: the caller removes it when the result is
    complete.
    """

    root: Path

    @property
    def scratch(self) -> Path:
        """A folder that survives a crash and is removed when the stage is complete."""
        folder = self.root / SCRATCH
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def path(self, name: str) -> Path:
        """Return the path of the part `name` (a relative path with `/`), whether or not it exists."""
        return self.root / name

    def has(self, name: str) -> bool:
        """Return whether the part `name` is finished; a damaged one is removed with a warning, to be made again."""
        return self._checked(name).is_finished()

    def is_lost(self, name: str) -> bool:
        """Return whether the part `name` was finished once, and is damaged or missing now."""
        return self._checked(name).is_lost()

    def discard(self, name: str) -> None:
        """Remove the part `name`, if it exists: it does not count as lost."""
        self._checked(name).remove()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[Path]:
        """Yield the temporary path to write the part `name` at; the part appears, complete, when the block ends without error."""
        with self._checked(name).write() as path:
            yield path

    def finish(self, name: str) -> None:
        """Make a file that was written in place, so that others could read it meanwhile, a finished part."""
        self._checked(name).finish()

    def _checked(self, name: str) -> CheckedPath:
        return CheckedPath(self.path(name), self.root)
