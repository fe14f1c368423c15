"""What a sampler has learned, at rest: in memory, in a folder, and as a table of word translations."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.alignment.counts import Rows
from mlctl.alignment.sampling import ALPHA
from mlctl.errors import InputError
from mlctl.schema import LEXICON

_LEAST = 0.1  # links of a pair of words, to be a translation
_WORDS = ("source.parquet", "target.parquet")
_SIDES = ("forward", "backward")
_ROWS = 1 << 17  # of the lexicon, written at a time


class Side(NamedTuple):
    """What one chain learned of one direction, V source words and W target words.

    Attributes:
        rows: links of each pair of words.
        totals: links of each source word (V,).
        nulls: times that each target word was linked to nothing (W,).
        fertile: times that each source word had each number of links (V, FERTILITIES).
        jumps: jumps by width (2 FARTHEST + 1,).
    """

    rows: Rows
    totals: npt.NDArray[np.float64]
    nulls: npt.NDArray[np.float32]
    fertile: npt.NDArray[np.float32]
    jumps: npt.NDArray[np.float64]


class Model(NamedTuple):
    """Both directions, as each of the chains has them, and the words of both languages by number."""

    source: pa.StringArray
    target: pa.StringArray
    forward: tuple[Side, ...]
    backward: tuple[Side, ...]


def write(model: Model, folder: Path) -> None:
    """Write a model into an empty folder, with `lexicon.parquet` (schema LEXICON): the same bytes for the same model."""
    for name, words in zip(_WORDS, (model.source, model.target), strict=True):
        pq.write_table(pa.table({"word": words}), folder / name, compression="zstd")
    for name, sides in zip(_SIDES, (model.forward, model.backward), strict=True):
        for number, side in enumerate(sides):
            np.savez_compressed(folder / f"{name}-{number}.npz", **_flat_arrays(side))
    _write_lexicon(model, folder / "lexicon.parquet")


def _flat_arrays(side: Side) -> dict[str, Any]:
    return {**side.rows._asdict(), **{name: value for name, value in side._asdict().items() if name != "rows"}}


def read(folder: Path) -> Model:
    """Read what `write` wrote.

    Raises:
        InputError: the folder has no model, or a damaged one.
    """
    try:
        source, target = (pq.read_table(folder / name)["word"].combine_chunks() for name in _WORDS)
        forward, backward = (tuple(_side(file) for file in _numbered(folder, name)) for name in _SIDES)
    except (OSError, KeyError, ValueError, pa.ArrowInvalid, zipfile.BadZipFile) as error:
        raise InputError(
            f"{folder}: no alignment model that can be read ({error})", "remove the folder and align again"
        ) from error
    return Model(source, target, forward, backward)


def _numbered(folder: Path, name: str) -> list[Path]:
    files = sorted(folder.glob(f"{name}-*.npz"), key=lambda file: int(file.stem.rpartition("-")[2]))
    if not files:
        raise FileNotFoundError(f"{name}-0.npz is missing")
    return files


def _side(file: Path) -> Side:
    with np.load(file) as arrays:
        rows = Rows(*(arrays[name] for name in Rows._fields))
        return Side(rows, *(arrays[name] for name in Side._fields if name != "rows"))


def _write_lexicon(model: Model, file: Path) -> None:
    pairs, forward, backward = _joined(model)
    totals = [np.mean([side.totals for side in sides], axis=0) for sides in (model.forward, model.backward)]
    with pq.ParquetWriter(file, LEXICON, compression="zstd") as writer:
        for first in range(0, len(pairs), _ROWS):
            part = slice(first, first + _ROWS)
            source, target = pairs[part] // len(model.target), pairs[part] % len(model.target)
            there = (forward[part] + ALPHA) / (totals[0][source] + ALPHA * len(model.target))
            back = (backward[part] + ALPHA) / (totals[1][target] + ALPHA * len(model.source))
            columns = [model.source.take(pa.array(source)), model.target.take(pa.array(target))]
            columns += [pa.array(values.astype(np.float32)) for values in (there, back, (forward[part] + backward[part]) / 2)]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=LEXICON))


def _joined(model: Model) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the pairs of words with a link (source · W + target), sorted, and their links in both directions."""
    width = len(model.target)
    forward = [(source * width + target, count) for source, target, count in map(_flat, model.forward)]
    backward = [(source * width + target, count) for target, source, count in map(_flat, model.backward)]
    pairs = np.unique(np.concatenate([keys for keys, _ in (*forward, *backward)]))
    sums = np.zeros((2, len(pairs)))
    for total, sides in zip(sums, (forward, backward), strict=True):
        for keys, counts in sides:
            total[np.searchsorted(pairs, keys)] += counts / len(sides)
    kept = sums.sum(0) >= 2 * _LEAST
    return pairs[kept], sums[0, kept], sums[1, kept]


def _flat(side: Side) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    rows = side.rows
    return np.repeat(np.arange(len(rows.offsets) - 1), np.diff(rows.offsets)), rows.keys.astype(np.int64), rows.counts
