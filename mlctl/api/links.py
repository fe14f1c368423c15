"""The links of aligned pairs, one row a link."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

#: Columns of `mlctl.align` and `Results.links`.
LINKS = pa.schema(
    [
        pa.field("pair", pa.int64()),
        pa.field("source_index", pa.int32()),
        pa.field("target_index", pa.int32()),
        pa.field("source_word", pa.string()),
        pa.field("target_word", pa.string()),
        pa.field("confidence", pa.float32()),
    ]
)


def link_table(aligned: Iterable[tuple[int, dict[str, Any]]]) -> pa.Table:
    """Return the links of pairs, a row a link: `LINKS`, in the order of the pairs and of the links in each.

    Args:
        aligned: number and row of `schema.ALIGNED` of each pair.
    """
    rows = [row for number, pair in aligned for row in _rows(number, pair)]
    return pa.Table.from_pylist(rows, schema=LINKS)


def _rows(number: int, pair: dict[str, Any]) -> list[dict[str, Any]]:
    words = {side: [pair[side][span["start"] : span["end"]] for span in pair[f"{side}_words"]] for side in ("source", "target")}
    return [
        {
            "pair": number,
            "source_index": link["source"],
            "target_index": link["target"],
            "source_word": words["source"][link["source"]],
            "target_word": words["target"][link["target"]],
            "confidence": confidence,
        }
        for link, confidence in zip(pair["links"], pair["confidences"], strict=True)
    ]
