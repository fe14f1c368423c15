"""What the backends for neural models (ctranslate2, transformers) have in common."""

from __future__ import annotations

from collections.abc import Sequence

from mlctl.config import Translate
from mlctl.translation import models
from mlctl.translation.tokenizer import TranslationTokenizer


class NeuralBackend:
    """A sequence-to-sequence model with its tokenizer; subclasses load its weights and translate."""

    def __init__(self, settings: Translate, source: str, target: str) -> None:
        """Find the model for a language pair and load its tokenizer.

        Raises:
            InputError: the model is missing, or cannot be fetched or read.
        """
        name = settings.model_for(source, target)
        self._settings = settings
        self._folder = models.resolve_folder(settings, name)
        self._tokenizer = TranslationTokenizer(self._folder, name, source, target)
        self._identity = models.identity(settings, self._folder)
        self._max_tokens = models.max_tokens(settings, self._folder, self._tokenizer.max_length)

    def identity(self) -> dict[str, str]:
        """Return the model's type and digest, the precision and the beam size."""
        return self._identity

    def supports(self, source: str, target: str) -> bool:
        """Return whether the model has both languages."""
        return self._tokenizer.supports(source, target)

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        """Return for each text whether the model accepts all its tokens."""
        return [len(ids) <= self._max_tokens for ids in self._tokenizer.encode(texts, source, target)]
