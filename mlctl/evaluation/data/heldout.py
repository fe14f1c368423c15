"""Held-out pairs that both models are evaluated on, and their word pairs for word retrieval."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlctl.core.random import shuffle_key
from mlctl.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: Maximum number of word pairs of one language.
MAX_WORD_PAIRS = 2000

_MIN_PAIRS = 2
_COLUMNS = ["source_ids", "target_ids", "word_pairs", "source_identity", "target_identity", "source", "target"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Side:
    """One side of the pairs: token ids with special tokens, the text's identity (equal for equal texts) and the text."""

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

    def longest(self) -> int:
        """Return the number of tokens of the longest sentence of both sides."""
        return max(len(ids) for side in (self.source, self.target) for ids in side.ids)


def read_heldout(folder: Path, targets: Iterable[str]) -> list[Heldout]:
    """Read `heldout/<t>.parquet` of every target language that has enough pairs.

    Raises:
        InputError: none has.
    """
    heldout = [_read(folder / "heldout" / f"{target}.parquet", target) for target in targets]
    enough = [pairs for pairs in heldout if len(pairs) >= _MIN_PAIRS]
    too_few = [pairs.language for pairs in heldout if len(pairs) < _MIN_PAIRS]
    if not enough:
        raise InputError(
            f"no held-out pairs to evaluate on: {', '.join(too_few)} each have fewer than {_MIN_PAIRS}",
            "set shard.heldout_pairs above 0, lower shard.heldout_min_words, or add text for these languages",
        )
    if too_few:
        _log.warning("not evaluated, too few held-out pairs: %s (see shard.heldout_pairs)", ", ".join(too_few))
    return enough


def one_to_one(heldout: Heldout, decode: Callable[[Sequence[int]], str], seed: int) -> list[WordPair]:
    """Select the word pairs of word retrieval: every word, on either side, is in one word pair at most.

    So each query has exactly one correct answer, and frequent words have no more weight than rare ones. A word is paired with the
    word that it is linked to most often; one occurrence of each word pair and, above `MAX_WORD_PAIRS`, the word pairs themselves are
    drawn by hash.

    Args:
        heldout: pairs with their word pairs.
        decode: returns the word of token ids, "" for ids that are not a word.
        seed: of the hash.

    Returns:
        Word pairs sorted by row and position.
    """
    occurrences: dict[tuple[str, str], list[WordPair]] = {}
    for word_pair in heldout.word_pairs:
        source_ids = heldout.source.ids[word_pair.row][slice(*word_pair.source)]
        target_ids = heldout.target.ids[word_pair.row][slice(*word_pair.target)]
        words = decode(source_ids), decode(target_ids)
        if all(words):
            occurrences.setdefault(words, []).append(word_pair)
    counts = Counter({words: len(word_pairs) for words, word_pairs in occurrences.items()})
    selected = sorted(_most_frequent(counts, seed), key=lambda words: hash_order(seed, *words))[:MAX_WORD_PAIRS]
    drawn = [min(occurrences[words], key=lambda pair: hash_order(seed, *words, _context(heldout, pair))) for words in selected]
    return sorted(drawn, key=lambda word_pair: (word_pair.row, word_pair.source, word_pair.target))


def word_pairs_of(heldout: Heldout, tokenizer: PreTrainedTokenizerBase, seed: int) -> list[WordPair]:
    """Return `one_to_one` of words as the tokenizer decodes them, without white space around them and in lower case."""
    return one_to_one(heldout, lambda ids: str(tokenizer.decode(list(ids))).strip().casefold(), seed)


def hash_order(seed: int, *texts: str) -> bytes:
    """Return a sort key that puts texts in a random order, the same on every machine."""
    return shuffle_key(str(seed), *texts)


def heldout_digest(heldout: Heldout) -> str:
    """Return a digest of held-out pairs: tokens, word pairs, identities and texts."""
    sides = [[side.ids, number_identities(side.identities), side.texts] for side in (heldout.source, heldout.target)]
    word_pairs = [(pair.row, *pair.source, *pair.target) for pair in heldout.word_pairs]
    text = json.dumps([sides, word_pairs], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def number_identities(identities: Sequence[int]) -> list[int]:
    """Number identities by their first occurrence, as only their equality matters."""
    numbers: dict[int, int] = {}
    return [numbers.setdefault(identity, len(numbers)) for identity in identities]


def _most_frequent(counts: Counter[tuple[str, str]], seed: int) -> list[tuple[str, str]]:
    """Select pairs of words from the most frequent down, unless one of the words is used already."""
    used_sources, used_targets = set[str](), set[str]()
    selected = []
    for source, target in sorted(counts, key=lambda words: (-counts[words], hash_order(seed, *words))):
        if source not in used_sources and target not in used_targets:
            used_sources.add(source)
            used_targets.add(target)
            selected.append((source, target))
    return selected


def _context(heldout: Heldout, pair: WordPair) -> str:
    return f"{heldout.source.texts[pair.row]}\0{heldout.target.texts[pair.row]}\0{pair.source}\0{pair.target}"


def _read(path: Path, language: str) -> Heldout:
    import pyarrow.parquet as pq

    columns = pq.read_table(path, columns=_COLUMNS).to_pydict() if path.exists() else {name: [] for name in _COLUMNS}
    source = Side(columns["source_ids"], columns["source_identity"], columns["source"])
    target = Side(columns["target_ids"], columns["target_identity"], columns["target"])
    word_pairs = [
        WordPair(row, (pair["source_start"], pair["source_end"]), (pair["target_start"], pair["target_end"]))
        for row, pairs in enumerate(columns["word_pairs"])
        for pair in pairs
    ]
    return Heldout(language, source, target, word_pairs)
