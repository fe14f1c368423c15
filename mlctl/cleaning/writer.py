"""Writes the tables of a language (pairs, text without translation, rejected rows) and the funnel of the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl.cleaning.duplicates import Mask
from mlctl.cleaning.score_filter import ScoreFilter
from mlctl.core.arrow import batches, row_count
from mlctl.core.score_columns import ScoreArray, score_arrays, score_column
from mlctl.core.workspace import Workspace
from mlctl.schema import FUNNEL, PAIR, REJECTED


@dataclass(frozen=True)
class Funnel:
    """Row counts of one language: downloaded rows, rows that each rule dropped (in order of the rules), rows that are left."""

    language: str
    rows_in: int
    dropped: dict[str, int]
    pairs: int
    untranslated: int

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the schema FUNNEL, one per rule."""
        rows, rows_in = [], self.rows_in
        for rule, dropped in self.dropped.items():
            rows.append(
                {"stage": "clean", "language": self.language, "rule": rule, "rows_in": rows_in, "rows_out": rows_in - dropped}
            )
            rows_in -= dropped
        return rows


class TableWriters:
    """Writers of one language's tables. `pairs/<language>.parquet` is committed last: when it exists, the others are complete."""

    def __init__(self, workspace: Workspace, language: str) -> None:
        self._workspace = workspace
        self._language = language
        self._stack = ExitStack()
        self._writers: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> Self:
        self._workspace.discard(f"untranslated/{self._language}.parquet")
        self._open("pairs", PAIR)
        self._open("rejected", REJECTED)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(
        self,
        rows: pa.Table,
        results: pa.Table,
        rules: npt.NDArray[Any],
        scores: Mapping[str, ScoreArray],
        score_filter: ScoreFilter,
    ) -> None:
        """Write the rows of a part: accepted ones with their clean text, dropped ones with their downloaded text and the rule.

        Args:
            rows: downloaded rows (PAIR), N of them.
            results: the row filters' results (FILTER_RESULT), N rows.
            rules: the rule that drops each row (N,), of those that look at its text; "": none.
            scores: the scores of the pairs that these rules keep, by name, (N,) each.
            score_filter: drops pairs by their scores.
        """
        rows = _with_scores(rows, scores)
        clean = _with_clean_text(rows, results)
        for rule, dropped in score_filter.apply(scores, clean["source"], clean["target"]).items():
            rules[dropped & (rules == "")] = rule
        accepted, paired = rules == "", np.asarray(results["paired"])
        self._write("pairs", clean, accepted & paired)
        self._write("untranslated", clean, accepted & ~paired)
        self._write("rejected", rows.append_column(REJECTED.field("rule"), pa.array(rules, pa.string())), ~accepted)

    def write_statistics(self, score_filter: ScoreFilter) -> None:
        """Write the distribution of the scores and the examples at their cuts."""
        for kind, table in (("scores", score_filter.histogram()), ("score_examples", score_filter.examples())):
            with self._workspace.part(f"{kind}/{self._language}.parquet") as path:
                pq.write_table(table, path, compression="zstd")

    def _write(self, kind: str, rows: pa.Table, mask: Mask) -> None:
        if mask.any():
            self._open(kind, rows.schema).write_table(rows.filter(pa.array(mask)))

    def _open(self, kind: str, schema: pa.Schema) -> pq.ParquetWriter:
        if kind not in self._writers:
            path = self._stack.enter_context(self._workspace.part(f"{kind}/{self._language}.parquet"))
            self._writers[kind] = self._stack.enter_context(pq.ParquetWriter(path, schema, compression="zstd"))
        return self._writers[kind]


def read_funnel(workspace: Workspace, language: str, rules: Iterable[str]) -> Funnel:
    """Return the funnel of a finished language, counted from its tables."""
    dropped: Counter[str] = Counter()
    for batch in batches(workspace.path(f"rejected/{language}.parquet"), ["rule"]):
        dropped.update({row["values"]: row["counts"] for row in batch["rule"].value_counts().to_pylist()})
    pairs = _count_rows(workspace.path(f"pairs/{language}.parquet"))
    untranslated = _count_rows(workspace.path(f"untranslated/{language}.parquet"))
    dropped_in_order = {rule: dropped[rule] for rule in rules}
    return Funnel(language, pairs + untranslated + dropped.total(), dropped_in_order, pairs, untranslated)


def write_funnel(funnels: Sequence[Funnel], workspace: Workspace) -> None:
    """Write `funnel.parquet`."""
    rows = [row for funnel in funnels for row in funnel.rows()]
    with workspace.part("funnel.parquet") as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=FUNNEL), path, compression="zstd")


def _with_scores(rows: pa.Table, scores: Mapping[str, ScoreArray]) -> pa.Table:
    """Return rows with further scores; one of `clean.scores` takes the place of a corpus's score of the same name."""
    if not scores:
        return rows
    new = {name: values for name, values in scores.items() if not np.isnan(values).all()}
    own = score_arrays(rows["scores"])
    merged = {**own, **{name: np.where(np.isnan(values), own.get(name, values), values) for name, values in new.items()}}
    index = rows.schema.get_field_index("scores")
    return rows.set_column(index, rows.schema.field(index), score_column(merged, rows.num_rows))


def _with_clean_text(rows: pa.Table, results: pa.Table) -> pa.Table:
    """Return rows with their clean text; `results` has it where it differs from the downloaded text."""
    text = {name: pc.coalesce(results[name], rows[name]) for name in ("source", "target")}
    return pa.table([text.get(name, rows[name]) for name in PAIR.names], schema=PAIR)


def _count_rows(path: Path) -> int:
    return row_count(path) if path.exists() else 0
