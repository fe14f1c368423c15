"""Markov chains of sampled links of one direction: they start empty or from an earlier model, and sweep over the sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mlctl.alignment.eflomal import counts as tables
from mlctl.alignment.eflomal import sampling
from mlctl.alignment.eflomal.counts import Counts, Rows
from mlctl.alignment.eflomal.model import ChainModel
from mlctl.alignment.eflomal.posterior import posteriors
from mlctl.alignment.eflomal.sentence_buffer import DISTANCE_BINS, Corpus, SharedParameters

_NULL_PRIOR = 0.2  # ν
_FERTILITY_STRENGTH = 5.0  # β
_SMOOTHING = 0.5  # added to the counts of each jump width and of each fertility
# Share of words that change their link: in a fifth sweep, 0.1 for European languages, 0.2 for Chinese.
_MAX_CHANGED_SHARE = 0.15
_FULL_MODEL = 2  # the last stage of `sampling.sweep`
_MIN_GROWTH = 1 << 16  # slots


class SamplingPlan(NamedTuple):
    """How much is sampled.

    Attributes:
        sweeps: sweeps over all sentences in each of the three stages of `sampling.sweep`.
        averaged: how many of the last of them are averaged in the result.
        chains: number of chains with different random numbers.
        best_of_two: number of first sweeps in which each word takes the more probable of two draws, which converges sooner.
        extra: further sweeps before the averaged ones if the links have not converged: distant languages take longer.
    """

    sweeps: tuple[int, int, int]
    averaged: int
    chains: int
    best_of_two: int = 0
    extra: int = 0

    @property
    def burn_in_stages(self) -> list[int]:
        """The stage of each sweep before the averaged ones."""
        return [stage for stage, sweeps in enumerate(self.sweeps) for _ in range(sweeps)][: -self.averaged]


class InitialState(NamedTuple):
    """Counts of C chains before their first sweep: those of links, and those of jumps by width (C, 2 MAX_JUMP + 1)."""

    counts: Counts
    jumps: npt.NDArray[np.float64]


def empty_state(chains: int, sources: int, targets: int) -> InitialState:
    """Return the initial state of chains without prior counts, for numbers of source and target words."""
    return InitialState(tables.empty_counts(chains, sources, targets), np.zeros((chains, 2 * sampling.MAX_JUMP + 1)))


def with_identical_words(state: InitialState, targets: npt.NDArray[np.int32]) -> InitialState:
    """Return a state with one more link of each source word e to the target word `targets[e]` (V,), -1: none.

    This is for names, numbers, punctuation and loan words, spelt alike in both languages: with little text one link decides.
    """
    counts, sources = state.counts, np.arange(len(targets), dtype=np.int32)
    has_target = targets >= 0
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(has_target)])
    rows = Rows(offsets, targets[has_target], np.ones(offsets[-1], np.float32))
    for chain in range(counts.counts.shape[1]):
        counts = _with_rows(counts, chain, rows, sources, np.arange(len(counts.nulls), dtype=np.int32), 1.0)
        counts.totals[has_target, chain] += 1
    return InitialState(counts, state.jumps)


def state_from_models(
    models: Sequence[ChainModel],
    sources: npt.NDArray[np.int32],
    targets: npt.NDArray[np.int32],
    sizes: tuple[int, int],
    weight: float,
) -> InitialState:
    """Return the initial state of one chain per model, with `weight` times the model's counts.

    Args:
        models: an earlier model's chains of this direction.
        sources: for each source word of the models, its id here, -1: none.
        targets: the same for target words.
        sizes: number of source and of target words here.
        weight: factor of the counts.
    """
    counts, has_source, has_target = tables.empty_counts(len(models), *sizes), sources >= 0, targets >= 0
    for chain, model in enumerate(models):
        counts = _with_rows(counts, chain, model.rows, sources, targets, weight)
        counts.totals[sources[has_source], chain] = weight * model.totals[has_source]
        counts.fertile[sources[has_source], chain] = weight * model.fertile[has_source]
        counts.nulls[targets[has_target], chain] = weight * model.nulls[has_target]
        counts.null_total[chain] = weight * model.nulls.sum(dtype=np.float64)
    return InitialState(counts, weight * np.array([model.jumps for model in models]))


def _with_rows(
    counts: Counts, chain: int, rows: Rows, sources: npt.NDArray[np.int32], targets: npt.NDArray[np.int32], weight: float
) -> Counts:
    """Return counts with rows added to a chain; the arena grows as needed."""
    remaining, done = sources.copy(), 0
    while (done := tables.load_rows(counts, chain, rows, remaining, targets, weight)) < len(remaining):
        remaining[:done] = -1
        row_size = int(rows.offsets[done + 1] - rows.offsets[done])
        counts = tables.grow(counts, len(counts.keys) // 2 + 16 * row_size + _MIN_GROWTH)
    return counts


class Chains:
    """Samples the links of all sentences of a corpus, sweep after sweep, in independent chains.

    Attributes:
        counts: of the current links, plus the initial counts.
        jumps: the same for jumps, by width (C, 2 MAX_JUMP + 1).
        changed: share of the words that changed their link in the last sweep with `track_changes` (C,).
        links: index in its sentence of the source word of each target word, -1: none (C, target tokens).
    """

    def __init__(self, corpus: Corpus, state: InitialState, target_types: int, seeds: Sequence[int]) -> None:
        """Take the number of distinct target words that can occur (`target_types`) and a different seed for each chain."""
        self.counts, self._initial_jumps = state
        self.jumps = self._initial_jumps
        self._corpus, self._target_types, self._seeds, self._sweeps = corpus, target_types, np.array(seeds, np.int64), 0
        self.changed = np.ones(len(seeds))
        self.links = np.full((len(seeds), len(corpus.target)), -1, np.int16)

    def sweep(self, stage: int, best_of_two: bool = False, track_changes: bool = False) -> None:
        """Sample the links of all sentences once; see `sampling.sweep`. `track_changes`: update `changed`."""
        before = self.links.copy() if track_changes else None
        parameters, first = self._shared_parameters(), 0
        sentences = len(self._corpus.source_offsets) - 1
        while first < sentences:
            first = sampling.sweep(
                self.counts,
                parameters,
                self._corpus,
                self.links,
                stage,
                first,
                self._sweeps == 0,
                self._seeds,
                self._sweeps,
                best_of_two,
            )
            if first < sentences:
                free = len(self.counts.keys) - int(self.counts.arena_ends[0])
                self.counts = tables.grow(self.counts, free + len(self.counts.keys) // 3 + _MIN_GROWTH)
        self._sweeps += 1
        self.jumps = self._initial_jumps + np.array([sampling.count_jumps(self._corpus, links) for links in self.links])
        if before is not None:
            self.changed = (self.links != before).mean(1) if before.size else np.zeros(len(before))

    def marginals(self, cell_offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return P(a_j = i) given the current counts; see `posterior.posteriors`."""
        return posteriors(self.counts, self._shared_parameters(), self._corpus, cell_offsets)

    def _shared_parameters(self) -> SharedParameters:
        longest = int(np.diff(self._corpus.source_offsets).max(initial=1))
        return shared_parameters(self.jumps, self.counts.fertile.sum(0, dtype=np.float64), longest, self._target_types)


