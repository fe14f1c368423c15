"""Run a recipe and die by SIGKILL inside a stage: `kill_at.py STAGE WHEN RECIPE [OVERRIDE …]`.

WHEN is `part` (while the stage writes its first part, before it is renamed), `late` (when all is written but the manifest) or
a number (when the stage reports that much progress).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlctl.pipeline.stage
from mlctl.cli.main import main
from mlctl.core.workspace import Workspace
from storage.manifest import Manifest

stage, when, *arguments = sys.argv[1:]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if when == "part":
    part = Workspace.part

    @contextmanager
    def part_and_die(self: Workspace, name: str) -> Iterator[Path]:
        with part(self, name) as path:
            yield path
            if self.root.parent.name == stage:
                die()

    Workspace.part = part_and_die  # type: ignore[method-assign]
elif when == "late":
    write = Manifest.write

    def write_or_die(self: Manifest, folder: Path) -> None:
        if self.stage == stage:
            die()
        write(self, folder)

    Manifest.write = write_or_die  # type: ignore[method-assign]
else:
    make = mlctl.pipeline.stage.make

    def make_and_die(made: Any, recipe: Any, refs: Any, progress: Any) -> Any:
        def dying(done: int, total: int | None, unit: str, **figures: float | str) -> None:
            progress(done, total, unit, **figures)
            if made.name == stage and done >= int(when):
                die()

        return make(made, recipe, refs, dying)

    import tasks.stage_task

    tasks.stage_task.make = make_and_die  # type: ignore[assignment]

sys.exit(main(["run", *arguments]))
