"""Translation backends by the name that recipes use (`translate.backend`). An implementation is imported when it is loaded."""

from __future__ import annotations

import contextlib
import pkgutil
from collections.abc import Iterator

from mlctl.config import Translate
from mlctl.errors import InputError
from mlctl.translation.backend import NO_FILES, BackendFiles, TranslationBackend

#: Module and class of each backend. The class is called with the settings, source, target and files of `load`.
BACKENDS = {
    "ctranslate2": "mlctl.translation.ctranslate2_backend:CTranslate2Backend",
    "transformers": "mlctl.translation.transformers_backend:TransformersBackend",
    "apertium": "mlctl.translation.apertium.backend:ApertiumBackend",
    "command": "mlctl.translation.external_command:CommandBackend",
    "openai": "mlctl.translation.openai_api.backend:OpenAIBackend",
}


def load(settings: Translate, source: str, target: str, files: BackendFiles = NO_FILES) -> TranslationBackend:
    """Load the recipe's backend for a language pair.

    Args:
        settings: the name of the backend and its settings.
        source: language of the texts (BCP 47).
        target: language of the translations (BCP 47).
        files: files that the backends of a run share.

    Raises:
        InputError: the model or program is missing, cannot be fetched or read, or does not support the languages.
    """
    backend: TranslationBackend = pkgutil.resolve_name(BACKENDS[settings.backend])(settings, source, target, files)
    return backend


@contextlib.contextmanager
def loaded(settings: Translate, source: str, target: str) -> Iterator[TranslationBackend]:
    """Yield the recipe's backend for a language pair while the block lasts.

    Raises:
        InputError: as `load`; or it does not translate the pair.
    """
    with contextlib.closing(load(settings, source, target)) as backend:
        if not backend.supports(source, target):
            raise InputError(f"translate: {settings.backend} does not translate from {source} to {target}", "set translate.pivot")
        yield backend
