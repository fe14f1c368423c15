"""The lexicon: a word translation table with the link counts of training, for words in their normal form (not stems)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.alignment.eflomal.numba_jit import kernel
from mlctl.alignment.eflomal.sampling import ALPHA
from mlctl.alignment.eflomal.sentence_buffer import Corpus
from mlctl.alignment.eflomal.vocabulary import EncodedPairs, look_up_ids
from mlctl.errors import InputError
from mlctl.schema import LEXICON

_MIN_COUNT = 0.2  # links of a word pair, to be in the lexicon
_BATCH_ROWS = 1 << 17  # written at a time
_COLUMNS = ["source", "target", "count"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class LinkCounts(NamedTuple):
    """Word pairs that one or more chains linked, as sorted ids source · W + target, with the number of links (N,)."""

    pairs: Ints
    links: Floats


class Lexicon(NamedTuple):
    """Sorted ids of word pairs with the number of their links in both directions (N,), and the words of both languages by id."""

    source: pa.StringArray
    target: pa.StringArray
    pairs: Ints
    forward: Floats
    backward: Floats


def count_links(corpus: Corpus, links: npt.NDArray[np.int16], targets: int, is_reversed: bool) -> LinkCounts:
    """Count the word pairs that a chain links; `is_reversed`: `corpus` is that of the other direction. `targets` is W."""
    pairs, counts = np.unique(_linked_pairs(corpus, links, targets, is_reversed), return_counts=True)
    return LinkCounts(pairs, counts.astype(np.float64))


@kernel
def _linked_pairs(corpus: Corpus, links: npt.NDArray[np.int16], targets: int, is_reversed: bool) -> Ints:
    pairs, count = np.empty(len(links), np.int64), 0
    for s in range(len(corpus.target_offsets) - 1):
        for j in range(corpus.target_offsets[s], corpus.target_offsets[s + 1]):
            if links[j] >= 0:
                source, target = np.int64(corpus.source[corpus.source_offsets[s] + links[j]]), np.int64(corpus.target[j])
                pairs[count] = target * targets + source if is_reversed else source * targets + target
                count += 1
    return pairs[:count]


def read_lexicon(file: Path) -> pa.Table:
    """Read the columns of an earlier lexicon that `build_lexicon` needs.

    Raises:
        InputError: the file is not a readable lexicon.
    """
    try:
        return pq.read_table(file, columns=_COLUMNS)
    except (OSError, ValueError) as error:  # Arrow's own errors are among these
        raise InputError(f"{file} is not a readable lexicon ({error})", "remove the folder and align again") from error


def build_lexicon(
    words: EncodedPairs, forward: Sequence[LinkCounts], backward: Sequence[LinkCounts], prior: pa.Table | None
) -> Lexicon:
    """Return the lexicon with the mean counts of the chains of each direction, added to those of an earlier lexicon."""
    source, target = words.source, words.target
    sides = [_mean(forward), _mean(backward)]
    if prior is not None:
        source, target = _extend(source, prior["source"]), _extend(target, prior["target"])
        sides = [
            LinkCounts(side.pairs // len(words.target) * len(target) + side.pairs % len(words.target), side.links)
            for side in sides
        ]
        prior_counts = _prior_counts(prior, source, target)
        sides = [_sum([side, prior_counts]) for side in sides]
    pairs = np.union1d(*(side.pairs for side in sides))
    counts = np.zeros((2, len(pairs)))
    for row, side in zip(counts, sides, strict=True):
        row[np.searchsorted(pairs, side.pairs)] = side.links
    return Lexicon(source, target, pairs, counts[0], counts[1])


def write_lexicon(lexicon: Lexicon, file: Path) -> None:
    """Write a lexicon (schema LEXICON) without rarely linked word pairs: the same bytes for the same lexicon."""
    width = len(lexicon.target)
    totals = [
        np.bincount(words, links, len(side)) + ALPHA * len(other)
        for words, links, side, other in (
            (lexicon.pairs // max(1, width), lexicon.forward, lexicon.source, lexicon.target),
            (lexicon.pairs % max(1, width), lexicon.backward, lexicon.target, lexicon.source),
        )
    ]
    selected = np.flatnonzero(lexicon.forward + lexicon.backward >= 2 * _MIN_COUNT)
    with pq.ParquetWriter(file, LEXICON, compression="zstd") as writer:
        for first in range(0, len(selected), _BATCH_ROWS):
            part = selected[first : first + _BATCH_ROWS]
            source, target = lexicon.pairs[part] // width, lexicon.pairs[part] % width
            forward_probability = (lexicon.forward[part] + ALPHA) / totals[0][source]
            backward_probability = (lexicon.backward[part] + ALPHA) / totals[1][target]
            columns = [lexicon.source.take(pa.array(source)), lexicon.target.take(pa.array(target))]
            columns += [
                pa.array(values.astype(np.float32))
                for values in (forward_probability, backward_probability, (lexicon.forward[part] + lexicon.backward[part]) / 2)
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=LEXICON))


def _mean(chains: Sequence[LinkCounts]) -> LinkCounts:
    total = _sum(chains)
    return LinkCounts(total.pairs, total.links / len(chains))


def _sum(counts: Sequence[LinkCounts]) -> LinkCounts:
    pairs, indices = np.unique(np.concatenate([item.pairs for item in counts]), return_inverse=True)
    links = np.concatenate([item.links for item in counts])
    return LinkCounts(pairs, np.bincount(indices, links, len(pairs)).astype(np.float64))


def _extend(words: pa.StringArray, more: pa.ChunkedArray) -> pa.StringArray:
    """Return words, followed by those of `more` that are not among them."""
    new = more.unique()
    return pa.concat_arrays([words, new.filter(pa.array(look_up_ids(new, words) < 0))])


def _prior_counts(table: pa.Table, source: pa.StringArray, target: pa.StringArray) -> LinkCounts:
    source_ids, target_ids = look_up_ids(table["source"], source), look_up_ids(table["target"], target)
    pairs = source_ids.astype(np.int64) * len(target) + target_ids
    order = np.argsort(pairs, kind="stable")
    return LinkCounts(pairs[order], table["count"].to_numpy().astype(np.float64)[order])
