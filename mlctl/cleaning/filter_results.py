"""What was found out about each row of a part: its verdict, its clean text, and what tells it from the rows of other parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from mlctl import config
from mlctl.cleaning.duplicates import Digests, Mask, digests_of
from mlctl.cleaning.filters.base import Candidate
from mlctl.cleaning.minhash import BANDS, Numbers, Places, sketch
from mlctl.cleaning.repeats import number_blind
from mlctl.cleaning.row_filters import FilterDecision

#: One row for each row that came in. The numbers of a row that a rule drops are null.
JUDGED = pa.schema(
    [
        pa.field("rule", pa.string(), nullable=False),  # "": kept so far
        pa.field("paired", pa.bool_(), nullable=False),  # has both sides
        # The clean text where it is another than what came in; else null.
        pa.field("source", pa.string()),
        pa.field("target", pa.string()),
        # Digests: of what makes a row the same as another (both sides, or the one that is there), and of each side.
        pa.field("same", pa.uint64()),
        pa.field("same_source", pa.uint64()),
        pa.field("same_target", pa.uint64()),
        pa.field("repeated_source", pa.uint64()),  # numbers aside
        pa.field("repeated_target", pa.uint64()),
        # Of long pairs: what makes them near others.
        pa.field("sketch", pa.uint64()),
        pa.field("places", pa.binary(4 * BANDS)),
    ]
)


class _Sides(NamedTuple):
    """The clean text of a row's sides, and what makes them the same as others; None where a side is missing."""

    source: str | None
    target: str | None
    source_key: str | None
    target_key: str | None

    @classmethod
    def of(cls, pair: Candidate, forward: bool) -> _Sides:
        """Return the sides of a candidate; not `forward`: its text is of the target language."""
        text, other = pair.tidied.source, pair.tidied.target
        if not forward:
            return cls(None, text, None, pair.source_key)
        return cls(text, other, pair.source_key, None if other is None else pair.target_key)

    @property
    def key(self) -> str:
        """What makes a row the same as another: both sides, or the one that is there."""
        return f"{self.source_key or ''}\x00{self.target_key or ''}"


def judged(settings: config.Clean, rows: pa.RecordBatch, decisions: Sequence[FilterDecision]) -> pa.RecordBatch:
    """Return the rows of JUDGED for rows of PAIR and the verdicts on them."""
    kept = np.array([not verdict.rule for verdict in decisions], dtype=bool)
    has_source, has_target = (np.array(rows[name].is_valid(), dtype=bool) for name in ("source", "target"))
    paired = has_source & has_target
    given = zip(decisions, has_source.tolist(), strict=True)
    sides = [_Sides.of(verdict.pair, forward) for verdict, forward in given if verdict.pair]
    keys = [(side.source_key, side.target_key) for side in sides]
    pairs = [(source, target) for source, target in keys if source is not None and target is not None]
    columns = {
        "rule": pa.array([verdict.rule for verdict in decisions], pa.string()),
        "paired": pa.array(paired),
        "source": _changed(rows["source"].to_pylist(), (side.source for side in sides), kept),
        "target": _changed(rows["target"].to_pylist(), (side.target for side in sides), kept),
        "same": _spread(digests_of(side.key for side in sides), kept),
        "same_source": _spread(digests_of(source for source, _ in keys if source is not None), kept & has_source),
        "same_target": _spread(digests_of(target for _, target in keys if target is not None), kept & has_target),
        "repeated_source": _spread(number_blind(source for source, _ in pairs), kept & paired),
        "repeated_target": _spread(number_blind(target for _, target in pairs), kept & paired),
    }
    columns["sketch"], columns["places"] = _nearness(settings, decisions)
    return pa.record_batch(columns, schema=JUDGED)


def sketches(table: pa.Table) -> tuple[Numbers, Places]:
    """Return the sketches and places of those rows that have some."""
    places = b"".join(table["places"].drop_null().to_pylist())
    return numbers(table["sketch"].drop_null()), np.frombuffer(places, dtype="<u4").reshape(-1, BANDS)


def numbers(column: pa.ChunkedArray) -> Digests:
    """Return a column of numbers; 0 for null."""
    return np.asarray(column.fill_null(0).combine_chunks(), dtype=np.uint64)


def _nearness(settings: config.Clean, decisions: Sequence[FilterDecision]) -> tuple[pa.Array, pa.Array]:
    if settings.near_duplicates == "off":
        return pa.nulls(len(decisions), pa.uint64()), pa.nulls(len(decisions), JUDGED.field("places").type)
    side = _SIDES[settings.near_duplicates]
    texts = [side(verdict.pair) if verdict.pair and verdict.pair.target else "" for verdict in decisions]
    long = np.array([len(text) >= settings.near_duplicate_characters for text in texts], dtype=bool)
    sketched, places = sketch([text for text, judge in zip(texts, long, strict=True) if judge])
    each = iter(places.astype("<u4"))
    packed = [next(each).tobytes() if one else None for one in long]
    return _spread(sketched, long), pa.array(packed, JUDGED.field("places").type)


def _spread(values: Digests, where: Mask) -> pa.Array:
    """Return values at the rows where they belong, and null at all others."""
    whole = np.zeros(len(where), dtype=np.uint64)
    whole[where] = values
    return pa.array(whole, pa.uint64(), mask=~where)


def _changed(raw: Sequence[str | None], clean: Iterator[str | None], kept: Mask) -> pa.Array:
    """Return the clean texts of the rows that are kept, where they are not what came in."""
    texts = (next(clean) if one else None for one in kept)
    return pa.array([None if ours == theirs else theirs for ours, theirs in zip(raw, texts, strict=True)], pa.string())


def _both(pair: Candidate) -> str:
    return f"{pair.source_key}\x00{pair.target_key}"


_SIDES: dict[str, Callable[[Candidate], str]] = {
    "pair": _both,
    "source": lambda pair: pair.source_key,
    "target": lambda pair: pair.target_key,
}
