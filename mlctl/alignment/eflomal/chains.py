"""Chains of samples of one direction: they start from nothing or from what an earlier model knows, and sweep over the sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal import counts as tables
from mlctl.alignment.eflomal import sampling
from mlctl.alignment.eflomal.counts import Counts, Rows
from mlctl.alignment.eflomal.model import Side
from mlctl.alignment.eflomal.posterior import posteriors
from mlctl.alignment.eflomal.sentence_buffer import BINS, Shapes, Text

_NULL = 0.2  # ν
_BELIEF = 5.0  # β
_UNSEEN = 0.5  # jumps of each width and words of each number of links, before any are counted
_RESTLESS = 0.15  # share of the words; in a fifth sweep 0.1 of those of European languages change their links, 0.2 of Chinese
_FULL = 2  # the stage of `sampling.sweep` with all of the model
_MORE = 1 << 16  # slots that an arena grows by, at least


class Plan(NamedTuple):
    """How much is sampled.

    Attributes:
        sweeps: over all sentences, in each of the three stages of `sampling.sweep`.
        kept: how many of the last of them the result is the mean of.
        chains: how often, from other random numbers.
        sharp: in how many of the first sweeps each word takes the likelier of two draws. It gets there sooner.
        more: further sweeps before the last ones, where the links are not `settled` yet: languages far apart take longer.
    """

    sweeps: tuple[int, int, int]
    kept: int
    chains: int
    sharp: int = 0
    more: int = 0

    @property
    def stages(self) -> list[int]:
        """The stage of each sweep before the last ones."""
        return [stage for stage, sweeps in enumerate(self.sweeps) for _ in range(sweeps)][: -self.kept]


class Start(NamedTuple):
    """What C chains know before their first sweep: counts of links, and jumps by width (C, 2 FARTHEST + 1)."""

    counts: Counts
    jumps: npt.NDArray[np.float64]


def blank(chains: int, sources: int, targets: int) -> Start:
    """Return the start of chains that know nothing."""
    return Start(tables.empty(chains, sources, targets), np.zeros((chains, 2 * sampling.FARTHEST + 1)))


def alike(start: Start, targets: npt.NDArray[np.int32]) -> Start:
    """Return a start that also has a link of each source word e to the target word `targets[e]` (V,), -1: none.

    It is for names, numbers, signs and loans, which both languages spell alike: one link tips the scales where there is little text.
    """
    counts, every = start.counts, np.arange(len(targets), dtype=np.int32)
    twins = targets >= 0
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(twins)])
    rows = Rows(offsets, targets[twins], np.ones(offsets[-1], np.float32))
    for chain in range(counts.counts.shape[1]):
        counts = _loaded(counts, chain, rows, every, np.arange(len(counts.nulls), dtype=np.int32), 1.0)
        counts.totals[twins, chain] += 1
    return Start(counts, start.jumps)


def informed(
    sides: Sequence[Side], sources: npt.NDArray[np.int32], targets: npt.NDArray[np.int32], sizes: tuple[int, int], weight: float
) -> Start:
    """Return a start of a chain each, with `weight` times the counts of an earlier model's direction.

    `sources[e]` and `targets[f]` are the earlier model's words in the numbering of these chains, -1: not among their `sizes` words.
    """
    counts, here, there = tables.empty(len(sides), *sizes), sources >= 0, targets >= 0
    for chain, side in enumerate(sides):
        counts = _loaded(counts, chain, side.rows, sources, targets, weight)
        counts.totals[sources[here], chain] = weight * side.totals[here]
        counts.fertile[sources[here], chain] = weight * side.fertile[here]
        counts.nulls[targets[there], chain] = weight * side.nulls[there]
        counts.null_total[chain] = weight * side.nulls.sum(dtype=np.float64)
    return Start(counts, weight * np.array([side.jumps for side in sides]))


def _loaded(
    counts: Counts, chain: int, rows: Rows, sources: npt.NDArray[np.int32], targets: npt.NDArray[np.int32], weight: float
) -> Counts:
    left, done = sources.copy(), 0
    while (done := tables.load(counts, chain, rows, left, targets, weight)) < len(left):
        left[:done] = -1
        row = int(rows.offsets[done + 1] - rows.offsets[done])
        counts = tables.roomier(counts, len(counts.keys) // 2 + 16 * row + _MORE)
    return counts


class Chains:
    """Samples the links of all sentences of a text, again and again, in chains that know nothing of each other.

    Attributes:
        counts: of the links as they are, and of what was known before.
        jumps: likewise, by width (C, 2 FARTHEST + 1).
        moved: share of the words that changed their link in the sweep that was watched last (C,).
        links: place in its sentence of the source word of each target word, -1: none (C, target words).
    """

    def __init__(self, text: Text, start: Start, types: int, seeds: Sequence[int]) -> None:
        """Take the number of target words that there can be (`types`) and for each chain a seed that no other has."""
        self.counts, self._known = start
        self.jumps = self._known
        self._text, self._types, self._seeds, self._sweeps = text, types, np.array(seeds, np.int64), 0
        self.moved = np.ones(len(seeds))
        self.links = np.full((len(seeds), len(text.target)), -1, np.int16)

    def sweep(self, stage: int, sharp: bool = False, watched: bool = False) -> None:
        """Visit all sentences once; see `sampling.sweep`. `watched`: note how many links moved."""
        before = self.links.copy() if watched else None
        shapes, first = self._shapes(), 0
        sentences = len(self._text.source_offsets) - 1
        while first < sentences:
            first = sampling.sweep(
                self.counts,
                shapes,
                self._text,
                self.links,
                stage,
                first,
                self._sweeps == 0,
                self._seeds,
                self._sweeps,
                sharp,
            )
            if first < sentences:
                free = len(self.counts.keys) - int(self.counts.ends[0])
                self.counts = tables.roomier(self.counts, free + len(self.counts.keys) // 3 + _MORE)
        self._sweeps += 1
        self.jumps = self._known + np.array([sampling.widths(self._text, links) for links in self.links])
        if before is not None:
            self.moved = (self.links != before).mean(1) if before.size else np.zeros(len(before))

    def marginals(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return P(a_j = i) given the counts as they are; see `posterior.posteriors`."""
        return posteriors(self.counts, self._shapes(), self._text, places)

    def _shapes(self) -> Shapes:
        longest = int(np.diff(self._text.source_offsets).max(initial=1))
        return shapes(self.jumps, self.counts.fertile.sum(0, dtype=np.float64), longest, self._types)