def shared_parameters(
    jumps: npt.NDArray[np.float64], fertile: npt.NDArray[np.float64], longest: int, target_types: int
) -> SharedParameters:
    """Return the parameters that all words share.

    Args:
        jumps: counts of jumps by width (C, 2 MAX_JUMP + 1).
        fertile: counts of source words by fertility (C, FERTILITIES).
        longest: source words of the longest sentence.
        target_types: number of distinct target words.
    """
    share = (jumps + _SMOOTHING) / (jumps + _SMOOTHING).sum(1, keepdims=True)
    width = np.clip(np.arange(-longest - 1, longest + 2), -sampling.MAX_JUMP, sampling.MAX_JUMP)
    table = share[:, width + sampling.MAX_JUMP]
    fertility = fertile + _SMOOTHING
    return SharedParameters(
        jumps=table.astype(np.float32),
        reversed_jumps=np.ascontiguousarray(table[:, ::-1], np.float32),
        jump_sums=np.pad(np.cumsum(table, axis=1), ((0, 0), (1, 0))),
        fertility_prior=fertility / fertility.sum(1, keepdims=True),
        diagonal=np.exp(-sampling.DIAGONAL_TENSION * np.arange(DISTANCE_BINS + 1) / DISTANCE_BINS).astype(np.float32),
        target_types=target_types,
        null_prior=_NULL_PRIOR,
        fertility_strength=_FERTILITY_STRENGTH,
        alpha=sampling.ALPHA,
    )


def has_converged(groups: Sequence[Chains]) -> bool:
    """Return whether few words changed their link in the last tracked sweep, on average over all groups' chains."""
    return float(np.mean(np.concatenate([chains.changed for chains in groups]))) < _MAX_CHANGED_SHARE


def burn_in(chains: Chains, plan: SamplingPlan) -> Chains:
    """Run the sweeps before the averaged ones, and track the changes of the last of them."""
    stages = plan.burn_in_stages
    for number, stage in enumerate(stages):
        chains.sweep(stage, best_of_two=number < plan.best_of_two, track_changes=number == len(stages) - 1)
    return chains


def average_sweeps(chains: Chains, extra: int, averaged: int) -> list[ChainModel]:
    """Run `extra` sweeps and then `averaged` sweeps; return the mean counts of the latter, for each chain."""
    for _ in range(extra):
        chains.sweep(_FULL_MODEL)
    chains.counts = tables.with_sums(chains.counts)
    share = 1 / averaged
    totals, jumps = np.zeros_like(chains.counts.totals), np.zeros_like(chains.jumps)
    nulls, fertile = np.zeros_like(chains.counts.nulls), np.zeros_like(chains.counts.fertile)
    for _ in range(averaged):
        chains.sweep(_FULL_MODEL)
        tables.accumulate(chains.counts, share)
        totals += share * chains.counts.totals
        nulls += share * chains.counts.nulls
        fertile += share * chains.counts.fertile
        jumps += share * chains.jumps
    means = zip(*(np.moveaxis(mean, 1, 0) for mean in (totals, nulls, fertile)), jumps, strict=True)
    return [
        ChainModel(tables.to_rows(chains.counts, chain), *map(np.ascontiguousarray, chain_means))
        for chain, chain_means in enumerate(means)
    ]
