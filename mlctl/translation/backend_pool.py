"""The backends of a process, each loaded once, when it is first needed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence

from mlctl.config import Translate
from mlctl.config.translate import NEURAL_BACKENDS
from mlctl.errors import InputError
from mlctl.translation import models, registry
from mlctl.translation.backend import NO_FILES, BackendFiles, TranslationBackend
from mlctl.translation.pivot import PivotBackend, PivotStep
from mlctl.translation.splitting import SplittingBackend

#: Source and target language (BCP 47).
Pair = tuple[str, str]

_log = logging.getLogger(__name__)


class BackendPool:
    """Loads backends for language pairs, wrapped with the splitting of long text, and closes them all. Thread-safe."""

    def __init__(self, settings: Translate, files: BackendFiles = NO_FILES) -> None:
        """Take the recipe's settings and the files that the backends share."""
        self._settings = settings
        self._files = files
        self._loaded: dict[tuple[str, str, str], TranslationBackend] = {}  # by name, source and target
        self._lock = threading.RLock()

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
        return PivotBackend([PivotStep(self._direct(*pair), *pair) for pair in pivot_steps(source, target, pivot)])

    def get_if_local(self, source: str, target: str, used: Iterable[Pair]) -> TranslationBackend | None:
        """Return a direct backend for the language pair if it can be loaded without a download; else None.

        Args:
            source: language of the texts.
            target: language of the translations.
            used: pairs whose backends are loaded anyway. What else this process has loaded does not count, so that all have one answer.
        """
        with self._lock:
            if self._settings.backend in NEURAL_BACKENDS and not self._is_local(source, target, used):
                return None
            try:
                return self._direct(source, target)
            except InputError:
                return None

    def keep_only(self, pairs: Iterable[Pair]) -> None:
        """Close the backends that translate none of these language pairs, directly or as a step through the pivot."""
        pivot = self._settings.pivot
        needed = [step for pair in pairs for step in (pair, *(pivot_steps(*pair, pivot) if pivot else []))]
        with self._lock:
            for key, backend in list(self._loaded.items()):
                if not any(key[0] == self._name(*pair) and backend.supports(*pair) for pair in needed):
                    self._loaded.pop(key).close()

    def close(self) -> None:
        """Close all backends."""
        self.keep_only([])

    def _name(self, source: str, target: str) -> str:
        """Return the name of what is loaded for a pair: that of its model; a server has the models of all pairs."""
        return self._settings.openai.base_url if self._settings.backend == "openai" else self._settings.model_for(source, target)

    def _is_local(self, source: str, target: str, used: Iterable[Pair]) -> bool:
        """Return whether a neural model of the used pairs translates the pair, or there is a local one for this direction."""
        name = self._settings.model_for(source, target)
        for pair in used:
            if self._settings.model_for(*pair) == name and (pair == (source, target) or self._supports(pair, (source, target))):
                return True
        # A model whose name has no {source} or {target} was loaded for one direction, and is not used for the other.
        return name != self._settings.model and not models.is_on_hub(name)

    def _supports(self, pair: Pair, other: Pair) -> bool:
        """Return whether the direct model of a pair translates another one, too."""
        try:
            return self._direct(*pair).supports(*other)
        except InputError:  # the pair goes through the pivot
            return False

    def _direct(self, source: str, target: str) -> TranslationBackend:
        """Return a backend for a pair. A multilingual model is loaded once for all its pairs."""
        name = self._name(source, target)
        with self._lock:
            for key, loaded in self._loaded.items():
                if key[0] == name and loaded.supports(source, target):
                    return loaded
            check_commands(self._settings, [*((key[1], key[2]) for key in self._loaded), (source, target)])
            backend = registry.load(self._settings, source, target, self._files)
            if not backend.supports(source, target):
                backend.close()
                raise InputError(
                    f"translate: {self._settings.backend} does not translate from {source} to {target}",
                    "name another model or backend, set translate.pivot, or remove the language from languages.targets",
                )
            self._loaded[name, source, target] = wrapped = SplittingBackend(backend, self._settings.long_text)
            return wrapped


_process_pools: dict[tuple[Translate, BackendFiles], BackendPool] = {}  # one at most
_process_lock = threading.Lock()


def process_pool(settings: Translate, files: BackendFiles) -> BackendPool:
    """Return the pool that the steps of this process share; with other settings than before, a new one."""
    with _process_lock:
        if (settings, files) not in _process_pools:
            _close_pools()
            _process_pools[settings, files] = BackendPool(settings, files)
        return _process_pools[settings, files]


def close_process_pool() -> None:
    """Close the backends that the steps of this process share."""
    with _process_lock:
        _close_pools()


def _close_pools() -> None:
    while _process_pools:
        _process_pools.popitem()[1].close()


def pivot_steps(source: str, target: str, pivot: str) -> list[Pair]:
    """Return the language pairs of the two steps through a pivot language."""
    return [(source, pivot), (pivot, target)]


def check_commands(settings: Translate, pairs: Sequence[Pair]) -> None:
    """Check that no command would write the same translations for two target languages.

    Raises:
        InputError: one would; the message names both language pairs.
    """
    for index, (source, target) in enumerate(pairs):
        for other_source, other_target in pairs[:index]:
            command = settings.command_for(source, target)
            if command and other_target != target and settings.command_for(other_source, other_target) == command:
                both = f"from {other_source} to {other_target} and from {source} to {target}"
                raise InputError(
                    f"translate.command is the same {both}", "write {source} and {target} in place of the languages' codes"
                )
