"""Checks before any work that what translates each target language is there: models, programs, dev sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from mlctl.config import Languages, Translate
from mlctl.config.translate import NEURAL_BACKENDS
from mlctl.errors import InputError
from mlctl.translation import dev_sets, models, registry

#: Checks a model on the hub or a folder with one, by its name.
CheckModel = Callable[[str], None]


def checks(
    settings: Translate, languages: Languages, check_model: CheckModel, online: bool = True
) -> Iterator[Callable[[], None]]:
    """Yield a check for each dev set and target language; each raises an InputError if something is missing.

    `online`: whether a server is asked. The way back from a target language is not checked: only monolingual text of that language needs it.
    """
    if settings.backend == "none":
        return
    for dev_set in settings.dev:
        yield partial(dev_sets.check, dev_set, languages)
    if settings.backend == "openai":
        yield from _server_checks(settings, online)
        return
    if settings.device.startswith("cuda"):
        yield partial(_check_device, settings)
    yield from (partial(_check_target, settings, languages.source, target, check_model) for target in languages.targets)


def _server_checks(settings: Translate, online: bool) -> Iterator[Callable[[], None]]:
    """Yield the checks of a server and of the files of its prompts."""
    from mlctl.translation.openai_api import client, prompt

    yield partial(prompt.check_tables, settings.openai)
    if online:
        yield partial(client.check_server, settings.openai)


def _check_device(settings: Translate) -> None:
    models.devices(settings)


def _check_target(settings: Translate, source: str, target: str, check_model: CheckModel) -> None:
    """Check the direct way; if that is not there, both steps through the pivot language."""
    try:
        _check_pair(settings, source, target, check_model)
    except InputError as direct:
        pivot = settings.pivot if settings.pivot not in (source, target) else None
        if pivot is None:
            raise
        try:
            _check_pair(settings, source, pivot, check_model)
            _check_pair(settings, pivot, target, check_model)
        except InputError:
            raise direct from None


def _check_pair(settings: Translate, source: str, target: str, check_model: CheckModel) -> None:
    if settings.backend in NEURAL_BACKENDS:
        check_model(settings.model_for(source, target))
        return
    with registry.loaded(settings, source, target):
        pass
