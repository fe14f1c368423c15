"""The rows of one part, translated in one or both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from mlctl import schema
from mlctl.core.arrow import batches
from mlctl.translation import output_checks
from mlctl.translation.backend import Translation

#: Translates texts from one language (BCP 47) into another: `TranslationBackend.translate`.
TranslateFunction = Callable[[Sequence[str], str, str], list[Translation]]

_BATCH_ROWS = 10_000


@dataclass(frozen=True)
class Direction:
    """One direction of translation.

    Attributes:
        source: language of the texts (BCP 47).
        target: language of the translations (BCP 47).
        text_column: the column of PAIR that has the texts.
        translation_column: the column of PAIR that is missing.
    """

    source: str
    target: str
    text_column: str
    translation_column: str

    @property
    def name(self) -> str:
        """The direction in tables and logs: en→fr."""
        return f"{self.source}→{self.target}"

    def texts(self, file: Path) -> Iterator[str]:
        """Yield the texts of a file that are translated in this direction."""
        for batch in batches(file, ["source", "target"], _BATCH_ROWS):
            yield from self.texts_of(batch)

    def texts_of(self, rows: pa.RecordBatch | pa.Table) -> list[str]:
        """Return the texts of rows that are translated in this direction."""
        texts: list[str] = rows.filter(rows[self.translation_column].is_null())[self.text_column].to_pylist()
        return texts

    def count(self, file: Path) -> int:
        """Return how many texts of a file are translated in this direction."""
        return int(ds.dataset(file).count_rows(filter=ds.field(self.translation_column).is_null()))


def directions(source: str, target: str) -> tuple[Direction, Direction]:
    """Return the forward direction, and the backward one for human text of the target language."""
    return Direction(source, target, "source", "target"), Direction(target, source, "target", "source")


def translate_rows(rows: pa.RecordBatch, functions: Mapping[Direction, TranslateFunction]) -> tuple[pa.Table, pa.Table]:
    """Return the pairs (PAIR) that the translation of rows makes, and the rejected rows (REJECTED), both in the order of the rows."""
    results = [_translate_direction(rows, direction, function) for direction, function in functions.items()]
    order = pa.concat_arrays([indices for indices, _ in results])
    table = pa.concat_tables([translated for _, translated in results]).take(pc.sort_indices(order))
    pairs = table.filter(pc.equal(table["rule"], "")).select(schema.PAIR.names)
    return pairs.cast(schema.PAIR), table.filter(pc.not_equal(table["rule"], ""))


def _translate_direction(rows: pa.RecordBatch, direction: Direction, function: TranslateFunction) -> tuple[pa.Array, pa.Table]:
    """Translate rows in one direction; return their indices, and the rows (REJECTED) with a translation, a rule or, if the output is
    rejected, both.
    """
    mask = rows[direction.translation_column].is_null()
    selected = rows.filter(mask)
    texts = selected[direction.text_column].to_pylist()
    translations = function(texts, direction.source, direction.target) if texts else []
    outputs = output_checks.check_outputs(texts, translations, direction.source, direction.target)
    columns = {name: selected[name] for name in schema.PAIR.names}
    columns[direction.translation_column] = pa.array([output.text or None for output in outputs], pa.string())
    columns["synthetic"] = _synthetic(outputs, direction.translation_column, selected["synthetic"].to_pylist())
    columns["rule"] = pa.array([output.rule for output in outputs], pa.string())
    table = pa.Table.from_arrays([columns[name] for name in schema.REJECTED.names], schema=schema.REJECTED)
    return pc.indices_nonzero(mask), table


def _synthetic(outputs: Sequence[Translation], column: str, before: Sequence[str]) -> pa.Array:
    """Return the column `synthetic`: the machine-translated side; unchanged for a row without output."""
    return pa.array([column if output.text else old for output, old in zip(outputs, before, strict=True)], pa.string())
