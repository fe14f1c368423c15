"""The column `scores` of tables of pairs (a map from name to value) as one array for each score, and back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl.schema import SCORES_BY_NAME

#: A score of N pairs, (N,); NaN: a pair does not have it.
ScoreArray = npt.NDArray[np.float32]


def score_arrays(column: pa.Array | pa.ChunkedArray) -> dict[str, ScoreArray]:
    """Return the scores in a column by name, sorted."""
    maps = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if maps.null_count == len(maps):
        return {}
    offsets = np.asarray(maps.offsets)
    rows = np.repeat(np.arange(len(maps)), np.diff(offsets))
    keys, items = (side.slice(offsets[0], len(rows)) for side in (maps.keys, maps.items))
    names, values = keys.dictionary_encode(), np.asarray(items, np.float32)
    codes = np.asarray(names.indices)
    arrays = {}
    for code, name in sorted(enumerate(names.dictionary.to_pylist()), key=lambda item: item[1]):
        arrays[name] = np.full(len(maps), np.nan, np.float32)
        arrays[name][rows[codes == code]] = values[codes == code]
    return arrays


def score_column(arrays: Mapping[str, ScoreArray], rows: int) -> pa.Array:
    """Return the column of some scores of `rows` pairs; a pair's map has them in the order of `arrays`."""
    if not arrays:
        return pa.nulls(rows, SCORES_BY_NAME)
    table = np.stack(list(arrays.values()), axis=1)
    present = ~np.isnan(table)
    counts = present.sum(1)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    codes = np.broadcast_to(np.arange(len(arrays), dtype=np.int32), table.shape)[present]
    names = pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(list(arrays), pa.string())).cast(pa.string())
    has_none = pa.array(counts == 0)
    return pa.MapArray.from_arrays(pa.array(offsets), names, pa.array(table[present]), mask=has_none).cast(SCORES_BY_NAME)
