"""The default aligner: our own sampler of the model that eflomal made known (`mlctl.alignment.eflomal.sampling` has its formulas)."""

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
from mlctl.alignment.eflomal.chains import Chains, Plan, Start, alike, begin, blank, informed, learned, settled
from mlctl.alignment.eflomal.decoding import linked
from mlctl.alignment.eflomal.lexicon import Lexicon, Linked
from mlctl.alignment.eflomal.model import Model, Side
from mlctl.alignment.eflomal.sentence_buffer import Text
from mlctl.alignment.eflomal.stems import shortened, stems
from mlctl.alignment.eflomal.vocabulary import Encoded, encoded, known
from mlctl.alignment.symmetrization import HEURISTICS
from mlctl.config.align import Symmetrisation

T = TypeVar("T")

_BLOCK = 8192  # pairs aligned together: marginals take 4 bytes for each pair of words in a sentence pair
_STREAMS = 1 << 10  # chains of a seed at most
_ALIGNING = 1 << 8  # number of the first chain that aligns
_NEW = 0.01  # share of a block's words that the model does not know: from here on it is learned from
_PRIOR = 1.0  # weight of an earlier model's counts
_LEXICON = "lexicon.parquet"


def reading(pairs: int, new: float) -> int:
    """Return how often to sample pairs, of which a share `new` of the words is not known to the model, before they are aligned.

    Where all is known, not at all. New words are learned from the pairs themselves, which takes a while: the fewer the pairs, the longer.
    """
    if new < _NEW:
        return 0
    return 32 if pairs < 3_000 else 16


def plan(pairs: int) -> Plan:
    """Return how long to sample: fewer pairs take more sweeps, and the mean of more chains, to find what little there is."""
    if pairs < 3_000:
        return Plan((10, 10, 40), 16, 8, sharp=24)
    if pairs < 15_000:
        return Plan((4, 6, 20), 8, 4, sharp=12)
    return Plan((2, 4, 14), 5, 4, sharp=8) if pairs < 45_000 else Plan((1, 1, 4), 1, 3, sharp=2, more=14)


class _Direction(NamedTuple):
    """The pairs read in one direction."""

    text: Text
    source: pa.StringArray
    target: pa.StringArray


