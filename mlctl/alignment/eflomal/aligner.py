"""The aligner `eflomal`, the default: our implementation of eflomal's Gibbs sampler (`mlctl.alignment.eflomal.sampling` has the formulas)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl.alignment.aligner import Links, Pair
from mlctl.alignment.eflomal import lexicon as lexicons
from mlctl.alignment.eflomal import model as models
from mlctl.alignment.eflomal.chains import (
    Chains,
    InitialState,
    SamplingPlan,
    average_sweeps,
    burn_in,
    empty_state,
    has_converged,
    state_from_models,
    with_identical_words,
)
from mlctl.alignment.eflomal.decoding import extract_links
from mlctl.alignment.eflomal.lexicon import Lexicon, LinkCounts
from mlctl.alignment.eflomal.model import ChainModel, Model
from mlctl.alignment.eflomal.sentence_buffer import Corpus
from mlctl.alignment.eflomal.stems import collect_stems, replace_by_stems
from mlctl.alignment.eflomal.vocabulary import EncodedPairs, encode_pairs, look_up_ids
from mlctl.alignment.symmetrization import HEURISTICS
from mlctl.config.align import Symmetrisation

T = TypeVar("T")

_BLOCK_PAIRS = 8192  # pairs aligned together: marginals take 4 bytes per cell, i.e. source word × target word of a pair
_MAX_CHAINS = 1 << 10  # of a seed
_FIRST_ALIGNING_CHAIN = 1 << 8  # chains that train have lower numbers, and so other random numbers
_MIN_NEW_SHARE = 0.01  # share of a block's words that the model does not know, from which on it is adapted to the block
_PRIOR_WEIGHT = 1.0  # of an earlier model's counts
_LEXICON = "lexicon.parquet"


def adaptation_sweeps(pairs: int, new_share: float) -> int:
    """Return the number of sweeps over a block of pairs before it is aligned, by the share of its words that the model does not know.

    If all are known, 0. New words are learned from the pairs themselves, which takes more sweeps over fewer pairs.
    """
    if new_share < _MIN_NEW_SHARE:
        return 0
    return 32 if pairs < 3_000 else 16


def sampling_plan(pairs: int) -> SamplingPlan:
    """Return the sampling plan for a number of pairs: fewer pairs need more sweeps, and the mean of more chains."""
    if pairs < 3_000:
        return SamplingPlan((10, 10, 40), averaged=16, chains=8, best_of_two=24)
    if pairs < 15_000:
        return SamplingPlan((4, 6, 20), averaged=8, chains=4, best_of_two=12)
    if pairs < 45_000:
        return SamplingPlan((2, 4, 14), averaged=5, chains=4, best_of_two=8)
    return SamplingPlan((1, 1, 4), averaged=1, chains=3, best_of_two=2, extra=14)


class _Direction(NamedTuple):
    """The pairs in one direction, and the words of both sides by id."""

    corpus: Corpus
    source: pa.StringArray
    target: pa.StringArray


class EflomalAligner:
    """Samples the links of both directions and symmetrises them.

    The random numbers depend only on the seed and the pairs: any number of threads gives the same bytes. Two threads sample one
    direction each; more threads share the chains of a direction (`sampling_plan`), which are faster sampled together than apart.
    """

    def __init__(self, symmetrisation: Symmetrisation, seed: int, priors: Path | None = None, threads: int = 1) -> None:
        """Take the folder of an earlier model (`save`) whose counts are added to those of the pairs, or None.

        Raises:
            InputError: the folder contains no readable model or lexicon.
        """
        self._heuristic = HEURISTICS.index(symmetrisation)
        self._seed, self._threads = seed, threads
        self._prior_model = models.read_model(priors) if priors else None
        self._prior_lexicon = lexicons.read_lexicon(priors / _LEXICON) if priors else None
        self._model: Model | None = None
        self._lexicon: Lexicon | None = None
        self._cached_states: dict[tuple[int, int], InitialState] = {}  # by direction and first chain, for pairs without new words

    @classmethod
    def load(cls, folder: Path, symmetrisation: Symmetrisation, seed: int, threads: int = 1) -> EflomalAligner:
        """Return the aligner that `save` wrote into the folder.

        Raises:
            InputError: the folder contains no readable model.
        """
        aligner = cls(symmetrisation, seed, None, threads)
        aligner._model = models.read_model(folder)
        return aligner

    def train(self, pairs: Iterable[Pair]) -> None:
        """Train on pairs, which are read once, in order. Memory: some 14 bytes per word of both sides."""
        words = encode_pairs(pairs)
        stems = replace_by_stems(words, self._collect_stems(words))
        plan = sampling_plan(len(stems.corpus.source_offsets) - 1)
        groups: dict[tuple[int, int], Chains] = {}

        def run_burn_in(direction: int, chains: range) -> list[Chains]:
            directed = _directions(stems)[direction]
            state = self._initial_state(self._prior_model, directed, direction, chains, _PRIOR_WEIGHT)
            group = burn_in(self._chains(directed, state, len(directed.target), direction, chains), plan)
            groups[direction, chains.start] = group
            return [group]

        forward_groups, backward_groups = self._run_directions(run_burn_in, plan.chains)
        extra = 0 if has_converged([*forward_groups, *backward_groups]) else plan.extra

        def run_average(direction: int, chains: range) -> list[tuple[ChainModel, LinkCounts]]:
            group, corpus = groups[direction, chains.start], _directions(words)[direction].corpus
            chain_models = average_sweeps(group, extra, plan.averaged)
            return [
                (chain_model, lexicons.count_links(corpus, links, len(words.target), direction == 1))
                for chain_model, links in zip(chain_models, group.links, strict=True)
            ]

        forward, backward = self._run_directions(run_average, plan.chains)
        self._model = Model(stems.source, stems.target, _chain_models(forward), _chain_models(backward))
        self._cached_states = {}
        forward_counts, backward_counts = ([counts for _, counts in chains] for chains in (forward, backward))
        self._lexicon = lexicons.build_lexicon(words, forward_counts, backward_counts, self._prior_lexicon)

    def save(self, folder: Path) -> None:
        """Write the model into an empty folder (`model.write_model`), with `lexicon.parquet` if it was trained by this object."""
        models.write_model(self._require_model(), folder)
        if self._lexicon:
            lexicons.write_lexicon(self._lexicon, folder / _LEXICON)

    def align(self, pairs: Sequence[Pair]) -> list[Links]:
        """Return the links of each pair.

        Pairs with words that are not in the training pairs are sampled first, starting from the model, so that these words are
        learned from the pairs themselves. The confidence is the geometric mean of both directions' marginals, at least half of
        the larger one.
        """
        blocks = (pairs[first : first + _BLOCK_PAIRS] for first in range(0, len(pairs), _BLOCK_PAIRS))
        return [links for block in blocks for links in self._align_block(block)]

    def _align_block(self, pairs: Sequence[Pair]) -> list[Links]:
        model = self._require_model()
        stems = replace_by_stems(encode_pairs(pairs), (model.source, model.target))
        cells = np.diff(stems.corpus.source_offsets) * np.diff(stems.corpus.target_offsets)
        cell_offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(cells)])
        sweeps = adaptation_sweeps(len(pairs), _new_share(model, stems))

        def marginals(direction: int, chains: range) -> list[npt.NDArray[np.float32]]:
            block = _directions(stems)[direction]
            target_types = _count_types(model.source if direction else model.target, block.target)
            if not sweeps:
                return list(self._frozen_chains(block, target_types, direction, chains).marginals(cell_offsets))
            state = self._initial_state(model, block, direction, chains, 1.0)
            group = self._chains(block, state, target_types, direction, chains, _FIRST_ALIGNING_CHAIN)
            for _ in range(sweeps):
                group.sweep(2)
            return list(group.marginals(cell_offsets))

        forward, backward = (_mean(chains) for chains in self._run_directions(marginals, len(model.forward)))
        return _links(stems.corpus, forward, backward, cell_offsets, self._heuristic)

    def _run_directions(self, run: Callable[[int, range], Sequence[T]], chains: int) -> tuple[list[T], list[T]]:
        """Return the results of `run(direction, chains)` for all chains of both directions, a result per chain or group of chains."""
        with ThreadPoolExecutor(self._threads) as pool:
            step = -(-chains // max(1, self._threads // 2))
            groups = [range(first, min(first + step, chains)) for first in range(0, chains, step)]
            futures = [[pool.submit(run, direction, group) for group in groups] for direction in range(2)]
            forward, backward = ([result for future in side for result in future.result()] for side in futures)
        return forward, backward

    def _chains(
        self, pairs: _Direction, state: InitialState, target_types: int, direction: int, chains: range, first: int = 0
    ) -> Chains:
        seeds = [(self._seed * _MAX_CHAINS + first + chain) * 2 + direction for chain in chains]
        return Chains(pairs.corpus, state, target_types, seeds)

    def _initial_state(
        self, model: Model | None, pairs: _Direction, direction: int, chains: range, weight: float
    ) -> InitialState:
        sizes = len(pairs.source), len(pairs.target)
        identical = look_up_ids(pairs.source, pairs.target)
        if model is None:
            return with_identical_words(empty_state(len(chains), *sizes), identical)
        chain_models, words = model.backward if direction else model.forward, _model_words(model, direction)
        ids = look_up_ids(words[0], pairs.source), look_up_ids(words[1], pairs.target)
        state = state_from_models([chain_models[chain % len(chain_models)] for chain in chains], *ids, sizes, weight)
        identical[ids[0][ids[0] >= 0]] = -1
        return with_identical_words(state, identical)

    def _frozen_chains(self, pairs: _Direction, target_types: int, direction: int, chains: range) -> Chains:
        """Return chains over pairs in the model's word ids, with one id for all unknown words: the same counts for any pairs."""
        words = _model_words(self._require_model(), direction)
        state = self._cached_states.get((direction, chains.start))
        if state is None:
            with_unknown = (pa.concat_arrays([side, pa.array([None], side.type)]) for side in words)
            vocabulary = _Direction(pairs.corpus, *with_unknown)
            state = self._initial_state(self._model, vocabulary, direction, chains, 1.0)
            self._cached_states[direction, chains.start] = state
        source, target = (
            np.where((ids := look_up_ids(block_words, model_words)) < 0, len(model_words), ids).astype(np.int32)
            for block_words, model_words in zip((pairs.source, pairs.target), words, strict=True)
        )
        corpus = pairs.corpus._replace(source=source[pairs.corpus.source], target=target[pairs.corpus.target])
        return self._chains(pairs._replace(corpus=corpus), state, target_types, direction, chains)

    def _collect_stems(self, words: EncodedPairs) -> tuple[pa.StringArray, pa.StringArray]:
        """Return the stems of both sides: those of the pairs and those of the earlier model."""
        source, target = collect_stems(words.source, words.corpus.source), collect_stems(words.target, words.corpus.target)
        prior = self._prior_model
        if not prior:
            return source, target
        return pa.concat_arrays([source, prior.source]), pa.concat_arrays([target, prior.target])

    def _require_model(self) -> Model:
        if self._model is None:
            raise RuntimeError("the aligner is not trained")
        return self._model


