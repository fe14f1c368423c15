"""The three tables of a language: pairs, text without translation, rejected rows. And the funnel over all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl.cleaning.duplicates import Mask
from mlctl.core.arrow import batches, row_count
from mlctl.core.files import discard
from mlctl.core.workspace import Workspace
from mlctl.schema import FUNNEL, PAIR, REJECTED


@dataclass(frozen=True)
class Funnel:
    """What became of the rows of one language: rows that came in, rows that each rule dropped (in order), rows that are left."""

    language: str
    rows_in: int
    dropped: dict[str, int]
    pairs: int
    untranslated: int

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the schema FUNNEL, one a rule."""
        rows, left = [], self.rows_in
        for rule, dropped in self.dropped.items():
            rows.append({"stage": "clean", "language": self.language, "rule": rule, "rows_in": left, "rows_out": left - dropped})
            left -= dropped
        return rows


class Outputs:
    """Writers of one language's tables. `pairs/<language>.parquet` is finished last: where it is, the others are whole."""

    def __init__(self, workspace: Workspace, language: str) -> None:
        self._workspace = workspace
        self._language = language
        self._stack = ExitStack()
        self._writers: dict[str, pq.ParquetWriter] = {}

    def __enter__(self) -> Self:
        discard(self._workspace.path(f"untranslated/{self._language}.parquet"))
        self._open("pairs", PAIR)
        self._open("rejected", REJECTED)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, rows: pa.Table, judged: pa.Table, compared: Mapping[str, Mask]) -> None:
        """Write the rows of a part: kept ones in their clean form, dropped ones as they came, with the rule.

        `judged` (FILTER_RESULT) has the verdicts on each row by itself, `compared` those that other rows are the reason for.
        """
        rules = np.array(judged["rule"].to_pylist(), dtype=object)
        for rule, dropped in compared.items():
            rules[dropped] = rule
        kept, paired = rules == "", np.asarray(judged["paired"])
        clean = _with_text(rows, judged)
        self._write("pairs", clean, kept & paired)
        self._write("untranslated", clean, kept & ~paired)
        self._write("rejected", rows.append_column(REJECTED.field("rule"), pa.array(rules, pa.string())), ~kept)

    def _write(self, kind: str, rows: pa.Table, wanted: Mask) -> None:
        if wanted.any():
            self._open(kind, rows.schema).write_table(rows.filter(pa.array(wanted)))

    def _open(self, kind: str, schema: pa.Schema) -> pq.ParquetWriter:
        if kind not in self._writers:
            path = self._stack.enter_context(self._workspace.part(f"{kind}/{self._language}.parquet"))
            self._writers[kind] = self._stack.enter_context(pq.ParquetWriter(path, schema, compression="zstd"))
        return self._writers[kind]


def funnel_of(workspace: Workspace, language: str, rules: Iterable[str]) -> Funnel:
    """Return the funnel of a finished language, counted from its tables."""
    dropped: Counter[str] = Counter()
    for batch in batches(workspace.path(f"rejected/{language}.parquet"), ["rule"]):
        dropped.update({row["values"]: row["counts"] for row in batch["rule"].value_counts().to_pylist()})
    pairs = _count(workspace.path(f"pairs/{language}.parquet"))
    untranslated = _count(workspace.path(f"untranslated/{language}.parquet"))
    in_order = {rule: dropped[rule] for rule in rules}
    return Funnel(language, pairs + untranslated + dropped.total(), in_order, pairs, untranslated)


def write_funnel(funnels: Sequence[Funnel], workspace: Workspace) -> None:
    """Write `funnel.parquet`."""
    rows = [row for funnel in funnels for row in funnel.rows()]
    with workspace.part("funnel.parquet") as path:
        pq.write_table(pa.Table.from_pylist(rows, schema=FUNNEL), path, compression="zstd")


def _with_text(rows: pa.Table, judged: pa.Table) -> pa.Table:
    """Return rows with their clean text, which `judged` has where it is another."""
    text = {name: pc.coalesce(judged[name], rows[name]) for name in ("source", "target")}
    return pa.table([text.get(name, rows[name]) for name in PAIR.names], schema=PAIR)


def _count(path: Path) -> int:
    return row_count(path) if path.exists() else 0
