"""Files that steps write to the scratch folder, by the model that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlctl.core.workspace import Workspace


def mteb_file(model: str) -> str:
    """Return the file of a model's results by mteb in the scratch folder."""
    return f"mteb-{model}.json"


def token_file(model: str) -> str:
    """Return the name of a model's token states in the scratch folder."""
    return f"tokens-{model}.parquet"


def gradient_file(model: str) -> str:
    """Return the name of a model's gradients in the scratch folder."""
    return f"gradients-{model}.parquet"


def geometry_file(model: str) -> str:
    """Return the name of a model's geometry in the scratch folder."""
    return f"geometry-{model}.parquet"


def write_rows(workspace: Workspace, name: str, rows: Sequence[dict[str, Any]], columns: Any) -> None:
    """Write rows as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with workspace.part(name) as path:
        pq.write_table(pa.Table.from_pylist(rows, columns), path, compression="zstd")
