"""What every stage has in common: a key, a look-up in the store, and the computation when the store has no result."""

from __future__ import annotations

import importlib.metadata
import logging
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from mlctl.config import Recipe
from mlctl.core.hashing import KEY_LENGTH, key_of
from mlctl.core.path_errors import explain_path_errors
from mlctl.core.url_redaction import redact_values
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.core.write_errors import explain_write_errors
from mlctl.errors import InputError
from mlctl.pipeline import run_log
from mlctl.pipeline.store_session import use_store
from mlctl.pipeline.warm_start import Choice, WarmStart, with_choice
from mlctl.version import __version__
from storage import Draft, Result, Store
from storage.draft import UNFINISHED
from storage.input_links import link_files

logger = logging.getLogger("mlctl.stages")


class Ref(TypedDict):
    """What is passed from task to task: the address of a result, never its data."""

    stage: str
    key: str
    store: str


Metrics = dict[str, Any]


@dataclass(frozen=True)
class StageContext:
    """What a stage works with.

    Attributes:
        recipe: of the run.
        inputs: folders with the files of the upstream results, by stage: those that their manifests list.
        reused: files and folders of earlier results that the stage starts from, by name.
        workspace: where the result is written.
        progress: receives how far the stage is.
    """

    recipe: Recipe
    inputs: Mapping[str, Path]
    reused: Mapping[str, Path]
    workspace: Workspace
    progress: Progress


@dataclass(frozen=True)
class Request:
    """A result that a stage is to make: everything that its key depends on, and the earlier results that it starts from."""

    parts: dict[str, Any]
    reused: Choice

    @property
    def key(self) -> str:
        """Key of the result."""
        return key_of(self.parts)


def _no_outside(recipe: Recipe) -> dict[str, str]:
    del recipe
    return {}


def _nothing(recipe: Recipe) -> tuple[str, ...]:
    del recipe
    return ()


@dataclass(frozen=True)
class Stage:
    """A stage of the pipeline.

    Attributes:
        name: of the stage, its section of the recipe and its folder of the store.
        version: raise it when the code begins to write other bytes for the same input.
        needs: stages whose results it reads.
        settings: returns the settings of a recipe that can change the result.
        work: writes the files of the result and returns its metrics.
        outside: returns digests of inputs that no stage made (files, models).
        warm_start: how the stage starts from earlier results; None: it never does.
        volatile: name patterns of files that differ between equal runs, such as timings.
        packages: distributions whose versions the manifest records.
        unused: returns those of `needs` that it does not read for a recipe; they are not part of the key.
    """

    name: str
    version: int
    needs: tuple[str, ...]
    settings: Callable[[Recipe], dict[str, Any]]
    work: Callable[[StageContext], Metrics]
    outside: Callable[[Recipe], dict[str, str]] = _no_outside
    warm_start: WarmStart | None = None
    volatile: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    unused: Callable[[Recipe], tuple[str, ...]] = _nothing

    def inputs(self, recipe: Recipe) -> tuple[str, ...]:
        """Return the stages whose results it reads for a recipe."""
        unused = self.unused(recipe)
        return tuple(name for name in self.needs if name not in unused)

    def request(self, recipe: Recipe, inputs: Mapping[str, Result], *, remember: bool = False) -> Request:
        """Return what a recipe asks of this stage.

        Args:
            recipe: of the run.
            inputs: the results that the stage reads, by stage.
            remember: record which earlier results the stage starts from, so that the next run of the recipe starts from the same ones.

        Raises:
            InputError: something that the recipe names is missing.
        """
        base = {
            "stage": self.name,
            "version": self.version,
            "settings": redact_values(self.settings(recipe)),  # the manifest records them
            "inputs": {name: result.manifest.content for name, result in inputs.items()},
            "outside": self.outside(recipe),
        }
        reused = self.warm_start.resolve(self.name, recipe, base, remember=remember) if self.warm_start else {}
        return Request(with_choice(base, reused), reused)


@explain_path_errors()
def make(stage: Stage, recipe: Recipe, refs: tuple[Ref, ...], progress: Progress = silent) -> tuple[Ref, bool]:
    """Return the reference of the stage's result, computed now unless the store has it, and whether the store had it.

    Raises:
        InputError: an input of the user cannot be used, or the disk is full.
    """
    store = Store(recipe.store)
    with use_store(recipe), explain_write_errors(store.root):
        inputs = _open_inputs(stage, recipe, refs)
        request = stage.request(recipe, inputs, remember=True)
        key = request.key
        with (
            run_log.record_stage(stage.name, key) as record,
            store.building(stage.name, key, lambda: _log_waiting(stage, key)) as existing,
        ):
            if isinstance(existing, Result):
                record.state = "cached"
                logger.info("%s: cached (%s, made %s)", stage.name, key[:8], existing.manifest.created)
            else:
                _compute(stage, recipe, inputs, request, existing, progress)
                record.state = "computed"
    return Ref(stage=stage.name, key=key, store=recipe.store), isinstance(existing, Result)


