"""Dies by SIGKILL at a given point of a stage.

WHEN is `part` (while the stage writes its first part, before it is renamed), `late` (when all is written but the manifest) or
a number (when the stage reports that much progress).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlctl.pipeline.stage
from mlctl.core.workspace import Workspace
from storage.manifest import Manifest


def install(stage: str, when: str) -> None:
    """Make this process die at a point of a stage."""
    if when == "part":
        _die_in_a_part(stage)
    elif when == "late":
        _die_before_the_manifest(stage)
    else:
        _die_at_progress(stage, int(when))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_in_a_part(stage: str) -> None:
    part = Workspace.part

    @contextmanager
    def part_and_die(self: Workspace, name: str) -> Iterator[Path]:
        with part(self, name) as path:
            yield path
            if self.root.parent.name == stage:
                _die()

    Workspace.part = part_and_die  # type: ignore[method-assign]


def _die_before_the_manifest(stage: str) -> None:
    write = Manifest.write

    def write_or_die(self: Manifest, folder: Path) -> None:
        if self.stage == stage:
            _die()
        write(self, folder)

    Manifest.write = write_or_die  # type: ignore[method-assign]


def _die_at_progress(stage: str, units: int) -> None:
    make = mlctl.pipeline.stage.make

    def make_and_die(made: Any, recipe: Any, refs: Any, progress: Any = None) -> Any:
        def dying(done: int, total: int | None, unit: str, **figures: float | str) -> None:
            if progress:
                progress(done, total, unit, **figures)
            if made.name == stage and done >= units:
                _die()

        return make(made, recipe, refs, dying)

    mlctl.pipeline.stage.make = make_and_die
