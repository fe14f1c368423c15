"""Repairs text that was decoded with the wrong encoding, by the reading that is most likely the language."""

from __future__ import annotations

import functools
import heapq
import itertools
import operator
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from mlctl.cleaning.mojibake.encodings import SINGLE_BYTE, Misreading, misread_characters, multi_byte_readings, other_characters
from mlctl.cleaning.mojibake.letter_model import BEYOND_ASCII, BOX, DASHES, QUOTES, Kind, LetterModel
from mlctl.core import language_id

# Nats that a reading must be less unlikely than the text: to be taken for the text, also where the corpus is known to have been misread
# so; to be taken for a sign that the text is wrong; and by which the best reading must differ from the next.
_MIN_GAIN, _MIN_EXPECTED_GAIN, _MIN_DOUBT, _MIN_LEAD = 8.0, 3.0, 5.5, 3.0
_MIN_MARGIN = 10.0  # log probability by which the language identifier must tell such readings apart
_MIN_IMPOSSIBLE = 3  # characters that no right text has, from which a text without another reading is wrong
_RARITY = 3.0  # what an unusual misreading has to gain in addition, for each point of its rarity
_MAX_READINGS = 4  # whose costs are computed in full
_MAX_ROUGH_LEAD = 30.0  # by which a reading's rough cost may exceed that of the best, for its cost to be computed in full
_MAX_CHARACTERS = 60  # beyond ASCII, whose costs are computed


class Reading(NamedTuple):
    """Another reading of a text, and how many nats it is less unlikely than the text."""

    gain: float
    misreading: Misreading
    text: str


class Repaired(NamedTuple):
    """A text as it should read; `doubtful`: it was decoded with a wrong encoding, but how cannot be decided."""

    text: str
    doubtful: bool = False


@dataclass(frozen=True)
class EncodingRepair:
    """Finds text of a language that was decoded with the wrong encoding.

    Attributes:
        model: the letters of the language.
        expected: how a large part of the corpus was misread.
    """

    model: LetterModel
    expected: frozenset[Misreading] = frozenset()

    def _decide(self, texts: Sequence[str]) -> Repaired:
        """Return the reading, of several about as likely, that is identified as the language; else the first, as doubtful."""
        margins = language_id.other_language_margin(texts, self.model.language)
        order = margins.argsort(kind="stable")
        return Repaired(texts[int(order[0])], bool(margins[order[1]] - margins[order[0]] < _MIN_MARGIN))

    def to_json(self) -> dict[str, Any]:
        """Return the model and the expected misreadings."""
        return {"model": self.model.to_json(), "expected": sorted(self.expected)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Return what `to_json` returned."""
        return cls(LetterModel.from_json(content["model"]), frozenset(Misreading(*pair) for pair in content["expected"]))

    def repair(self, text: str) -> Repaired:
        """Return a text as it should read; right text is not changed."""
        if not self.is_suspect(text):
            return Repaired(text)
        readings = self.readings(text)
        if not readings:  # its characters are of several encodings
            return Repaired(text, self.model.count_impossible(text) >= _MIN_IMPOSSIBLE)
        best = readings[0]
        if best.gain < self._min_gain(best):
            return Repaired(text, best.gain >= _MIN_DOUBT)
        close = dict.fromkeys(reading.text for reading in readings if best.gain - reading.gain < _MIN_LEAD)
        return Repaired(best.text) if len(close) == 1 else self._decide(list(close))

    def is_suspect(self, text: str) -> bool:
        """Return whether a text has a character that is unusual in the language or at its position: the quick test."""
        return not text.isascii() and self.model.usable and self._suspect.search(text) is not None

    def readings(self, text: str) -> list[Reading]:
        """Return the most likely other readings, the best first."""
        written = self.model.alphabet.written
        readings = self._readings(text, written)
        if not readings or readings[0].gain < _MIN_DOUBT:  # in no encoding of the language: in any other one
            readings += self._readings(text, tuple(name for name in SINGLE_BYTE if name not in written))
        return sorted(readings, key=lambda reading: -reading.gain)

    def _readings(self, text: str, written: tuple[str, ...]) -> list[Reading]:
        counts = Counter(BEYOND_ASCII.findall(text))
        candidates = heapq.nsmallest(_MAX_READINGS, self._candidates(text, counts, written), key=lambda candidate: candidate[0])
        candidates = [candidate for candidate in candidates if candidate[0] <= candidates[0][0] + _MAX_ROUGH_LEAD]
        cost = self.model.cost(text, _MAX_CHARACTERS)
        return [
            Reading(cost - self.model.cost(reading, _MAX_CHARACTERS) - self._prior_cost(misreading), misreading, reading)
            for _, misreading, reading in candidates
        ]

    def _candidates(self, text: str, counts: Counter[str], written: tuple[str, ...]) -> Iterator[tuple[float, Misreading, str]]:
        """Yield the readings, with their rough costs."""
        rough = self.model.rough_cost
        characters = "".join(counts)
        for misreading, others in other_characters(characters, written):
            cost = sum(map(operator.mul, counts.values(), map(rough, others)))
            yield cost + self._prior_cost(misreading), misreading, text.translate(str.maketrans(characters, others))
        for misreading, reading in multi_byte_readings(text, frozenset(counts), written):
            yield sum(map(rough, BEYOND_ASCII.findall(reading))) + self._prior_cost(misreading), misreading, reading

    def _prior_cost(self, misreading: Misreading) -> float:
        if misreading in self.expected:
            return 0.0
        return _RARITY * (misreading.rarity + (misreading.true not in self.model.alphabet.written))

    def _min_gain(self, reading: Reading) -> float:
        return _MIN_EXPECTED_GAIN if reading.misreading in self.expected else _MIN_GAIN

    @functools.cached_property
    def _suspect(self) -> re.Pattern[str]:
        characters = _by_kind(self.model)
        odd = characters["auxiliary"] + characters["alien"] + characters["foreign"] + characters["control"]
        signs, capitals = characters["sign"], "".join(filter(str.isupper, characters["main"]))
        letter, inner = r"[^\W\d_]", "".join(set(QUOTES) - set("’‐‑"))
        patterns = [
            _class(odd + characters["box"] + "".join(sorted(self.model.rare))),
            rf"{letter}{_class(signs + characters['digit'])}|{_class(signs + characters['digit'])}{letter}",
            rf"{letter}{_class(inner)}{letter}|{letter}{_class(DASHES + '„‚«‹')}(?!\S)",
        ]
        if capitals:
            small = "a-z" + "".join(map(re.escape, filter(str.islower, characters["main"])))
            capital = _class(capitals)
            patterns += [rf"[{small}]{capital}", rf"[,.!?]{capital}(?!{letter})", rf"{capital}[A-Z][a-z]"]
            if "Latn" in self.model.alphabet.scripts:
                patterns.append(rf"(?<!\w){capital}(?!\w)")
        return re.compile("|".join(patterns))


def _by_kind(model: LetterModel) -> dict[Kind | str, str]:
    """Return the characters that bytes can be read as, by what they are to the language; box drawing is separate."""
    ordered = sorted(misread_characters(), key=lambda character: (model.kind(character), character))
    groups = {kind: "".join(group) for kind, group in itertools.groupby(ordered, key=model.kind)}
    box = "".join(character for character in ordered if character in BOX)
    return dict.fromkeys(("main", "auxiliary", "alien", "foreign", "control", "sign", "digit"), "") | groups | {"box": box}


def _class(characters: str) -> str:
    return f"[{re.escape(characters)}]" if characters else r"(?!)"
