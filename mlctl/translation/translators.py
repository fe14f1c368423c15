"""What a translation backend is, and which one a recipe means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    """Translates from one language into another, always alike."""

    def identity(self) -> dict[str, str]:
        """Return what made the translations, for keys and records: name, digest of its content, settings that change them."""

    def serves(self, source: str, target: str) -> bool:
        """Tell whether it translates from `source` to `target` (BCP 47)."""

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        """Tell for each text whether it is short enough to be translated whole."""

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts from `source` to `target` (BCP 47), one answer a text, in their order."""

    def close(self) -> None:
        """End what was started: processes, models on a device."""


def model_name(settings: Translate, source: str, target: str) -> str:
    """Return the model for a pair of languages."""
    return settings.model.replace("{source}", source).replace("{target}", target)


def load(settings: Translate, source: str, target: str) -> Translator:
    """Load the backend of the recipe for a pair of languages.

    Raises:
        InputError: the model is not there, cannot be fetched or read, or does not speak the languages.
    """
    from mlctl.translation.seq2seq import Seq2SeqTranslator

    return Seq2SeqTranslator(settings, model_name(settings, source, target))
