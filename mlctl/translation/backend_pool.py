"""The engines of a run: which translator goes from one language to another, each loaded once."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from mlctl.config import Languages, Translate
from mlctl.errors import InputError
from mlctl.translation import backend, dev_sets, models
from mlctl.translation.backend import Translator, command_for, model_name
from mlctl.translation.licences import engine_name
from mlctl.translation.memory import Memory, Remembering
from mlctl.translation.pivot import Leg, Routed
from mlctl.translation.splitting import Splitting

NEURAL = ("ctranslate2", "transformers")
_log = logging.getLogger(__name__)


class Engines:
    """Loads what a run translates with when it is first wanted, and closes it all."""

    def __init__(self, settings: Translate, memory: Path | None = None, cache: Path | None = None) -> None:
        """Take the recipe's settings, the file of the memory (None: nothing is remembered) and the folder of converted models."""
        self._settings = settings
        self._memory = Memory(memory) if memory else None
        self._cache = cache
        self._hops: dict[tuple[str, ...], Translator] = {}

    def route(self, source: str, target: str) -> Translator:
        """Return what translates from `source` to `target`: an engine for the pair, or a way through the recipe's pivot.

        Raises:
            InputError: no engine serves the pair, directly or through the pivot.
        """
        pivot = self._settings.pivot
        try:
            return self._hop(source, target)
        except InputError as error:
            if not pivot or pivot in (source, target):
                raise
            _log.info("%s→%s goes through %s: %s", source, target, pivot, error.problem)
        legs = ((source, pivot), (pivot, target))
        return Routed([Leg(self._hop(*leg), *leg) for leg in legs])

    def back(self, source: str, target: str) -> Translator | None:
        """Return what translates from `source` to `target` if that is at hand; nothing is fetched for it."""
        if self._settings.backend in NEURAL and not self._is_at_hand(source, target):
            return None
        try:
            return self._hop(source, target)
        except InputError:
            return None

    def close(self) -> None:
        """Close every engine."""
        for translator in self._hops.values():
            translator.close()
        self._hops.clear()

    def _is_at_hand(self, source: str, target: str) -> bool:
        """Tell whether a neural engine is loaded, or has a model of its own that lies here."""
        name = model_name(self._settings, source, target)
        if any(key[0] == name and engine.serves(source, target) for key, engine in self._hops.items()):
            return True
        # A model for one pair that bears one name does not go back, whatever it says of itself.
        return name != self._settings.model and not models.is_on_hub(name)

    def _hop(self, source: str, target: str) -> Translator:
        """Return the engine for a pair. A model for many languages is one for all its pairs."""
        name = model_name(self._settings, source, target)
        for key, translator in self._hops.items():
            if key[0] == name and translator.serves(source, target):
                return translator
        self._refuse_a_command_for_two(source, target)
        engine = backend.load(self._settings, source, target, self._cache)
        if not engine.serves(source, target):
            engine.close()
            raise InputError(
                f"translate: {self._settings.backend} does not translate from {source} to {target}",
                "name another model or backend, set translate.pivot, or take the language out of languages.targets",
            )
        _log.info("translating from %s to %s by %s", source, target, engine_name(engine.identity()))
        remembering = Remembering(engine, self._memory) if self._memory else engine
        self._hops[(name, source, target)] = hop = Splitting(remembering, self._settings.long_text)
        return hop

    def _refuse_a_command_for_two(self, source: str, target: str) -> None:
        """Refuse a command that would give the same answers for two target languages."""
        command = command_for(self._settings, source, target)
        for _, from_, to in self._hops:
            if command and to != target and command_for(self._settings, from_, to) == command:
                problem = f"translate.command is the same from {from_} to {to} and from {source} to {target}"
                raise InputError(problem, "write {source} and {target} where the languages' codes go")


def fingerprint(settings: Translate, languages: Languages) -> dict[str, str]:
    """Return what the translations of a recipe come from, for its key: the engine of every way, and the dev sets.

    Ways back from a target language count where their engine is at hand.

    Raises:
        InputError: no engine serves a language, a model is not there or cannot be fetched, or a dev set is missing.
    """
    if settings.backend == "none":
        return {}
    found = dev_sets.digests(settings, languages)
    for target in languages.targets:
        found |= _ways(settings, languages.source, target)
    return found


def _ways(settings: Translate, source: str, target: str) -> dict[str, str]:
    pivot = settings.pivot if settings.pivot not in (source, target) else None
    through = {**_way(settings, source, pivot), **_way(settings, pivot, target)} if pivot else {}
    forward = _way(settings, source, target, needed=len(through) < 2)
    back = [(target, source), *([(target, pivot), (pivot, source)] if pivot else [])]
    return {**forward, **through, **{name: value for pair in back for name, value in _way(settings, *pair, fetch=False).items()}}


def _way(settings: Translate, source: str, target: str, needed: bool = False, fetch: bool = True) -> dict[str, str]:
    """Return the identity of the engine of one pair, by the pair; nothing where there is no such engine."""
    try:
        return {f"{source}→{target}": json.dumps(_identity(settings, source, target, fetch), sort_keys=True)}
    except InputError:
        if needed:
            raise
        return {}


def _identity(settings: Translate, source: str, target: str, fetch: bool) -> dict[str, str]:
    if settings.backend in NEURAL:
        name = model_name(settings, source, target)
        if not fetch and models.is_on_hub(name):
            return {"model": name, "revision": settings.revision}  # is fetched if the text asks for it
        return models.identity(settings, models.folder_of(settings, name))
    engine = backend.load(settings, source, target)
    try:
        if not engine.serves(source, target):
            raise InputError(f"translate: {settings.backend} does not translate from {source} to {target}", "set translate.pivot")
        return engine.identity()
    finally:
        engine.close()
