"""Translation through a language between: for pairs that no engine serves directly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlctl.translation.backend import Translation, Translator


@dataclass(frozen=True)
class Leg:
    """One hop of a route."""

    translator: Translator
    source: str
    target: str


class Routed:
    """A translator that goes from leg to leg; a text that one leg rejects goes no further."""

    def __init__(self, legs: Sequence[Leg]) -> None:
        self._legs = legs

    def identity(self) -> dict[str, str]:
        """Return the identities of the legs, each name with the leg before it: `en→fr digest`."""
        found = {"backend": "pivot"}
        for leg in self._legs:
            found |= {f"{leg.source}→{leg.target} {name}": value for name, value in leg.translator.identity().items()}
        return found

    def serves(self, source: str, target: str) -> bool:
        """Tell whether the route goes from `source` to `target` and every leg is served."""
        ends = (self._legs[0].source, self._legs[-1].target)
        return ends == (source, target) and all(leg.translator.serves(leg.source, leg.target) for leg in self._legs)

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        """Tell for each text whether the first leg takes it whole."""
        del source, target
        first = self._legs[0]
        return first.translator.fits(texts, first.source, first.target)

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts leg by leg; the answer of a text that a leg rejects is that leg's rule."""
        del source, target
        made = [Translation(text) for text in texts]
        for leg in self._legs:
            rows = [row for row, translation in enumerate(made) if not translation.rule and translation.text.strip()]
            answers = leg.translator.translate([made[row].text for row in rows], leg.source, leg.target)
            for row, translation in zip(rows, answers, strict=True):
                made[row] = translation
        return made

    def close(self) -> None:
        """Close the legs."""
        for leg in self._legs:
            leg.translator.close()
