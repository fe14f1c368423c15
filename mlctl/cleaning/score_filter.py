"""The rules of `clean.scores`: they drop pairs by a threshold or by a percentile of their language's scored pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl import config
from mlctl.cleaning.duplicates import Mask
from mlctl.config.scores import BicleanerAiScore, CometQeScore, EncoderScore, Score, ScoreLimits
from mlctl.core.score_columns import ScoreArray
from mlctl.schema import SCORE_EXAMPLES, SCORE_HISTOGRAM

_BINS = 40
_EXAMPLES = 5  # on each side of a cut
_BIN_BITS = 16  # highest bits of a score by which the scores of a language are counted
_SIGN = np.uint32(1 << 31)

#: Returns the scores of each part by name, NaN where a pair has none.
ReadScores = Callable[[], Iterator[Mapping[str, ScoreArray]]]


def rule_name(score: str) -> str:
    """Return the name of a score's rule, in the funnel and of rejected rows."""
    return f"score {score}"


def reasons(settings: config.Clean) -> dict[str, str]:
    """Return the names of the scores' rules in the order in which they are applied, each with what it drops."""
    return {rule_name(name): _reason(score) for name, score in settings.scores.items() if score.drops}


class _Distribution(NamedTuple):
    """The scores of a language: their number, the lowest, the highest, and the lowest that is not dropped (None: none is)."""

    pairs: int
    low: float
    high: float
    cut: float | None

    @property
    def edges(self) -> npt.NDArray[np.float32]:
        """The edges of the histogram's bins; one bin where all scores are equal."""
        return np.linspace(self.low, self.high, _BINS + 1 if self.high > self.low else 2, dtype=np.float32)


class ScoreFilter:
    """Decides which pairs of a language are dropped by their scores, and collects what the report shows of them.

    The scores of a language are counted, never held in memory.
    """

    def __init__(self, settings: config.Clean, language: str, read: ReadScores) -> None:
        """Read all scores of the pairs that the other rules keep, and find where each score's rule cuts."""
        self._language = language
        self._distributions = {
            name: distribution
            for name, score in settings.scores.items()
            if (distribution := _distribution(partial(_scores_named, read, name), score.limits(language)))
        }
        self._counts = {
            name: np.zeros(len(distribution.edges) - 1, np.int64) for name, distribution in self._distributions.items()
        }
        self._examples = {name: _Examples(value.cut) for name, value in self._distributions.items() if value.cut is not None}

    def apply(self, scores: Mapping[str, ScoreArray], sources: pa.ChunkedArray, targets: pa.ChunkedArray) -> dict[str, Mask]:
        """Return which rows of a part each rule drops, in the order of the rules; a row that several drop is in each."""
        dropped = {}
        for name, distribution in self._distributions.items():
            values = scores[name]
            self._counts[name] += np.histogram(values[~np.isnan(values)], distribution.edges)[0]
            if distribution.cut is not None:
                dropped[rule_name(name)] = values < np.float32(distribution.cut)
                self._examples[name].add(values, sources, targets)
        return dropped

    def histogram(self) -> pa.Table:
        """Return the distribution of each score (SCORE_HISTOGRAM)."""
        rows = [
            {"language": self._language, "score": name, "low": low, "high": high, "pairs": pairs, "cut": distribution.cut}
            for name, distribution in self._distributions.items()
            for low, high, pairs in zip(
                distribution.edges[:-1].tolist(), distribution.edges[1:].tolist(), self._counts[name].tolist(), strict=True
            )
        ]
        return pa.Table.from_pylist(rows, schema=SCORE_HISTOGRAM)

    def examples(self) -> pa.Table:
        """Return the pairs nearest to each cut (SCORE_EXAMPLES), by falling score."""
        rows = [
            {"language": self._language, "score": name, **row} for name, found in self._examples.items() for row in found.rows()
        ]
        return pa.Table.from_pylist(rows, schema=SCORE_EXAMPLES)


