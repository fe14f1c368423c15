"""Checks of everything that stages need from outside, before anything is downloaded or computed: all problems in one message."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mlctl.config import Model, Recipe, resolve_train
from mlctl.config.evaluate import BenchmarkDataset
from mlctl.config.scores import EncoderScore, ProgramScore
from mlctl.config.train_checks import check_dev_pairs, check_fsdp, check_interpolation, check_lora
from mlctl.core.path_errors import explain_path_errors
from mlctl.errors import InputError
from mlctl.execution.registry import check_backend
from mlctl.modeling.hub_access import HubAccess, HubUnreachableError
from mlctl.modeling.model_kind import model_kind
from mlctl.pipeline import align_warm_start, clean_warm_start, download_champion
from mlctl.pipeline.licence_check import check_translation_licence
from mlctl.pipeline.plan import plan
from mlctl.pipeline.recipe_models import is_local, models_of
from mlctl.scoring.registry import open_program
from mlctl.stage_names import STAGE_NAMES

#: The checks of re-training, besides those of the stages: what is published and who is notified.
RETRAIN = "retrain"

_PARALLEL = 8  # requests to the hub at the same time
_AUTO_DEVICES = ("auto", "cpu")

#: Returns the problems that it finds.
Check = Callable[[], Iterable[InputError]]


@dataclass(frozen=True)
class _Context:
    """What a stage's checks read: the recipe, the hub, and whether the network is asked at all."""

    recipe: Recipe
    hub: HubAccess
    online: bool


@explain_path_errors()
def check(recipe: Recipe, stages: Iterable[str]) -> None:
    """Check that these stages have what they need from outside; a stage whose result is in the store needs nothing.

    Raises:
        InputError: something is missing or unusable; the message lists all problems.
    """
    if problems := find_problems(recipe, tuple(stages)):
        raise combine(problems)


def find_problems(recipe: Recipe, stages: Sequence[str] = STAGE_NAMES, online: bool = True) -> list[InputError]:
    """Return all problems of these stages; `online`: whether servers are asked."""
    context = _Context(recipe, HubAccess(online), online)
    checks = [(stage, check) for stage in stages for check in _CHECKS.get(stage, _no_checks)(context)]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        found = list(pool.map(lambda entry: (entry[0], list(entry[1]())), checks))
    problems = [(stage, error) for stage, errors in found for error in errors]
    if not problems:
        return []
    cached = _cached_stages(recipe, stages)
    needed = [error for stage, error in problems if stage not in cached]
    return _unreachable_once({str(error): error for error in needed}.values())


def combine(problems: Sequence[InputError]) -> InputError:
    """Return one error that lists several."""
    if len(problems) == 1:
        return problems[0]
    lines = [f"{number}. {error}".replace("\n", "\n   ") for number, error in enumerate(problems, 1)]
    return InputError("\n".join([f"{len(problems)} problems, found before anything was started:", *lines]))


def _cached_stages(recipe: Recipe, stages: Iterable[str]) -> set[str]:
    """Return the stages that would not run. It is asked only when there is a problem: digests of large files take long."""
    last = max((name for name in stages if name in STAGE_NAMES), key=STAGE_NAMES.index, default=None)
    return {planned.stage for planned in plan(recipe, last) if planned.result} if last else set()


def _unreachable_once(problems: Iterable[InputError]) -> list[InputError]:
    """Return the problems with one for the hub that cannot be reached, whatever number of names needs it."""
    listed = list(problems)
    unreachable = [error for error in listed if isinstance(error, HubUnreachableError)]
    if len(unreachable) < 2:
        return listed
    names = ", ".join(error.needed for error in unreachable)
    problem = f"the Hugging Face hub cannot be reached ({unreachable[0].reason}); it is needed for {names}"
    remedy = "check the network, or run `hf download NAME` where there is one and name these folders"
    return [InputError(problem, remedy), *(error for error in listed if not isinstance(error, HubUnreachableError))]


