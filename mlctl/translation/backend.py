"""What a translation backend is, and which one a recipe means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlctl.config import Translate


@dataclass(frozen=True)
class Translation:
    """The translation of one text: `text`, or "" and the `rule` that says why there is none."""

    text: str
    rule: str = ""


#: Rules that leave a text without translation, in the order in which they are asked.
TOO_LONG, UNFINISHED, EMPTY = "too many tokens", "unfinished translation", "empty translation"
RULES = (TOO_LONG, UNFINISHED, EMPTY)


class Translator(Protocol):
    """Translates from one language into another, always alike.

    `translate` may be called by several threads at once.
    """

    def identity(self) -> dict[str, str]:
        """Return what made the translations, for keys and records: name, digest of its content, settings that change them."""

    def serves(self, source: str, target: str) -> bool:
        """Tell whether it translates from `source` to `target` (BCP 47)."""

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        """Tell for each text whether it is short enough to be translated whole."""

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts from `source` to `target` (BCP 47), one answer a text, in their order.

        A text that does not fit is not cut: its answer is the rule `TOO_LONG`.
        """

    def close(self) -> None:
        """End what was started: processes, models on a device."""


def model_name(settings: Translate, source: str, target: str) -> str:
    """Return the model for a pair of languages."""
    return _placed(settings.model, source, target)


def command_for(settings: Translate, source: str, target: str) -> tuple[str, ...]:
    """Return the program and its arguments for a pair of languages."""
    return tuple(_placed(argument, source, target) for argument in settings.command)


def load(settings: Translate, source: str, target: str, cache: Path | None = None) -> Translator:
    """Load the backend of the recipe for a pair of languages.

    Args:
        settings: the backend and what it needs.
        source: language of the texts (BCP 47).
        target: language of the translations.
        cache: where converted models are kept for other runs; None: they are converted anew each time.

    Raises:
        InputError: the engine is not there, cannot be fetched or read, or does not serve the languages.
    """
    if settings.backend == "ctranslate2":
        from mlctl.translation.ctranslate import Ctranslate2Translator

        return Ctranslate2Translator(settings, source, target, cache)
    if settings.backend == "transformers":
        from mlctl.translation.seq2seq import Seq2SeqTranslator

        return Seq2SeqTranslator(settings, source, target)
    if settings.backend == "apertium":
        from mlctl.translation.apertium.backend import ApertiumTranslator

        return ApertiumTranslator(settings, source, target)
    from mlctl.translation.external_command import CommandTranslator

    return CommandTranslator(settings, source, target)


def _placed(text: str, source: str, target: str) -> str:
    return text.replace("{source}", source).replace("{target}", target)
