"""Pairs that are held out of training: for the benchmark, and for choices that are made while training (dev)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl import schema
from mlctl.config import Shard
from mlctl.core.arrow import batches
from mlctl.sharding.content_words import BATCH_ROWS, ContentWords, SideWords, occurs_once
from mlctl.sharding.part_statistics import PAIRS, identities_of, read_pairs

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

# At most one pair in so many is held out, and one in so many a dev pair.
_MIN_PAIRS_PER_HELDOUT_PAIR, _MIN_PAIRS_PER_DEV_PAIR = 10, 20
_DEV_CANDIDATES = 4  # for each dev pair: those with evaluation text are passed over
_FIRST_ROUND = 1.25  # candidates that are read, for each one needed: some have no word pair
#: Pairs that may be held out, in the order in which they are: the number of the pair in its language, the pair, and its identities.
CANDIDATES = pa.schema([("row", pa.int64()), *schema.ALIGNED, ("source_identity", pa.int64()), ("target_identity", pa.int64())])
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldoutPairs:
    """Pairs that are held out of training for one purpose.

    Attributes:
        pairs: of each target language (CANDIDATES), in the order of the corpus.
        identities: identities of all their texts, of all languages, sorted.
    """

    pairs: Mapping[str, pa.Table]
    identities: Integers

    @classmethod
    def of(cls, chosen: Mapping[str, pa.Table]) -> HeldoutPairs:
        """Return these pairs (CANDIDATES), in any order."""
        identities = [identities_of(table).ravel() for table in chosen.values()]
        ordered = {language: table.sort_by("row") for language, table in chosen.items()}
        return cls(ordered, np.unique(np.concatenate([np.empty(0, np.int64), *identities])))

    def texts(self) -> Iterator[str]:
        """Yield the texts of both sides of the pairs of all languages."""
        for table in self.pairs.values():
            yield from table["source"].to_pylist() + table["target"].to_pylist()


def write_candidates(path: Path, settings: Shard, file: Path, statistics: Sequence[Path], content: ContentWords) -> None:
    """Write the first pairs of one language that may be held out (CANDIDATES): held-out pairs, and more than enough for dev pairs.

    Args:
        path: is written.
        settings: numbers of pairs.
        file: aligned pairs of the language.
        statistics: of all its parts, in order.
        content: which words form word pairs: a held-out pair has one at least.
    """
    pairs = pa.concat_tables([PAIRS.empty_table(), *map(read_pairs, statistics)])
    identities = identities_of(pairs)
    unique = occurs_once(identities[:, 0]) & occurs_once(identities[:, 1])
    rows = np.flatnonzero(pairs["is_candidate"].to_numpy() & unique)
    rows = rows[np.argsort(pairs["draw"].to_numpy()[rows], kind="stable")]
    needed = number_heldout(settings, len(identities)) + _DEV_CANDIDATES * settings.dev_pairs

    number = int(_FIRST_ROUND * needed)
    table = _with_word_pair(file, rows[:number], identities, content)
    while table.num_rows < needed and number < len(rows):
        number *= 4
        table = _with_word_pair(file, rows[:number], identities, content)
    with pa.OSFile(str(path), "wb") as output, pa.ipc.new_file(output, CANDIDATES) as writer:
        writer.write_table(table.slice(0, needed))


def read_candidates(path: Path) -> pa.Table:
    """Return the CANDIDATES of a language."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def number_heldout(settings: Shard, pairs: int) -> int:
    """Return how many pairs of a language with so many are held out at most."""
    return min(settings.heldout_pairs, pairs // _MIN_PAIRS_PER_HELDOUT_PAIR)


def choose_heldout(settings: Shard, candidates: Mapping[str, pa.Table], pairs: Mapping[str, int]) -> HeldoutPairs:
    """Return the held-out pairs: the first candidates of each language, which has so many `pairs`."""
    chosen = {language: table.slice(0, number_heldout(settings, pairs[language])) for language, table in candidates.items()}
    for language, table in chosen.items():
        if table.num_rows < settings.heldout_pairs:
            _log.info("%s: %d of %d pairs held out", language, table.num_rows, pairs[language])
    return HeldoutPairs.of(chosen)


def choose_dev(
    settings: Shard,
    candidates: Mapping[str, pa.Table],
    pairs: Mapping[str, int],
    has_evaluation_text: Callable[[pa.RecordBatch, Integers], Flags],
) -> HeldoutPairs:
    """Return the dev pairs: the candidates after the held-out pairs, without evaluation text.

    What is chosen on dev pairs must not be chosen on text that the choice is evaluated on.

    Args:
        settings: number of dev pairs.
        candidates: of each language, the held-out pairs first.
        pairs: number of pairs of each language.
        has_evaluation_text: returns which pairs, with their identities, have text of the held-out pairs or of an evaluation set.
    """
    chosen = {}
    for language, table in candidates.items():
        flags = [np.empty(0, np.bool_)]
        flags += [has_evaluation_text(batch, identities_of(batch)) for batch in table.to_batches(BATCH_ROWS)]
        clean = table.filter(pa.array(~np.concatenate(flags)))
        chosen[language] = clean.slice(0, min(settings.dev_pairs, pairs[language] // _MIN_PAIRS_PER_DEV_PAIR))
    return HeldoutPairs.of(chosen)


def _with_word_pair(file: Path, rows: Integers, identities: Integers, content: ContentWords) -> pa.Table:
    """Return those of some pairs, in the order of their row numbers given, that have a word pair (CANDIDATES)."""
    ordered = np.sort(rows)
    found = []
    for batch in _take_rows(file, ordered):
        word_pairs = content.word_pairs(batch, SideWords.of(batch, "source"), SideWords.of(batch, "target"))
        found.append((batch, np.bincount(word_pairs.rows, minlength=batch.num_rows) > 0))
    pairs = pa.Table.from_batches([batch.cast(schema.ALIGNED) for batch, _ in found], schema.ALIGNED)
    columns: dict[str, Any] = {
        "row": ordered,
        "source_identity": identities[ordered, 0],
        "target_identity": identities[ordered, 1],
    }
    columns |= {name: pairs[name] for name in pairs.column_names}
    table = pa.table([columns[name] for name in CANDIDATES.names], schema=CANDIDATES)
    has_word_pair = np.concatenate([np.empty(0, np.bool_), *(flags for _, flags in found)])
    in_order = np.argsort(np.argsort(rows))  # place of each pair in the order of the corpus
    return table.take(pa.array(in_order[has_word_pair[in_order]]))


def _take_rows(file: Path, rows: Integers) -> Iterator[pa.RecordBatch]:
    """Yield the pairs of a file with some row numbers, ascending, in batches."""
    first = 0
    for batch in batches(file, schema.ALIGNED.names, batch_rows=BATCH_ROWS):
        indices = rows[(rows >= first) & (rows < first + batch.num_rows)] - first
        if len(indices):
            yield batch.take(pa.array(indices))
        first += batch.num_rows