def _raising(function: Callable[..., Any], *arguments: Any) -> Check:
    """Return a check that calls a function, which raises an InputError if there is a problem."""

    def run() -> Iterator[InputError]:
        try:
            function(*arguments)
        except InputError as error:
            yield error

    return run


def _no_checks(_: _Context) -> Iterator[Check]:
    yield from ()


def _download(context: _Context) -> Iterator[Check]:
    from mlctl import corpora

    recipe = context.recipe
    yield _raising(check_backend, recipe)
    yield partial(corpora.find_problems, recipe.download, recipe.languages, recipe.licences)
    yield from _models(context, "download")
    yield _raising(download_champion.check, recipe)
    for index, source in enumerate(recipe.download.sources):
        if source.kind in ("mine", "documents"):
            yield from _device(source.device, f"download.sources.{index}.device")
        if source.kind == "huggingface":
            setting = f"download.sources.{index}.dataset"
            yield _raising(context.hub.check_dataset, source.dataset, source.revision, setting)


def _clean(context: _Context) -> Iterator[Check]:
    recipe = context.recipe
    yield _raising(clean_warm_start.check, recipe)
    yield _raising(check_backend, recipe)
    yield from _models(context, "clean")
    for name, score in recipe.clean.scores.items():
        if isinstance(score, EncoderScore):
            yield from _device(score.device, f"clean.scores.{name}.device")
        elif isinstance(score, ProgramScore):
            yield _raising(open_program, score, name, recipe.languages.source, recipe.languages.targets[0])


def _translate(context: _Context) -> Iterator[Check]:
    recipe = context.recipe
    if recipe.translate.backend == "none":
        return
    from mlctl import translation

    yield _raising(check_backend, recipe)
    check_model = partial(_check_translation_model, context)
    yield from map(_raising, translation.checks(recipe.translate, recipe.languages, check_model, context.online))
    if context.online or is_local(recipe, "translate"):
        yield _raising(check_translation_licence, recipe)


def _check_translation_model(context: _Context, name: str) -> None:
    from mlctl.translation.models import is_converted

    settings = context.recipe.translate
    if settings.backend != "ctranslate2" or not is_converted(Path(name).expanduser()):
        context.hub.check_model(Model(name=name, revision=settings.revision, allow_pickle=True), "translate.model")


def _align(context: _Context) -> Iterator[Check]:
    yield from _models(context, "align")
    yield _raising(align_warm_start.check, context.recipe)
    yield _raising(check_backend, context.recipe)
    yield from _device(context.recipe.align.device, "align.device")


def _shard(context: _Context) -> Iterator[Check]:
    from mlctl import sharding

    settings = context.recipe.shard
    yield from _models(context, "shard")
    yield _raising(check_backend, context.recipe)
    for evaluation_set in settings.decontaminate:
        yield _raising(sharding.check, settings.model_copy(update={"decontaminate": (evaluation_set,)}))
    yield from _benchmarks(context)  # their text is kept out of training


def _train(context: _Context) -> Iterator[Check]:
    from mlctl import training

    settings = context.recipe.train
    yield from _models(context, "train")
    yield _raising(training.check, settings)
    yield _raising(check_dev_pairs, settings, context.recipe.shard.dev_pairs)
    yield _raising(check_interpolation, settings, context.recipe.model)
    yield _raising(check_lora, settings)
    if settings.fsdp:
        yield _raising(_check_fsdp, context.recipe)
    yield _raising(_check_sentence_modules, context)
    if settings.devices not in (*_AUTO_DEVICES, ("cpu",), 1):
        yield _raising(_check_devices, settings.devices)


def _check_fsdp(recipe: Recipe) -> None:
    check_fsdp(resolve_train(recipe.train, model_kind(recipe.model)))


def _evaluate(context: _Context) -> Iterator[Check]:
    yield from _models(context, "evaluate")
    yield _raising(_check_pooling_language, context.recipe)
    yield _raising(check_backend, context.recipe)
    yield from _benchmarks(context)
    yield from _device(context.recipe.evaluate.device, "evaluate.device")