def shapes(jumps: npt.NDArray[np.float64], fertile: npt.NDArray[np.float64], longest: int, types: int) -> Shapes:
    """Return what does not depend on words, of counted jumps (C, 2 FARTHEST + 1) and numbers of links (C, FERTILITIES)."""
    share = (jumps + _UNSEEN) / (jumps + _UNSEEN).sum(1, keepdims=True)
    width = np.clip(np.arange(-longest - 1, longest + 2), -sampling.FARTHEST, sampling.FARTHEST)
    table = share[:, width + sampling.FARTHEST]
    usual = fertile + _UNSEEN
    return Shapes(
        jumps=table.astype(np.float32),
        back=np.ascontiguousarray(table[:, ::-1], np.float32),
        reach=np.pad(np.cumsum(table, axis=1), ((0, 0), (1, 0))),
        usual=usual / usual.sum(1, keepdims=True),
        diagonal=np.exp(-sampling.DIAGONAL * np.arange(BINS + 1) / BINS).astype(np.float32),
        types=types,
        null=_NULL,
        belief=_BELIEF,
        alpha=sampling.ALPHA,
    )


def settled(groups: Sequence[Chains]) -> bool:
    """Tell whether hardly any word changed its link in the last sweep that was watched, of all the groups' chains."""
    return float(np.mean(np.concatenate([chains.moved for chains in groups]))) < _RESTLESS


def begin(chains: Chains, plan: Plan) -> Chains:
    """Run chains up to their last sweeps, and watch the last of these."""
    stages = plan.stages
    for number, stage in enumerate(stages):
        chains.sweep(stage, sharp=number < plan.sharp, watched=number == len(stages) - 1)
    return chains


def learned(chains: Chains, sweeps: int, kept: int) -> list[Side]:
    """Run chains for `sweeps` sweeps, and then for `kept` sweeps more of which the mean is returned, for each."""
    for _ in range(sweeps):
        chains.sweep(_FULL)
    chains.counts = tables.collecting(chains.counts)
    share = 1 / kept
    totals, jumps = np.zeros_like(chains.counts.totals), np.zeros_like(chains.jumps)
    nulls, fertile = np.zeros_like(chains.counts.nulls), np.zeros_like(chains.counts.fertile)
    for _ in range(kept):
        chains.sweep(_FULL)
        tables.collect(chains.counts, share)
        totals += share * chains.counts.totals
        nulls += share * chains.counts.nulls
        fertile += share * chains.counts.fertile
        jumps += share * chains.jumps
    means = zip(*(np.moveaxis(mean, 1, 0) for mean in (totals, nulls, fertile)), jumps, strict=True)
    return [Side(tables.rest(chains.counts, number), *map(np.ascontiguousarray, mean)) for number, mean in enumerate(means)]
