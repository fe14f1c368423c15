"""A chain of samples of one direction: it starts from nothing or from what an earlier model knows, and sweeps over the sentences."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.alignment import counts as tables
from mlctl.alignment import sampling
from mlctl.alignment.counts import Counts
from mlctl.alignment.model import Side
from mlctl.alignment.sampling import Shapes, Text

#: No marginals are asked for.
NONE = np.zeros(0, np.float32)

_NULL = 0.2  # ν
_BELIEF = 5.0  # β
_UNSEEN = 0.5  # jumps of each width and words of each number of links, before any are counted
_MORE = 1 << 16  # slots that an arena grows by, at least


class Plan(NamedTuple):
    """How much is sampled.

    Attributes:
        sweeps: over all sentences, in each of the three stages of `sampling.sweep`.
        kept: how many of the last of them the result is the mean of.
        chains: how often, from other random numbers.
    """

    sweeps: tuple[int, int, int]
    kept: int
    chains: int

    @property
    def stages(self) -> list[int]:
        """The stage of each sweep."""
        return [stage for stage, sweeps in enumerate(self.sweeps) for _ in range(sweeps)]


class Start(NamedTuple):
    """What a chain knows before its first sweep: counts of links, and jumps by width."""

    counts: Counts
    jumps: npt.NDArray[np.float64]


def blank(sources: int, targets: int) -> Start:
    """Return the start of a chain that knows nothing."""
    return Start(tables.empty(sources, targets), np.zeros(2 * sampling.FARTHEST + 1))


def informed(
    side: Side, sources: npt.NDArray[np.int32], targets: npt.NDArray[np.int32], sizes: tuple[int, int], weight: float
) -> Start:
    """Return a start with `weight` times the counts of an earlier model's direction.

    `sources[e]` and `targets[f]` are the earlier model's words in the numbering of this chain, -1: not among its `sizes` words.
    """
    counts, left, done = tables.empty(*sizes), sources.copy(), 0
    while (done := tables.load(counts, side.rows, left, targets, weight)) < len(left):
        left[:done] = -1
        row = int(side.rows.offsets[done + 1] - side.rows.offsets[done])
        counts = tables.roomier(counts, len(counts.keys) // 2 + 16 * row + _MORE)
    here, there = sources >= 0, targets >= 0
    counts.totals[sources[here]] = weight * side.totals[here]
    counts.fertile[sources[here]] = weight * side.fertile[here]
    counts.nulls[targets[there]] = weight * side.nulls[there]
    counts.null_total[0] = weight * side.nulls.sum(dtype=np.float64)
    return Start(counts, weight * side.jumps)


class Chain:
    """Samples the links of all sentences of a text, again and again."""

    def __init__(self, text: Text, start: Start, types: int, seed: int) -> None:
        """Take the number of target words that there can be (`types`) and a seed that no other chain has."""
        self.counts, self._known = start
        self.jumps = self._known  # with those of the links
        self._text, self._types, self._seed, self._sweeps = text, types, seed, 0
        self._links = np.full(len(text.target), -1, np.int16)

    def sweep(self, stage: int, marginals: npt.NDArray[np.float32] = NONE, places: npt.NDArray[np.int64] | None = None) -> None:
        """Visit all sentences once; see `sampling.sweep`."""
        shapes, first = self._shapes(), 0
        places = np.zeros(0, np.int64) if places is None else places
        sentences = len(self._text.source_offsets) - 1
        while first < sentences:
            first = sampling.sweep(
                self.counts,
                shapes,
                self._text,
                self._links,
                stage,
                first,
                self._sweeps == 0,
                self._seed,
                self._sweeps,
                marginals,
                places,
            )
            if first < sentences:
                self.counts = tables.roomier(self.counts, len(self.counts.keys) // 3 + _MORE)
        self._sweeps += 1
        self.jumps = self._known + sampling.widths(self._text, self._links)

    def _shapes(self) -> Shapes:
        longest = int(np.diff(self._text.source_offsets).max(initial=1))
        return shapes(self.jumps, self.counts.fertile.sum(0, dtype=np.float64), longest, self._types)


def shapes(jumps: npt.NDArray[np.float64], fertile: npt.NDArray[np.float64], longest: int, types: int) -> Shapes:
    """Return what does not depend on words, of counted jumps (2 FARTHEST + 1,) and numbers of links (FERTILITIES,)."""
    share = (jumps + _UNSEEN) / (jumps + _UNSEEN).sum()
    width = np.clip(np.arange(-longest - 1, longest + 2), -sampling.FARTHEST, sampling.FARTHEST)
    table = share[width + sampling.FARTHEST]
    usual = fertile + _UNSEEN
    return Shapes(
        jumps=table.astype(np.float32),
        back=table[::-1].astype(np.float32),
        reach=np.concatenate([[0.0], np.cumsum(table)]),
        usual=usual / usual.sum(),
        diagonal=np.exp(-sampling.DIAGONAL * np.arange(sampling.BINS + 1) / sampling.BINS).astype(np.float32),
        types=types,
        null=_NULL,
        belief=_BELIEF,
        alpha=sampling.ALPHA,
    )


def learned(chain: Chain, plan: Plan) -> Side:
    """Run a chain and return the mean of its last sweeps."""
    stages = plan.stages
    for stage in stages[: -plan.kept]:
        chain.sweep(stage)
    chain.counts = tables.collecting(chain.counts)
    share = 1 / plan.kept
    totals, jumps = np.zeros_like(chain.counts.totals), np.zeros_like(chain.jumps)
    nulls, fertile = np.zeros_like(chain.counts.nulls), np.zeros_like(chain.counts.fertile)
    for stage in stages[-plan.kept :]:
        chain.sweep(stage)
        tables.collect(chain.counts, share)
        totals += share * chain.counts.totals
        nulls += share * chain.counts.nulls
        fertile += share * chain.counts.fertile
        jumps += share * chain.jumps
    return Side(tables.rest(chain.counts), totals, nulls, fertile, jumps)


def marginals(chain: Chain, before: int, kept: int, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return P(a_j = i) as the mean over `kept` sweeps after `before`, of sentence s from `places[s]` on, (J, I)."""
    found = np.zeros(int(places[-1]), np.float32)
    for _ in range(before):
        chain.sweep(2)
    for _ in range(kept):
        chain.sweep(2, found, places)
    found /= np.float32(kept)
    return found
