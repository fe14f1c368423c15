"""The held-out pairs that both models are judged on, and the words among them that make the word benchmark."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from mlctl.core.random import shuffle_key
from mlctl.errors import InputError

#: Word pairs that one language's word benchmark has at most.
MOST_WORD_PAIRS = 2000

_FEWEST_PAIRS = 2
_COLUMNS = ["source_ids", "target_ids", "word_pairs", "source_identity", "target_identity", "source", "target"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Side:
    """One side of the pairs: token ids with special tokens, the text's identity (equal texts, equal number) and the text."""

    ids: Sequence[Sequence[int]]
    identities: Sequence[int]
    texts: Sequence[str]


@dataclass(frozen=True)
class WordPair:
    """A word and its translation: half-open subword ranges in the two sides of pair `row`."""

    row: int
    source: tuple[int, int]
    target: tuple[int, int]


@dataclass(frozen=True)
class Heldout:
    """The held-out pairs of one target language, in the order of the file."""

    language: str
    source: Side
    target: Side
    word_pairs: Sequence[WordPair]

    def __len__(self) -> int:
        return len(self.source.ids)

    def largest_id(self) -> int:
        """Return the largest token id of both sides."""
        return max(token for side in (self.source, self.target) for ids in side.ids for token in ids)


def read_heldout(folder: Path, targets: Iterable[str]) -> list[Heldout]:
    """Read `heldout/<t>.parquet` of every target language that has enough pairs to judge by.

    Raises:
        InputError: no language has.
    """
    wanted = list(targets)
    found = {target: _read(folder / "heldout" / f"{target}.parquet", target) for target in wanted}
    good = [heldout for heldout in found.values() if len(heldout) >= _FEWEST_PAIRS]
    few = [target for target in wanted if len(found[target]) < _FEWEST_PAIRS]
    if not good:
        raise InputError(
            f"no held-out pairs to judge by: {', '.join(few)} each have fewer than {_FEWEST_PAIRS}",
            "set shard.heldout_pairs above 0, lower shard.heldout_min_words, or add text for these languages",
        )
    if few:
        _log.warning("not judged, too few held-out pairs: %s (see shard.heldout_pairs)", ", ".join(few))
    return good


def one_to_one(heldout: Heldout, word: Callable[[Sequence[int]], str], seed: int) -> list[WordPair]:
    """Choose the word pairs of the word benchmark: every word, on either side, stands in one word pair at most.

    So the right answer is one by construction, and frequent words weigh no more than rare ones. A word goes with the word it
    is linked to most often; one occurrence of each word pair and, above `MOST_WORD_PAIRS`, the word pairs themselves are drawn by hash.

    Args:
        heldout: pairs with their word pairs.
        word: the word that token ids stand for, "" for ids that are no word.
        seed: changes what the hash draws.

    Returns:
        Word pairs sorted by row and place.
    """
    occurrences: dict[tuple[str, str], list[WordPair]] = {}
    for word_pair in heldout.word_pairs:
        pair = (
            word(_cut(heldout.source, word_pair.row, word_pair.source)),
            word(_cut(heldout.target, word_pair.row, word_pair.target)),
        )
        if all(pair):
            occurrences.setdefault(pair, []).append(word_pair)
    counts = Counter({pair: len(places) for pair, places in occurrences.items()})
    kept = sorted(_linked_most_often(counts, seed), key=lambda pair: digest(seed, *pair))[:MOST_WORD_PAIRS]
    chosen = [min(occurrences[pair], key=lambda word_pair: digest(seed, *pair, _texts(heldout, word_pair))) for pair in kept]
    return sorted(chosen, key=lambda word_pair: (word_pair.row, word_pair.source, word_pair.target))


def digest(seed: int, *parts: str) -> bytes:
    """Return a number-like key that orders texts at random, the same on every machine."""
    return shuffle_key(str(seed), *parts)


def _linked_most_often(counts: Counter[tuple[str, str]], seed: int) -> list[tuple[str, str]]:
    """Take pairs of words from the most frequent down, unless one of the words is taken."""
    taken: tuple[set[str], set[str]] = (set(), set())
    kept = []
    for source, target in sorted(counts, key=lambda pair: (-counts[pair], digest(seed, *pair))):
        if source not in taken[0] and target not in taken[1]:
            taken[0].add(source)
            taken[1].add(target)
            kept.append((source, target))
    return kept


def _cut(side: Side, row: int, span: tuple[int, int]) -> Sequence[int]:
    return side.ids[row][span[0] : span[1]]


def _texts(heldout: Heldout, word_pair: WordPair) -> str:
    return f"{heldout.source.texts[word_pair.row]}\0{heldout.target.texts[word_pair.row]}\0{word_pair.source}\0{word_pair.target}"


def _read(path: Path, target: str) -> Heldout:
    columns = pq.read_table(path, columns=_COLUMNS).to_pydict() if path.exists() else {name: [] for name in _COLUMNS}
    source = Side(columns["source_ids"], columns["source_identity"], columns["source"])
    side = Side(columns["target_ids"], columns["target_identity"], columns["target"])
    word_pairs = [
        WordPair(row, (c["source_start"], c["source_end"]), (c["target_start"], c["target_end"]))
        for row, several in enumerate(columns["word_pairs"])
        for c in several
    ]
    return Heldout(target, source, side, word_pairs)