class EflomalAligner:
    """Samples the links of both directions and joins them.

    What is drawn depends on the seed and the pairs alone: any number of threads makes the same bytes. Two threads take a direction
    each; with more, they share the chains of a direction (`plan`), each of which is faster beside others than alone.
    """

    def __init__(self, symmetrisation: Symmetrisation, seed: int, priors: Path | None = None, threads: int = 1) -> None:
        """Take the folder of an earlier model (`save`) whose counts are added to those of the pairs, or None.

        Raises:
            InputError: there is no model, or no lexicon of one, that can be read in the folder.
        """
        self._heuristic = HEURISTICS.index(symmetrisation)
        self._seed, self._threads = seed, threads
        self._priors = models.read(priors) if priors else None
        self._earlier = lexicons.read(priors / _LEXICON) if priors else None
        self._model: Model | None = None
        self._lexicon: Lexicon | None = None
        self._starts: dict[tuple[int, int], Start] = {}  # by direction and first chain, for texts without new words

    @classmethod
    def load(cls, folder: Path, symmetrisation: Symmetrisation, seed: int, threads: int = 1) -> EflomalAligner:
        """Return an aligner that has learned what `save` wrote into the folder.

        Raises:
            InputError: there is no model that can be read in the folder.
        """
        aligner = cls(symmetrisation, seed, None, threads)
        aligner._model = models.read(folder)
        return aligner

    def train(self, pairs: Iterable[Pair]) -> None:
        """Learn from pairs, which are read once, in order. Memory: some 14 bytes a word of both sides."""
        words = encoded(pairs)
        found = shortened(words, self._stems(words))
        how = plan(len(found.text.source_offsets) - 1)

        groups: dict[tuple[int, int], Chains] = {}

        def first(number: int, chains: range) -> list[Chains]:
            direction = _directions(found)[number]
            start = self._start(self._priors, direction, number, chains, _PRIOR)
            sampled = begin(self._chains(direction, start, len(direction.target), number, chains), how)
            groups[number, chains.start] = sampled
            return [sampled]

        forward_groups, backward_groups = self._both(first, how.chains)
        more = 0 if settled([*forward_groups, *backward_groups]) else how.more

        def last(number: int, chains: range) -> list[tuple[Side, Linked]]:
            sampled, text = groups[number, chains.start], _directions(words)[number].text
            sides = learned(sampled, more, how.kept)
            return [
                (side, lexicons.linked(text, links, len(words.target), number == 1))
                for side, links in zip(sides, sampled.links, strict=True)
            ]

        forward, backward = self._both(last, how.chains)
        self._model, self._starts = Model(found.source, found.target, _firsts(forward), _firsts(backward)), {}
        links = [[each for _, each in direction] for direction in (forward, backward)]
        self._lexicon = lexicons.lexicon(words, links[0], links[1], self._earlier)

    def save(self, folder: Path) -> None:
        """Write what was learned into an empty folder (`model.write`), with `lexicon.parquet` (`lexicons.write`) if it was learned here."""
        models.write(self._learned(), folder)
        if self._lexicon:
            lexicons.write(self._lexicon, folder / _LEXICON)

    def align(self, pairs: Sequence[Pair]) -> list[Links]:
        """Return the links of each pair.

        Pairs with words which were not met in training are sampled first, on top of what was learned, so that these are learned
        from the pairs themselves. Confidence is the geometric mean of both directions' marginals, and half of either at least.
        """
        return [links for first in range(0, len(pairs), _BLOCK) for links in self._block(pairs[first : first + _BLOCK])]

    def _block(self, pairs: Sequence[Pair]) -> list[Links]:
        model = self._learned()
        found = shortened(encoded(pairs), (model.source, model.target))
        sizes = np.diff(found.text.source_offsets) * np.diff(found.text.target_offsets)
        places = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])

        sweeps = reading(len(pairs), _new(model, found))

        def run(number: int, chains: range) -> list[npt.NDArray[np.float32]]:
            direction = _directions(found)[number]
            types = _types(model.source if number else model.target, direction.target)
            if not sweeps:
                return list(self._frozen(direction, types, number, chains).marginals(places))
            sampled = self._chains(
                direction, self._start(model, direction, number, chains, 1.0), types, number, chains, _ALIGNING
            )
            for _ in range(sweeps):
                sampled.sweep(2)
            return list(sampled.marginals(places))

        forward, backward = (_mean(side) for side in self._both(run, len(model.forward)))
        return _links(found.text, forward, backward, places, self._heuristic)

    def _both(self, run: Callable[[int, range], Sequence[T]], chains: int) -> tuple[list[T], list[T]]:
        """Return what `run(direction, chains)` gives for each chain of both directions."""
        with ThreadPoolExecutor(self._threads) as pool:
            step = -(-chains // max(1, self._threads // 2))
            groups = [range(first, min(first + step, chains)) for first in range(0, chains, step)]
            jobs = [[pool.submit(run, number, group) for group in groups] for number in range(2)]
            forward, backward = ([each for job in side for each in job.result()] for side in jobs)
        return forward, backward

    def _chains(self, direction: _Direction, start: Start, types: int, number: int, chains: range, first: int = 0) -> Chains:
        seeds = [(self._seed * _STREAMS + first + chain) * 2 + number for chain in chains]
        return Chains(direction.text, start, types, seeds)

    def _start(self, model: Model | None, direction: _Direction, number: int, chains: range, weight: float) -> Start:
        sizes = len(direction.source), len(direction.target)
        twins = known(direction.source, direction.target)
        if model is None:
            return alike(blank(len(chains), *sizes), twins)
        sides, words = model.backward if number else model.forward, _sides(model, number)
        known_words = known(words[0], direction.source), known(words[1], direction.target)
        start = informed([sides[chain % len(sides)] for chain in chains], *known_words, sizes, weight)
        twins[known_words[0][known_words[0] >= 0]] = -1
        return alike(start, twins)

    def _frozen(self, direction: _Direction, types: int, number: int, chains: range) -> Chains:
        """Return chains over a text in the model's own numbering, all words that it does not know being one: for all texts the same counts."""
        words = _sides(self._learned(), number)
        start = self._starts.get((number, chains.start))
        if start is None:
            every = _Direction(direction.text, *(pa.concat_arrays([side, pa.array([None], side.type)]) for side in words))
            start = self._starts[number, chains.start] = self._start(self._model, every, number, chains, 1.0)
        source, target = (
            np.where((numbers := known(here, there)) < 0, len(there), numbers).astype(np.int32)
            for here, there in zip((direction.source, direction.target), words, strict=True)
        )
        text = direction.text._replace(source=source[direction.text.source], target=target[direction.text.target])
        return self._chains(direction._replace(text=text), start, types, number, chains)

    def _stems(self, words: Encoded) -> tuple[pa.StringArray, pa.StringArray]:
        """Return the stems of both sides: those of the text and the earlier model's."""
        source, target = stems(words.source, words.text.source), stems(words.target, words.text.target)
        if not self._priors:
            return source, target
        return pa.concat_arrays([source, self._priors.source]), pa.concat_arrays([target, self._priors.target])

    def _learned(self) -> Model:
        if self._model is None:
            raise RuntimeError("the aligner has not learned anything yet")
        return self._model


def _directions(found: Encoded) -> tuple[_Direction, _Direction]:
    return (
        _Direction(found.text, found.source, found.target),
        _Direction(found.text.turned(), found.target, found.source),
    )


def _firsts(chains: Sequence[tuple[Side, Linked]]) -> tuple[Side, ...]:
    return tuple(side for side, _ in chains)


def _sides(model: Model, number: int) -> tuple[pa.StringArray, pa.StringArray]:
    """Return the words that a direction links from and to."""
    return (model.target, model.source) if number else (model.source, model.target)


def _types(learned_words: pa.StringArray, words: pa.StringArray) -> int:
    """Return the number of words that are learned or among `words`."""
    return len(learned_words) + int((known(words, learned_words) < 0).sum())


def _new(model: Model, found: Encoded) -> float:
    """Return the share of the words of both sides that the model does not know, of all their tokens."""
    sides = (model.source, found.source, found.text.source), (model.target, found.target, found.text.target)
    unknown = sum(int((known(words, learned_words)[text] < 0).sum()) for learned_words, words, text in sides)
    return unknown / max(1, len(found.text.source) + len(found.text.target))


def _mean(arrays: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    total = arrays[0]
    for array in arrays[1:]:
        total += array
    total /= np.float32(len(arrays))
    return total


def _links(
    text: Text, forward: npt.NDArray[np.float32], backward: npt.NDArray[np.float32], places: npt.NDArray[np.int64], heuristic: int
) -> list[Links]:
    words = np.empty((len(text.source) + len(text.target), 2), np.int32)
    sure = np.empty(len(words), np.float32)
    sizes = np.zeros(len(text.source_offsets) - 1, np.int64)
    linked(forward, backward, places, text, heuristic, words, sure, sizes)
    starts = text.source_offsets[:-1] + text.target_offsets[:-1]
    ranges = zip(starts.tolist(), (starts + sizes).tolist(), strict=True)
    return [Links(words[first:last].copy(), sure[first:last].copy()) for first, last in ranges]