class _Examples:
    """The pairs whose scores are nearest to a cut, on both sides; of equal scores the first ones."""

    def __init__(self, cut: float | None) -> None:
        self._cut = np.float32(cut or 0)
        self._kept: list[dict[str, Any]] = []
        self._dropped: list[dict[str, Any]] = []

    def add(self, values: ScoreArray, sources: pa.ChunkedArray, targets: pa.ChunkedArray) -> None:
        """Look at the rows of a part."""
        above, below = np.flatnonzero(values >= self._cut), np.flatnonzero(values < self._cut)
        nearest = above[np.argsort(values[above], kind="stable")[:_EXAMPLES]]
        self._kept = self._merged(self._kept, nearest, values, sources, targets, 1)
        nearest = below[np.argsort(-values[below], kind="stable")[:_EXAMPLES]]
        self._dropped = self._merged(self._dropped, nearest, values, sources, targets, -1)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of SCORE_EXAMPLES without language and score."""
        return [{**row, "kept": True} for row in reversed(self._kept)] + [{**row, "kept": False} for row in self._dropped]

    def _merged(
        self, found: list[dict[str, Any]], rows: npt.NDArray[np.int64], values: ScoreArray, sources: Any, targets: Any, sign: int
    ) -> list[dict[str, Any]]:
        new = [
            {"value": float(values[row]), "source": sources[row].as_py(), "target": targets[row].as_py()} for row in rows.tolist()
        ]
        return sorted(found + new, key=lambda row: sign * row["value"])[:_EXAMPLES]  # stable


def _scores_named(read: ReadScores, name: str) -> Iterator[ScoreArray]:
    return (part[name] for part in read())


def _distribution(read: Callable[[], Iterator[ScoreArray]], limits: ScoreLimits) -> _Distribution | None:
    """Return the distribution of a language's scores; None: no pair has one."""
    counts, low, high = np.zeros(1 << _BIN_BITS, np.int64), np.inf, -np.inf
    for values in map(_present, read()):
        if len(values):
            counts += np.bincount(_ordered(values) >> np.uint32(32 - _BIN_BITS), minlength=len(counts))
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    pairs = int(counts.sum())
    if not pairs:
        return None
    dropped = int(Fraction(str(limits.min_percentile or 0)) * pairs / 100)
    cuts = [value for value in (limits.min, _value_at(read, counts, dropped) if dropped else None) if value is not None]
    return _Distribution(pairs, low, high, max(cuts, default=None))


def _value_at(read: Callable[[], Iterator[ScoreArray]], counts: npt.NDArray[np.int64], rank: int) -> float:
    """Return the score with `rank` lower or equal ones before it in order; only one bin of scores is in memory."""
    cumulative = np.cumsum(counts)
    own_bin = int(np.searchsorted(cumulative, rank, side="right"))
    in_bin = [values[_ordered(values) >> np.uint32(32 - _BIN_BITS) == own_bin] for values in map(_present, read())]
    position = rank - int(cumulative[own_bin] - counts[own_bin])
    return float(np.partition(np.concatenate(in_bin), position)[position])


def _present(values: ScoreArray) -> ScoreArray:
    return values[~np.isnan(values)] + np.float32(0)  # -0 becomes 0


def _ordered(values: ScoreArray) -> npt.NDArray[np.uint32]:
    """Return integers that are in the order of the scores."""
    bits = values.view(np.uint32)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _reason(score: Score) -> str:
    model = f" of {score.model}" if isinstance(score, EncoderScore | BicleanerAiScore | CometQeScore) else ""
    metric = f" ({score.metric})" if isinstance(score, EncoderScore) else ""
    limits = [_limit_text(score), *(f"{language}: {_limit_text(own)}" for language, own in score.by_language.items())]
    return f"the score {score.kind}{model}{metric} is {'; '.join(filter(None, limits))}"


def _limit_text(limits: ScoreLimits) -> str:
    texts = [f"below {limits.min:g}"] if limits.min is not None else []
    if limits.min_percentile:
        texts.append(f"among the lowest {limits.min_percentile:g}% of the language")
    return " or ".join(texts)
