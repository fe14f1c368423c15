"""Arrow tables and rows as pandas data frames."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mlctl import schema
from mlctl.core.distribution import install_extras
from mlctl.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

#: Columns of `Results.scores`.
SCORES = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("task", "language", "direction", "metric")),
        pa.field("items", pa.int64()),
        *(pa.field(name, pa.float64()) for name in ("base", "base_same_pooling", "trained")),
    ]
)

#: Columns of `Results.funnel`.
FUNNEL = schema.FUNNEL.append(pa.field("dropped", pa.int64()))

#: Columns of `Results.curves`.
CURVES = pa.schema(
    [
        pa.field("curve", pa.string()),
        pa.field("step", pa.int64()),
        *(pa.field(name, pa.float64()) for name in ("mean", "low", "high")),
    ]
)

#: Columns of `Results.stages`.
STAGES = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("stage", "key", "created")),
        pa.field("seconds", pa.float64()),
        pa.field("bytes", pa.int64()),
    ]
)

#: Columns of `Comparison.runs`.
RUNS = pa.schema([pa.field(name, pa.string()) for name in ("run", "recipe", "name", "report")])

#: Column of each table of a `Comparison`: the letter of the run.
RUN = pa.field("run", pa.string())


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as a data frame.

    Raises:
        InputError: pandas is not installed.
    """
    require_pandas()
    frame: pd.DataFrame = table.to_pandas()
    return frame


def rows_to_frame(rows: Iterable[Mapping[str, Any]], columns: pa.Schema | None = None) -> pd.DataFrame:
    """Return rows as a data frame with these columns; without any, the columns and types are those of the rows.

    Raises:
        InputError: pandas is not installed.
    """
    return to_frame(pa.Table.from_pylist(list(rows), schema=columns))


def require_pandas() -> None:
    """Raise an InputError unless pandas is installed: to be called before anything takes long."""
    if importlib.util.find_spec("pandas") is None:
        raise InputError("data frames need pandas, which is not installed", f"run `{install_extras('notebook')}`")
