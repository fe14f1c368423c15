"""The protocol of translation backends, their result for one text, and the rules by which they reject a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlctl.core.cpu import usable_cores


@dataclass(frozen=True)
class Translation:
    """The translation of one text, or the `rule` that rejects it; `text` is then the rejected output, "" if there is none."""

    text: str
    rule: str = ""


#: Rules that reject a text, in the order in which they are applied.
TOO_LONG, UNFINISHED, EMPTY = "too many tokens", "unfinished translation", "empty translation"
RULES = (TOO_LONG, UNFINISHED, EMPTY)
#: Rule of a text on which a program crashes or does not answer, also when it is retried alone.
FAILED = "backend failed"


@dataclass(frozen=True)
class BackendFiles:
    """Files that the backends of a run share.

    Attributes:
        models: folder of converted models; None: models are converted again each time.
        memory: file of the translation memory, for a backend that stores its answers itself; None: without one.
        usage: file that counts the tokens of a server's answers; None: they are not kept.
    """

    models: Path | None = None
    memory: Path | None = None
    usage: Path | None = None


#: No file is shared.
NO_FILES = BackendFiles()


class TranslationBackend(Protocol):
    """Translates between languages; the same text always gets the same translation.

    `translate` must be thread-safe.
    """

    def identity(self) -> dict[str, str]:
        """Return what determines the translations, for keys and records: name, content digest and the settings that change them."""

    def supports(self, source: str, target: str) -> bool:
        """Return whether it translates from `source` to `target` (BCP 47)."""

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        """Return for each text whether it is short enough to be translated whole."""

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts from `source` to `target` (BCP 47); return one translation a text, in order.

        A text that does not fit is not truncated: it is rejected as `TOO_LONG`.
        """

    def close(self) -> None:
        """Stop processes and free devices."""


class BackendWrapper:
    """A backend that changes how another one translates, and passes everything else on to it."""

    def __init__(self, inner: TranslationBackend) -> None:
        self._inner = inner

    def identity(self) -> dict[str, str]:
        """Return the identity of the inner backend: a wrapper does not change translations of texts that fit."""
        return self._inner.identity()

    def supports(self, source: str, target: str) -> bool:
        """Return whether the inner backend translates from `source` to `target`."""
        return self._inner.supports(source, target)

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        """Return for each text whether the inner backend translates it whole."""
        return self._inner.fits(texts, source, target)

    def close(self) -> None:
        """Close the inner backend."""
        self._inner.close()


def thread_count(threads: int) -> int:
    """Return how many threads to use: `threads`, or one for each core that this process may use where it is 0."""
    return threads or usable_cores()
