"""Translation through a pivot language, for pairs that no backend supports directly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlctl.translation.backend import Translation, TranslationBackend


@dataclass(frozen=True)
class PivotStep:
    """One of the two translations: a backend and its languages."""

    backend: TranslationBackend
    source: str
    target: str


class PivotBackend:
    """Translates step by step; a text that one step rejects is not translated further."""

    def __init__(self, steps: Sequence[PivotStep]) -> None:
        self._steps = steps

    def identity(self) -> dict[str, str]:
        """Return the identities of the steps; each name has its step as a prefix: `en→fr digest`."""
        identity = {"backend": "pivot"}
        for step in self._steps:
            identity |= {f"{step.source}→{step.target} {name}": value for name, value in step.backend.identity().items()}
        return identity

    def supports(self, source: str, target: str) -> bool:
        """Return whether the steps lead from `source` to `target` and each is supported."""
        ends = (self._steps[0].source, self._steps[-1].target)
        return ends == (source, target) and all(step.backend.supports(step.source, step.target) for step in self._steps)

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        """Return for each text whether the first step translates it whole."""
        del source, target
        first = self._steps[0]
        return first.backend.fits(texts, first.source, first.target)

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts step by step; the rule of a text that a step rejects is that step's."""
        del source, target
        translations = [Translation(text) for text in texts]
        for step in self._steps:
            rows = [row for row, translation in enumerate(translations) if not translation.rule and translation.text.strip()]
            results = step.backend.translate([translations[row].text for row in rows], step.source, step.target)
            for row, translation in zip(rows, results, strict=True):
                translations[row] = translation
        return translations

    def close(self) -> None:
        """Close the backends of all steps."""
        for step in self._steps:
            step.backend.close()