@explain_path_errors()
def lookup(stage: Stage, recipe: Recipe, refs: tuple[Ref, ...]) -> tuple[str, Result | None]:
    """Return the key that `make` would give a result, and that result if the store has it."""
    key = stage.request(recipe, _open_inputs(stage, recipe, refs), remember=True).key
    return key, Store(recipe.store).find(stage.name, key)


def result_of(ref: Ref) -> Result:
    """Return the result that a reference names.

    Raises:
        InputError: the store has no such result, or it is damaged.
    """
    return require_result(Store(ref["store"]), ref["stage"], ref["key"])


def require_result(store: Store, stage: str, key: str) -> Result:
    """Return a result of the store.

    Raises:
        InputError: the store has no such result, or it is damaged.
    """
    result = store.find(stage, key)
    if result is None:
        if damage := store.find_damage(store.folder(stage, key)):
            store.mark_suspect(stage, key)
            problem = f"the {stage} result {key[:8]} of {store.root} is damaged: {damage}"
            raise InputError(problem, "run the pipeline again: the result is set aside and computed again")
        raise InputError(
            f"the {stage} result {key[:8]} is missing from {store.root}", "run the pipeline again: it is computed again"
        )
    return result


def lineage(ref: Ref) -> dict[str, Result]:
    """Return a result and everything that it was made from, by stage."""
    results: dict[str, Result] = {}
    pending = [(ref["stage"], ref["key"])]
    while pending:
        stage, key = pending.pop()
        if stage not in results:
            results[stage] = result_of(Ref(stage=stage, key=key, store=ref["store"]))
            pending += results[stage].manifest.inputs.items()
    return results


def _open_inputs(stage: Stage, recipe: Recipe, refs: tuple[Ref, ...]) -> dict[str, Result]:
    inputs = stage.inputs(recipe)
    return {ref["stage"]: result_of(ref) for ref in refs if ref["stage"] in inputs}


def _compute(
    stage: Stage, recipe: Recipe, inputs: Mapping[str, Result], request: Request, draft: Draft, progress: Progress
) -> None:
    resumed = any(path.name != UNFINISHED for path in draft.folder.iterdir())
    logger.info("%s: %s (%s)", stage.name, "resumes" if resumed else "starts", draft.key[:8])
    for name, source in request.reused.items():
        logger.info("%s: starts with %s: %s", stage.name, name, source["path"])
    started = time.monotonic()
    workspace = Workspace(draft.folder)
    context = StageContext(
        recipe,
        {name: listed_files(result, workspace, name) for name, result in inputs.items()},
        {name: _reused(Store(recipe.store), source["path"], workspace, name) for name, source in request.reused.items()},
        workspace,
        progress,
    )
    metrics = stage.work(context)
    keys = {name: result.manifest.key for name, result in inputs.items()}
    draft.seal(request.parts, keys, metrics, _versions(stage), stage.volatile)
    logger.info("%s: done in %.1f s", stage.name, time.monotonic() - started)


def listed_files(result: Result, workspace: Workspace, name: str, within: str = "") -> Path:
    """Return a folder of the workspace with exactly the files that a result's manifest lists: what else is in its folder is not read.

    Args:
        result: the result.
        workspace: of the stage that reads it.
        name: name of the folder.
        within: a folder or file of the result; empty: all files.
    """
    return link_files(result, workspace.scratch / "inputs" / name, within)


def _reused(store: Store, path: str, workspace: Workspace, name: str) -> Path:
    """Return what a stage starts from: a file or folder of a result of the store (stage/key/…), or one that the recipe names."""
    source = store.root / path
    parts = source.relative_to(store.root).parts if source.is_relative_to(store.root) else ()
    if len(parts) < 3 or len(parts[1]) != KEY_LENGTH:
        return source
    stage, key, within = parts[0], parts[1], "/".join(parts[2:])
    return listed_files(require_result(store, stage, key), workspace, f"reused/{name}", within)


def _log_waiting(stage: Stage, key: str) -> None:
    logger.info("%s: another run is making %s; waiting for it", stage.name, key[:8])


def _versions(stage: Stage) -> dict[str, str]:
    packages = {name: importlib.metadata.version(name) for name in stage.packages}
    return {"python": platform.python_version(), "mlctl": __version__, **packages}
