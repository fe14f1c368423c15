"""The backends of a run, each loaded once, when it is first needed."""

from __future__ import annotations

import logging
from pathlib import Path

from mlctl.config import Translate
from mlctl.config.translate import NEURAL_BACKENDS
from mlctl.errors import InputError
from mlctl.translation import models, registry
from mlctl.translation.backend import TranslationBackend
from mlctl.translation.licences import backend_name
from mlctl.translation.pivot import PivotBackend, PivotStep
from mlctl.translation.splitting import SplittingBackend
from mlctl.translation.translation_memory import MemoizedBackend, TranslationMemory

_log = logging.getLogger(__name__)


class BackendPool:
    """Loads backends for language pairs, wrapped with the translation memory and the splitting of long text, and closes them all."""

    def __init__(self, settings: Translate, memory: Path | None = None, cache: Path | None = None) -> None:
        """Take the recipe's settings, the file of the translation memory (None: none) and the folder of converted models."""
        self._settings = settings
        self._memory = TranslationMemory(memory) if memory else None
        self._cache = cache
        self._loaded: dict[tuple[str, str, str], TranslationBackend] = {}  # by model, source and target

    def get(self, source: str, target: str) -> TranslationBackend:
        """Return a backend for the language pair: a direct one, or two through the recipe's pivot.

        Raises:
            InputError: no backend supports the pair, directly or through the pivot.
        """
        pivot = self._settings.pivot
        try:
            return self._direct(source, target)
        except InputError as error:
            if not pivot or pivot in (source, target):
                raise
            _log.info("%s→%s is translated through %s: %s", source, target, pivot, error.problem)
        pairs = ((source, pivot), (pivot, target))
        return PivotBackend([PivotStep(self._direct(*pair), *pair) for pair in pairs])

    def get_if_local(self, source: str, target: str) -> TranslationBackend | None:
        """Return a direct backend for the language pair if it can be loaded without a download; else None."""
        if self._settings.backend in NEURAL_BACKENDS and not self._is_local(source, target):
            return None
        try:
            return self._direct(source, target)
        except InputError:
            return None

    def close(self) -> None:
        """Close all backends."""
        for backend in self._loaded.values():
            backend.close()
        self._loaded.clear()

    def _is_local(self, source: str, target: str) -> bool:
        """Return whether a neural model for the pair is loaded, or there is a local one for this direction."""
        name = self._settings.model_for(source, target)
        if any(key[0] == name and backend.supports(source, target) for key, backend in self._loaded.items()):
            return True
        # A model whose name has no {source} or {target} was loaded for one direction, and is not used for the other.
        return name != self._settings.model and not models.is_on_hub(name)

    def _direct(self, source: str, target: str) -> TranslationBackend:
        """Return a backend for a pair. A multilingual model is loaded once for all its pairs."""
        name = self._settings.model_for(source, target)
        for key, loaded in self._loaded.items():
            if key[0] == name and loaded.supports(source, target):
                return loaded
        self._check_command(source, target)
        backend = registry.load(self._settings, source, target, self._cache)
        if not backend.supports(source, target):
            backend.close()
            raise InputError(
                f"translate: {self._settings.backend} does not translate from {source} to {target}",
                "name another model or backend, set translate.pivot, or remove the language from languages.targets",
            )
        _log.info("translating from %s to %s with %s", source, target, backend_name(backend.identity()))
        memoized = MemoizedBackend(backend, self._memory) if self._memory else backend
        self._loaded[name, source, target] = wrapped = SplittingBackend(memoized, self._settings.long_text)
        return wrapped

    def _check_command(self, source: str, target: str) -> None:
        """Reject a command that would write the same translations for two target languages."""
        command = self._settings.command_for(source, target)
        for _, other_source, other_target in self._loaded:
            if command and other_target != target and self._settings.command_for(other_source, other_target) == command:
                pairs = f"from {other_source} to {other_target} and from {source} to {target}"
                raise InputError(
                    f"translate.command is the same {pairs}", "write {source} and {target} in place of the languages' codes"
                )