def _directions(pairs: EncodedPairs) -> tuple[_Direction, _Direction]:
    return (
        _Direction(pairs.corpus, pairs.source, pairs.target),
        _Direction(pairs.corpus.reversed(), pairs.target, pairs.source),
    )


def _chain_models(chains: Sequence[tuple[ChainModel, LinkCounts]]) -> tuple[ChainModel, ...]:
    return tuple(chain_model for chain_model, _ in chains)


def _model_words(model: Model, direction: int) -> tuple[pa.StringArray, pa.StringArray]:
    """Return the source and target words of a direction, by id."""
    return (model.target, model.source) if direction else (model.source, model.target)


def _count_types(known_words: pa.StringArray, words: pa.StringArray) -> int:
    """Return the number of distinct words in both arrays together."""
    return len(known_words) + int((look_up_ids(words, known_words) < 0).sum())


def _new_share(model: Model, pairs: EncodedPairs) -> float:
    """Return the share of tokens, of both sides, whose word the model does not know."""
    sides = (model.source, pairs.source, pairs.corpus.source), (model.target, pairs.target, pairs.corpus.target)
    unknown = sum(int((look_up_ids(words, known_words)[tokens] < 0).sum()) for known_words, words, tokens in sides)
    return unknown / max(1, len(pairs.corpus.source) + len(pairs.corpus.target))


def _mean(arrays: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    total = arrays[0]
    for array in arrays[1:]:
        total += array
    total /= np.float32(len(arrays))
    return total


def _links(
    corpus: Corpus,
    forward: npt.NDArray[np.float32],
    backward: npt.NDArray[np.float32],
    cell_offsets: npt.NDArray[np.int64],
    heuristic: int,
) -> list[Links]:
    words = np.empty((len(corpus.source) + len(corpus.target), 2), np.int32)
    confidences = np.empty(len(words), np.float32)
    counts = np.zeros(len(corpus.source_offsets) - 1, np.int64)
    extract_links(forward, backward, cell_offsets, corpus, heuristic, words, confidences, counts)
    starts = corpus.source_offsets[:-1] + corpus.target_offsets[:-1]
    ranges = zip(starts.tolist(), (starts + counts).tolist(), strict=True)
    return [Links(words[first:last].copy(), confidences[first:last].copy()) for first, last in ranges]
