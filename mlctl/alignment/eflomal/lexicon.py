"""The word translation table that falls out of learning: which words, as they are written, were linked how often."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.alignment.eflomal.numba_kernels import kernel
from mlctl.alignment.eflomal.sampling import ALPHA
from mlctl.alignment.eflomal.sentence_buffer import Corpus
from mlctl.alignment.eflomal.vocabulary import EncodedPairs, look_up_ids
from mlctl.errors import InputError
from mlctl.schema import LEXICON

_MIN_COUNT = 0.2  # links of a pair of words, to be a translation
_ROWS = 1 << 17  # written at a time
_COLUMNS = ["source", "target", "count"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class LinkCounts(NamedTuple):
    """Pairs of words that one or more chains linked: numbers source · W + target, sorted, and how often (N,)."""

    pairs: Ints
    links: Floats


class Lexicon(NamedTuple):
    """Pairs of words, sorted, with their links in both directions (N,), and the words of both languages by number."""

    source: pa.StringArray
    target: pa.StringArray
    pairs: Ints
    forward: Floats
    backward: Floats


def count_links(corpus: Corpus, links: npt.NDArray[np.int16], targets: int, turned: bool) -> LinkCounts:
    """Count the pairs of words that a chain links; `turned`: `text` is that of the other direction. `targets` is W."""
    pairs, counts = np.unique(_linked_pairs(corpus, links, targets, turned), return_counts=True)
    return LinkCounts(pairs, counts.astype(np.float64))


@kernel
def _linked_pairs(corpus: Corpus, links: npt.NDArray[np.int16], targets: int, turned: bool) -> Ints:
    found, count = np.empty(len(links), np.int64), 0
    for s in range(len(corpus.target_offsets) - 1):
        for j in range(corpus.target_offsets[s], corpus.target_offsets[s + 1]):
            if links[j] >= 0:
                here, there = np.int64(corpus.source[corpus.source_offsets[s] + links[j]]), np.int64(corpus.target[j])
                found[count] = there * targets + here if turned else here * targets + there
                count += 1
    return found[:count]


def read_lexicon(file: Path) -> pa.Table:
    """Return what `lexicon` needs of an earlier lexicon.

    Raises:
        InputError: the file is no lexicon.
    """
    try:
        return pq.read_table(file, columns=_COLUMNS)
    except (OSError, ValueError) as error:  # Arrow's own errors are among these
        raise InputError(f"{file}: no lexicon that can be read ({error})", "remove the folder and align again") from error


def build_lexicon(
    words: EncodedPairs, forward: Sequence[LinkCounts], backward: Sequence[LinkCounts], earlier: pa.Table | None
) -> Lexicon:
    """Return the mean of the chains of both directions, on top of an earlier lexicon."""
    source, target = words.source, words.target
    sides = [_mean(forward), _mean(backward)]
    if earlier is not None:
        source, target = _joined(source, earlier["source"]), _joined(target, earlier["target"])
        sides = [
            LinkCounts(side.pairs // len(words.target) * len(target) + side.pairs % len(words.target), side.links)
            for side in sides
        ]
        before = _linked_before(earlier, source, target)
        sides = [_sum([side, before]) for side in sides]
    pairs = np.union1d(*(side.pairs for side in sides))
    counts = np.zeros((2, len(pairs)))
    for row, side in zip(counts, sides, strict=True):
        row[np.searchsorted(pairs, side.pairs)] = side.links
    return Lexicon(source, target, pairs, counts[0], counts[1])


def write_lexicon(found: Lexicon, file: Path) -> None:
    """Write a lexicon (schema LEXICON) without what hardly was linked: the same bytes for the same lexicon."""
    width = len(found.target)
    totals = [
        np.bincount(words, links, len(side)) + ALPHA * len(other)
        for words, links, side, other in (
            (found.pairs // max(1, width), found.forward, found.source, found.target),
            (found.pairs % max(1, width), found.backward, found.target, found.source),
        )
    ]
    kept = np.flatnonzero(found.forward + found.backward >= 2 * _MIN_COUNT)
    with pq.ParquetWriter(file, LEXICON, compression="zstd") as writer:
        for first in range(0, len(kept), _ROWS):
            part = kept[first : first + _ROWS]
            source, target = found.pairs[part] // width, found.pairs[part] % width
            there = (found.forward[part] + ALPHA) / totals[0][source]
            back = (found.backward[part] + ALPHA) / totals[1][target]
            columns = [found.source.take(pa.array(source)), found.target.take(pa.array(target))]
            columns += [
                pa.array(values.astype(np.float32)) for values in (there, back, (found.forward[part] + found.backward[part]) / 2)
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=LEXICON))


def _mean(chains: Sequence[LinkCounts]) -> LinkCounts:
    found = _sum(chains)
    return LinkCounts(found.pairs, found.links / len(chains))


def _sum(several: Sequence[LinkCounts]) -> LinkCounts:
    pairs, places = np.unique(np.concatenate([each.pairs for each in several]), return_inverse=True)
    return LinkCounts(pairs, np.bincount(places, np.concatenate([each.links for each in several]), len(pairs)).astype(np.float64))


def _joined(words: pa.StringArray, more: pa.ChunkedArray) -> pa.StringArray:
    """Return words and behind them those of `more` that are not among them."""
    new = more.unique()
    return pa.concat_arrays([words, new.filter(pa.array(look_up_ids(new, words) < 0))])


def _linked_before(table: pa.Table, source: pa.StringArray, target: pa.StringArray) -> LinkCounts:
    here, there = (look_up_ids(table[name], words).astype(np.int64) for name, words in (("source", source), ("target", target)))
    pairs = here * len(target) + there
    order = np.argsort(pairs, kind="stable")
    return LinkCounts(pairs[order], table["count"].to_numpy().astype(np.float64)[order])