def _retrain(context: _Context) -> Iterator[Check]:
    retrain = context.recipe.retrain
    yield from (_raising(_check_receiver, receiver) for receiver in retrain.notify)
    yield from (_raising(_check_destination, destination) for destination in retrain.publish)


_CHECKS: dict[str, Callable[[_Context], Iterator[Check]]] = {
    "download": _download,
    "clean": _clean,
    "translate": _translate,
    "align": _align,
    "shard": _shard,
    "train": _train,
    "evaluate": _evaluate,
    RETRAIN: _retrain,
}


def _models(context: _Context, stage: str) -> Iterator[Check]:
    for setting, model in models_of(context.recipe, stage):
        yield _raising(context.hub.check_model, model, setting)


def _benchmarks(context: _Context) -> Iterator[Check]:
    settings = context.recipe.evaluate
    for index, benchmark in enumerate(settings.benchmarks):
        one = settings.model_copy(update={"benchmarks": (benchmark,)})
        if not isinstance(benchmark.source, BenchmarkDataset):
            yield _raising(_check_benchmark, one)
        elif context.online or Path(benchmark.source.dataset).expanduser().is_dir():
            yield partial(_dataset_problems, context.hub, one, f"evaluate.benchmarks.{index}.source.dataset")


def _dataset_problems(hub: HubAccess, settings: Any, setting: str) -> Iterator[InputError]:
    """Ask the hub before the library `datasets`, which takes seconds and retries."""
    source = settings.benchmarks[0].source
    try:
        hub.check_dataset(source.dataset, source.revision, setting)
        _check_benchmark(settings)
    except InputError as error:
        yield error


def _check_benchmark(settings: Any) -> None:
    from mlctl import evaluation

    evaluation.check(settings)


def _check_pooling_language(recipe: Recipe) -> None:
    language, targets = recipe.evaluate.pooling_dev, recipe.languages.targets
    if language and language not in targets:
        remedy = f"name one of {', '.join(targets)}, or remove the setting"
        raise InputError(f"evaluate.pooling_dev: {language!r} is not a target language of the recipe", remedy)


def _device(name: str, setting: str) -> Iterator[Check]:
    """Yield a check of a device that the recipe names; only then torch is loaded."""
    if name not in _AUTO_DEVICES:
        yield _raising(_check_device, name, setting)


def _check_device(name: str, setting: str) -> None:
    from mlctl.modeling.devices import resolve_device

    resolve_device(name, setting)


def _check_sentence_modules(context: _Context) -> None:
    """Check that the modules of a sentence encoder can be reproduced; with explicit layers they are not used, if they cannot."""
    from mlctl.modeling import model_sources
    from mlctl.modeling.sentence_config import read_sentence_config
    from mlctl.modeling.sentence_modules import UnsupportedModuleError

    recipe = context.recipe
    start = model_sources.start_model(recipe.model) or recipe.model
    folder = Path(start.name).expanduser()
    with nullcontext() if recipe.train.layers == "auto" else suppress(UnsupportedModuleError):
        if start.name and folder.is_dir():
            if (folder / "config.json").is_file():
                read_sentence_config(folder, start.allow_pickle)
        elif start.name:
            context.hub.check_sentence_modules(start)


def _check_devices(names: str | int | tuple[str, ...]) -> None:
    from mlctl.modeling.devices import resolve_devices

    resolve_devices(names)


def _check_receiver(receiver: str) -> None:
    kind, _, name = receiver.partition(":")  # URLs were checked with the recipe; Secret blocks are on Prefect's server
    if kind == "env" and not os.environ.get(name, "").startswith(("http://", "https://")):
        problem = f"retrain.notify: the environment variable {name} does not contain an http(s) URL"
        raise InputError(problem, "set it, or remove it from the recipe")


def _check_destination(destination: str) -> None:
    if not destination.startswith("hf://"):
        return
    from huggingface_hub import get_token

    if not get_token():
        raise InputError(f"retrain.publish: {destination} needs an account of the hub", "run `hf auth login`, or set HF_TOKEN")
