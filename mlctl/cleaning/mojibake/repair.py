"""Repairs text that was decoded with the wrong encoding, by the reading that is most likely the language."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from mlctl.cleaning.characters import SIGNS_OF_MOJIBAKE, fix_utf8
from mlctl.cleaning.mojibake.encodings import (
    SINGLE_BYTE,
    Misreading,
    decoding,
    misread_characters,
    multi_byte_readings,
    rarity,
    read,
)
from mlctl.cleaning.mojibake.letter_model import BEYOND_ASCII, BOX, DASHES, QUOTES, Kind, LetterModel
from mlctl.cleaning.mojibake.mixture import prior_cost
from mlctl.cleaning.mojibake.single_byte import reading_table
from mlctl.core import language_id

# Nats that a reading must be less unlikely than the text: to be taken for the text; to be taken for a sign that the text is wrong; and
# by which the best reading must differ from the next.
_MIN_GAIN, _MIN_DOUBT, _MIN_LEAD = 8.0, 5.5, 3.0
_EXPECTED, _MAX_EXPECTED = 5.0, 10.0  # nats that a misreading of half of the corpus need not gain, and at most
_MIN_SURPRISE = 5.0  # nats that a text's letters cost too much, from which its other readings are compared
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


class _Candidate(NamedTuple):
    """A reading with its rough cost."""

    cost: float
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
        expected: how the corpus was misread, with the shares of its texts beyond ASCII.
    """

    model: LetterModel
    expected: Mapping[Misreading, float] = field(default_factory=dict)

    def _decide(self, texts: Sequence[str]) -> Repaired:
        """Return the reading, of several about as likely, that is identified as the language; else the first, as doubtful."""
        margins = language_id.other_language_margin(texts, self.model.language)
        order = margins.argsort(kind="stable")
        return Repaired(texts[int(order[0])], bool(margins[order[1]] - margins[order[0]] < _MIN_MARGIN))

    def to_json(self) -> dict[str, Any]:
        """Return the model and the expected misreadings."""
        return {
            "model": self.model.to_json(),
            "expected": [[*misreading, share] for misreading, share in sorted(self.expected.items())],
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Return what `to_json` returned."""
        return cls(LetterModel.from_json(content["model"]), {Misreading(*pair): share for *pair, share in content["expected"]})

    def repair(self, text: str) -> Repaired:
        """Return a text as it should read; right text is not changed."""
        repaired, fixed = self._repair(text), fix_utf8(text)
        if fixed == text:
            return repaired
        # ftfy repairs what is of several encodings or was misread twice; but it takes the first encoding that can be.
        other = self._repair(fixed)
        is_likely = not self.model.usable or self._gain(repaired.text, other.text) >= 0
        return other if is_likely else repaired

    def _repair(self, text: str) -> Repaired:
        suspect = self.is_suspect(text)
        if not suspect and (text.isascii() or not self._mostly_misread):
            return Repaired(text)
        readings = self.readings(text) if suspect else self._expected_readings(text, self.model.cost(text, _MAX_CHARACTERS))
        if not readings:  # its characters are of several encodings
            return Repaired(text, suspect and self.model.count_impossible(text) >= _MIN_IMPOSSIBLE)
        best = readings[0]
        if best.gain < _MIN_GAIN:
            return Repaired(text, best.gain >= _MIN_DOUBT)
        close = dict.fromkeys(reading.text for reading in readings if best.gain - reading.gain < _MIN_LEAD)
        return Repaired(best.text) if len(close) == 1 else self._decide(list(close))

    def is_right(self, text: str) -> bool:
        """Return whether neither `repair` nor ftfy would examine a text."""
        return text.isascii() or (
            not self._mostly_misread
            and self._examined.search(text) is None
            and not (self._examines_contexts and self.model.usable and self.model.surprise(text) >= _MIN_SURPRISE)
        )

    def is_suspect(self, text: str) -> bool:
        """Return whether a text has a character that is unusual in the language or at its position: the quick test."""
        if text.isascii() or not self.model.usable:
            return False
        is_odd = self._noticeable.search(text) is not None and self._suspect.search(text) is not None
        return is_odd or (self._examines_contexts and self.model.surprise(text) >= _MIN_SURPRISE)

    def readings(self, text: str) -> list[Reading]:
        """Return the most likely other readings, the best first."""
        written, cost = self.model.alphabet.written, self.model.cost(text, _MAX_CHARACTERS)
        readings = self._expected_readings(text, cost) + self._readings(text, cost, written)
        if (
            max((reading.gain for reading in readings), default=0.0) < _MIN_DOUBT
        ):  # in no encoding of the language: in any other one
            readings += self._readings(text, cost, _others(written))
        return sorted(readings, key=lambda reading: -reading.gain)

    def _expected_readings(self, text: str, cost: float) -> list[Reading]:
        """Return the readings by the misreadings of the corpus, the best first. `cost`: that of the text."""
        readings = [
            Reading(cost - self.model.reading_cost(text, reading, _MAX_CHARACTERS) + bonus, misreading, reading)
            for misreading, bonus in self._bonuses.items()
            if (reading := read(text, misreading)) is not None and reading != text
        ]
        return sorted(readings, key=lambda reading: -reading.gain)

    def _readings(self, text: str, cost: float, written: tuple[str, ...]) -> list[Reading]:
        """Return the readings in the encodings `written` that are the best by their rough costs."""
        counts = Counter(BEYOND_ASCII.findall(text))
        candidates = self._single_byte_candidates(text, counts, written) + self._multi_byte_candidates(text, counts, written)
        candidates = sorted(candidates, key=lambda candidate: candidate.cost)[:_MAX_READINGS]
        readings = []
        for candidate in candidates:
            if candidate.cost <= candidates[0].cost + _MAX_ROUGH_LEAD:
                reading_cost = self.model.reading_cost(text, candidate.text, _MAX_CHARACTERS)
                gain = cost - reading_cost - self._prior_cost(candidate.misreading)
                readings.append(Reading(gain, candidate.misreading, candidate.text))
        return readings

    def _single_byte_candidates(self, text: str, counts: Counter[str], written: tuple[str, ...]) -> list[_Candidate]:
        """Return the readings in single-byte encodings that are the best by their rough costs."""
        characters, table = "".join(counts), reading_table(written)
        columns, code_points = table.readings(characters)
        costs = (
            np.array(list(counts.values())) @ self._rough_costs[code_points]
            + _prior_costs(self.model.alphabet.written, written)[columns]
        )
        return [
            _Candidate(
                float(costs[index]),
                table.misreadings[columns[index]],
                text.translate(dict(zip(map(ord, characters), map(chr, code_points[:, index]), strict=True))),
            )
            for index in np.argsort(costs, kind="stable")[:_MAX_READINGS]
        ]

    def _multi_byte_candidates(self, text: str, counts: Counter[str], written: tuple[str, ...]) -> list[_Candidate]:
        rough = self.model.rough_cost
        return [
            _Candidate(sum(map(rough, BEYOND_ASCII.findall(reading))) + self._prior_cost(misreading), misreading, reading)
            for misreading, reading in multi_byte_readings(text, frozenset(counts), written)
        ]

    def _gain(self, text: str, reading: str) -> float:
        return self.model.cost(text, _MAX_CHARACTERS) - self.model.reading_cost(text, reading, _MAX_CHARACTERS)

    def _prior_cost(self, misreading: Misreading) -> float:
        return _RARITY * prior_cost(self.model, misreading)

    @functools.cached_property
    def _rough_costs(self) -> npt.NDArray[np.float64]:
        """The rough cost of each character that a byte can be read as, by its code point."""
        characters = sorted({character for encoding in SINGLE_BYTE for character in decoding(encoding)})
        costs = np.zeros(1 + ord(characters[-1]))
        costs[list(map(ord, characters))] = list(map(self.model.rough_cost, characters))
        return costs

    @functools.cached_property
    def _examines_contexts(self) -> bool:
        """Whether letters beside unusual neighbours are unusual: only where few letters are beyond ASCII, and the corpus is known."""
        return "Latn" in self.model.alphabet.scripts and self.model.learned is not None

    @functools.cached_property
    def _right_share(self) -> float:
        return max(0.01, 1 - sum(self.expected.values()))

    @functools.cached_property
    def _mostly_misread(self) -> bool:
        return self._right_share < max(self.expected.values(), default=0.0)

    @functools.cached_property
    def _bonuses(self) -> dict[Misreading, float]:
        """What the misreadings of the corpus need not gain, by the odds that a text was so misread."""
        odds = {misreading: math.log(share / self._right_share) for misreading, share in self.expected.items()}
        return {misreading: min(max(_EXPECTED + odd, 0.0), _MAX_EXPECTED) for misreading, odd in odds.items()}

    @functools.cached_property
    def _noticeable(self) -> re.Pattern[str]:
        """A character without which no text matches `_suspect`, which takes ten times longer."""
        odd, signs, inner, capitals = self._unusual
        return re.compile(_class(odd + signs + inner + DASHES + "„‚«‹" + capitals))

    @functools.cached_property
    def _examined(self) -> re.Pattern[str]:
        """A character without which a text is neither noticeable nor looks like mojibake to ftfy."""
        noticeable = self._noticeable.pattern[1:-1] if self.model.usable else ""
        return re.compile(f"[{noticeable}{SIGNS_OF_MOJIBAKE}]")

    @functools.cached_property
    def _unusual(self) -> tuple[str, str, str, str]:
        """Characters that are odd anywhere, signs that are odd beside a letter, quotes that are inside a word, and capitals."""
        characters = _by_kind(self.model)
        odd = characters["auxiliary"] + characters["alien"] + characters["foreign"] + characters["control"] + characters["box"]
        capitals = "".join(filter(str.isupper, characters["main"]))
        inner = "".join(set(QUOTES) - set("’ʼʻ‐‑"))
        return odd + "".join(sorted(self.model.rare)), characters["sign"] + characters["digit"], inner, capitals

    @functools.cached_property
    def _suspect(self) -> re.Pattern[str]:
        characters = _by_kind(self.model)
        odd, signs, inner, capitals = self._unusual
        letter = r"[^\W\d_]"
        patterns = [
            _class(odd),
            rf"{letter}{_class(signs)}|{_class(signs)}{letter}",
            rf"{letter}{_class(inner)}{letter}|{letter}{_class(DASHES + '„‚«‹')}(?!\S)",
        ]
        if capitals:
            small = "a-z" + "".join(map(re.escape, filter(str.islower, characters["main"])))
            capital = _class(capitals)
            patterns += [rf"[{small}]{capital}", rf"[,.!?]{capital}(?!{letter})", rf"{capital}[A-Z][a-z]"]
            if "Latn" in self.model.alphabet.scripts:
                patterns.append(rf"(?<!\w){capital}(?!\w)")
        return re.compile("|".join(patterns))


@functools.cache
def _others(written: tuple[str, ...]) -> tuple[str, ...]:
    """Return all other single-byte encodings."""
    return tuple(name for name in SINGLE_BYTE if name not in written)


@functools.cache
def _prior_costs(own: tuple[str, ...], written: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """Return the prior costs of all misreadings of text in `written`, for a language that may be written in `own`."""
    return _RARITY * np.array(
        [rarity(misreading) + (misreading.true not in own) for misreading in reading_table(written).misreadings]
    )


def _by_kind(model: LetterModel) -> dict[Kind | str, str]:
    """Return the characters that bytes can be read as, by what they are to the language; box drawing is separate."""
    ordered = sorted(misread_characters(), key=lambda character: (model.kind(character), character))
    groups = {kind: "".join(group) for kind, group in itertools.groupby(ordered, key=model.kind)}
    box = "".join(character for character in ordered if character in BOX)
    return dict.fromkeys(("main", "auxiliary", "alien", "foreign", "control", "sign", "digit"), "") | groups | {"box": box}


def _class(characters: str) -> str:
    return f"[{re.escape(characters)}]" if characters else r"(?!)"
