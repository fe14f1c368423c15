"""What the translations of a recipe depend on: the part of the stage's key that the settings do not have."""

from __future__ import annotations

import json

from mlctl.config import Languages, Translate
from mlctl.config.translate import NEURAL_BACKENDS
from mlctl.errors import InputError
from mlctl.translation import dev_sets, models, registry


def fingerprint(settings: Translate, languages: Languages) -> dict[str, str]:
    """Return the identity of the backend of each direction (`en→fr`), and the digests of the dev sets.

    Directions from a target language back to the source are included if their backend is available.

    Raises:
        InputError: no backend supports a language, a model is missing or cannot be fetched, or a dev set is missing.
    """
    if settings.backend == "none":
        return {}
    result = dev_sets.digests(settings, languages)
    for target in languages.targets:
        result |= _of_target(settings, languages.source, target)
    return result


def _of_target(settings: Translate, source: str, target: str) -> dict[str, str]:
    pivot = settings.pivot if settings.pivot not in (source, target) else None
    through_pivot = {**_of_pair(settings, source, pivot), **_of_pair(settings, pivot, target)} if pivot else {}
    result = {**_of_pair(settings, source, target, required=len(through_pivot) < 2), **through_pivot}
    for pair in [(target, source), *([(target, pivot), (pivot, source)] if pivot else [])]:
        result |= _of_pair(settings, *pair, fetch=False)
    return result


def _of_pair(settings: Translate, source: str, target: str, required: bool = False, fetch: bool = True) -> dict[str, str]:
    """Return the identity of one pair's backend as JSON, by the pair; nothing if no backend supports it."""
    try:
        return {f"{source}→{target}": json.dumps(_identity(settings, source, target, fetch), sort_keys=True)}
    except InputError:
        if required:
            raise
        return {}


def _identity(settings: Translate, source: str, target: str, fetch: bool) -> dict[str, str]:
    if settings.backend in NEURAL_BACKENDS:
        name = settings.model_for(source, target)
        if not fetch and models.is_on_hub(name):
            return {"model": name, "revision": settings.revision}  # is fetched later, if there is text in that direction
        return models.identity(settings, models.resolve_folder(settings, name))
    with registry.loaded(settings, source, target) as backend:
        return backend.identity()
