"""Cleans a table of pairs: the stage on a temporary folder, for pairs that are in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import config
from mlctl.cleaning.stage import clean_languages
from mlctl.core.workspace import Workspace
from mlctl.schema import PAIR, REJECTED


def clean_table(
    settings: config.Clean, languages: config.Languages, rows: pa.Table, encoders: Mapping[str, Path] | None = None
) -> pa.Table:
    """Return each row with its clean text, or with its own text and the rule that drops it (`rule`; "": none), in the same order.

    Args:
        settings: the rules' thresholds.
        languages: the source language and one target.
        rows: of `schema.PAIR`; their `origin` is not read.
        encoders: by the name of a score of kind `encoder`, the folder of its encoder.

    Returns:
        A table of `schema.REJECTED`, with as many rows.

    Raises:
        InputError: a scorer failed, or a signal ended a process.
    """
    [target] = languages.targets
    numbers = pa.array([f"{row:012}" for row in range(rows.num_rows)], pa.string())  # found again by it, and sorted
    numbered = rows.set_column(PAIR.get_field_index("origin"), PAIR.field("origin"), numbers)
    with tempfile.TemporaryDirectory(prefix="mlctl-clean-") as name:
        folder = Path(name)
        file = folder / "given" / "pairs" / target / "pairs.parquet"
        file.parent.mkdir(parents=True)
        pq.write_table(numbered, file)
        workspace = Workspace(folder / "clean")
        clean_languages(settings, languages, folder / "given", workspace, encoders=encoders)
        tables = [_read(workspace, kind, target) for kind in ("pairs", "untranslated", "rejected")]
    cleaned = pa.concat_tables(tables).sort_by("origin")
    return cleaned.set_column(REJECTED.get_field_index("origin"), REJECTED.field("origin"), rows["origin"])


def _read(workspace: Workspace, kind: str, target: str) -> pa.Table:
    """Return a table of the result as rows of `schema.REJECTED`; without a rule, where it has none."""
    path = workspace.path(f"{kind}/{target}.parquet")
    table = pq.read_table(path) if path.exists() else REJECTED.empty_table()
    if "rule" in table.column_names:
        return table.cast(REJECTED)
    return table.append_column(REJECTED.field("rule"), pa.repeat("", table.num_rows)).cast(REJECTED)
