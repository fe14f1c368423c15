"""Evaluation by mteb's own runner: its tasks, its models, its results as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlctl.core.distribution import install_extras
from mlctl.errors import InputError

if TYPE_CHECKING:
    from mlctl.evaluation.model_under_test import ModelUnderTest

#: What a run takes and when it was: it is left out, so that equal runs have equal bytes.
_OF_THE_RUN = ("evaluation_time", "kg_co2_emissions", "date")
#: Settings of mteb's loaders that run code of the model's folder, or are for the published weights alone.
_NOT_FOR_A_FOLDER = ("trust_remote_code", "revision")


def mteb_version() -> str:
    """Return the version of mteb.

    Raises:
        InputError: it is not installed.
    """
    try:
        return metadata.version("mteb")
    except metadata.PackageNotFoundError:
        raise InputError("evaluate.mteb needs the library `mteb`", f"run `{install_extras('mteb')}`") from None


def find_tasks(names: Sequence[str]) -> list[Any]:
    """Return mteb's tasks of some names, each once; a benchmark's name stands for its tasks.

    Raises:
        InputError: mteb is not installed, or knows no such task or benchmark.
    """
    mteb_version()
    import mteb

    tasks: dict[str, Any] = {}
    for name in names:
        try:
            found = list(mteb.get_benchmark(name).tasks)
        except KeyError:
            found = [_task(name)]
        tasks |= {task.metadata.name: task for task in found}
    return list(tasks.values())


def run_tasks(model: ModelUnderTest, names: Sequence[str], base_name: str) -> dict[str, Any]:
    """Return mteb's version and, by task, mteb's result for a model.

    The model reads texts with the prompts that mteb's metadata give the base model, if mteb knows it; otherwise with those of its own folder.

    Args:
        model: base or trained.
        names: of tasks and benchmarks.
        base_name: name of the base model on the hub.

    Raises:
        InputError: mteb is not installed, knows no such task, or a task fails.
    """
    import mteb

    loaded, results = load(model.folder, base_name, str(model.device)), {}
    for task in find_tasks(names):
        name = task.metadata.name
        model.on_progress(f"mteb, {name}")
        options: Any = {"batch_size": model.settings.batch_rows, "show_progress_bar": False}
        try:
            found = mteb.evaluate(loaded, task, cache=None, encode_kwargs=options, show_progress_bar=False, co2_tracker=False)
        except (MemoryError, InputError):
            raise
        except Exception as error:  # tasks fetch data from the hub and raise all kinds of errors
            problem = f"evaluate.mteb, {name}: {(str(error).strip() or type(error).__name__).splitlines()[0]}"
            raise InputError(
                problem, "check the network and the access to its data set, or remove it from evaluate.mteb"
            ) from error
        of_task = found.task_results[0].to_dict()
        results[name] = {key: _json_value(value) for key, value in of_task.items() if key not in _OF_THE_RUN}
    return {"mteb": mteb_version(), "tasks": results}


def load(folder: Path, base_name: str, device: str) -> Any:
    """Return the model in a folder, as mteb loads the base model: with the loader and the prompts of its metadata."""
    import mteb
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

    try:
        meta: Any = mteb.get_model_meta(base_name, fetch_from_hf=False)
    except KeyError:
        return SentenceTransformerEncoderWrapper(str(folder), device=device)
    options = {name: value for name, value in meta.loader_kwargs.items() if name not in _NOT_FOR_A_FOLDER}
    return meta.loader(str(folder), revision=None, device=device, **options)


def _json_value(value: Any) -> Any:
    """Return a value for JSON, which has no NaN: mteb's correlation of a model that gives all texts one vector."""
    if isinstance(value, dict):
        return {key: _json_value(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _task(name: str) -> Any:
    import mteb

    try:
        return mteb.get_task(name)
    except KeyError as error:
        problem = f"evaluate.mteb: mteb {mteb_version()} has no task or benchmark {name!r}"
        raise InputError(problem, f"use one of mteb's names ({str(error.args[0]).removeprefix('KeyError: ')})") from None
