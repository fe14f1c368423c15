"""What every stage has in common: a key, a look into the store, and the work when there is no result yet."""

from __future__ import annotations

import importlib.metadata
import logging
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from mlctl.config import Recipe
from mlctl.core.files import is_disk_full
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from storage import Draft, Result, Store, key_of
from tasks import diary

logger = logging.getLogger("mlctl.stages")


class Ref(TypedDict):
    """What goes from task to task: where a result is, never the result."""

    stage: str
    key: str
    store: str


Metrics = dict[str, Any]
Folders = Mapping[str, Path]


def nothing_outside(recipe: Recipe) -> dict[str, str]:
    """Digests of outside inputs for a stage that has none."""
    del recipe
    return {}


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline.

    `version` is raised when the code begins to make other bytes from the same input. `needs` are the stages whose results
    it reads. `settings` returns what of the recipe can change the result, `outside` the digests of inputs that no stage
    made (files, models). `work` makes the result's files. `volatile` are name patterns of files that show times.
    """

    name: str
    version: int
    needs: tuple[str, ...]
    settings: Callable[[Recipe], dict[str, Any]]
    work: Callable[[Recipe, Folders, Workspace, Progress], Metrics]
    outside: Callable[[Recipe], dict[str, str]] = nothing_outside
    volatile: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    def parts(self, recipe: Recipe, inputs: Mapping[str, Result]) -> dict[str, Any]:
        """Return everything the result depends on: what the key is made of."""
        return {
            "stage": self.name,
            "version": self.version,
            "settings": self.settings(recipe),
            "inputs": {name: result.manifest.content for name, result in inputs.items()},
            "outside": self.outside(recipe),
        }

    def settle(self, recipe: Recipe, inputs: Mapping[str, Result]) -> None:
        """Write down, before a result is made or found, what `parts` would choose anew another time: nothing, for most."""


def make(stage: Stage, recipe: Recipe, refs: tuple[Ref, ...], progress: Progress = silent) -> tuple[Ref, bool]:
    """Return the reference of the stage's result, made now unless the store has it, and whether it was there.

    Raises:
        InputError: something the user gave cannot be used, or the disk is full.
    """
    store, inputs = Store(recipe.store), _inputs(refs)
    parts = _parts(stage, recipe, inputs)
    key = key_of(parts)
    with diary.stage(stage.name, key) as record, store.building(stage.name, key, lambda: _say_waiting(stage, key)) as found:
        if isinstance(found, Result):
            record.state = "cached"
            logger.info("%s: cached (%s, made %s)", stage.name, key[:8], found.manifest.created)
        else:
            record.state = "computed"
            _build(stage, recipe, inputs, parts, found, progress)
    return Ref(stage=stage.name, key=key, store=recipe.store), isinstance(found, Result)


def lookup(stage: Stage, recipe: Recipe, refs: tuple[Ref, ...]) -> tuple[str, Result | None]:
    """Return the key that `make` would give a result, and that result if the store has it."""
    key = key_of(_parts(stage, recipe, _inputs(refs)))
    return key, Store(recipe.store).find(stage.name, key)


def _inputs(refs: tuple[Ref, ...]) -> dict[str, Result]:
    return {ref["stage"]: _open(ref) for ref in refs}


def _parts(stage: Stage, recipe: Recipe, inputs: Mapping[str, Result]) -> dict[str, Any]:
    stage.settle(recipe, inputs)
    return stage.parts(recipe, inputs)


def result_of(ref: Ref) -> Result:
    """Return the result that a reference names."""
    return _open(ref)


def lineage(ref: Ref) -> dict[str, Result]:
    """Return a result and all it was made from, by stage."""
    found: dict[str, Result] = {}
    waiting = [(ref["stage"], ref["key"])]
    while waiting:
        stage, key = waiting.pop()
        if stage not in found:
            found[stage] = _open(Ref(stage=stage, key=key, store=ref["store"]))
            waiting += found[stage].manifest.inputs.items()
    return found


def _build(
    stage: Stage, recipe: Recipe, inputs: Mapping[str, Result], parts: dict[str, Any], draft: Draft, progress: Progress
) -> None:
    resumed = any(draft.folder.iterdir())
    logger.info("%s: %s (%s)", stage.name, "goes on where it was interrupted" if resumed else "starts", draft.key[:8])
    started = time.monotonic()
    with _room(draft.folder):
        folders = {name: result.folder for name, result in inputs.items()}
        metrics = stage.work(recipe, folders, Workspace(draft.folder), progress)
        keys = {name: result.manifest.key for name, result in inputs.items()}
        draft.seal(parts, keys, metrics, _versions(stage), stage.volatile)
    logger.info("%s: done in %.1f s", stage.name, time.monotonic() - started)


def found(store: Store, stage: str, key: str) -> Result:
    """Return a result that has to be there.

    Raises:
        InputError: it has gone, or is damaged.
    """
    result = store.find(stage, key)
    if result is None:
        raise InputError(f"the {stage} result {key[:8]} has gone from {store.root}", "run again: it is made anew")
    return result


def _open(ref: Ref) -> Result:
    return found(Store(ref["store"]), ref["stage"], ref["key"])


def _say_waiting(stage: Stage, key: str) -> None:
    logger.info("%s: another run is making %s; waiting for it", stage.name, key[:8])


@contextmanager
def _room(folder: Path) -> Iterator[None]:
    """Turn a full disk into words."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise InputError(
            f"no room left on the disk while writing {folder}: {error.strerror}",
            "free some room (`mlctl store gc`) or choose another folder with store=…; run again: finished work is kept",
        ) from error


def _versions(stage: Stage) -> dict[str, str]:
    names = ("mlctl", *stage.packages)
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in names}}
