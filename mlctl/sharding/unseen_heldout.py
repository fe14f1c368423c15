"""Held-out pairs that an encoder trained on other shards has not learned either, so that both can be judged by them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.core.arrow import batches
from mlctl.core.workspace import Workspace

_SIDES = ["source_identity", "target_identity"]

Integers = npt.NDArray[np.int64]


def unseen(sharded: Path, trained_on: Path, targets: Sequence[str], workspace: Workspace) -> dict[str, int]:
    """Write `tokenizer/` and `heldout/<t>.parquet` with the held-out pairs of which no side stands in other training rows.

    Memory holds the held-out pairs, whatever there was to train on.

    Args:
        sharded: shard result whose held-out pairs are taken.
        trained_on: shard result with the training rows.
        targets: target languages.
        workspace: where the pairs are written.

    Returns:
        How many pairs of each language were left out.
    """
    tables = {target: pq.read_table(file) for target in targets if (file := sharded / "heldout" / f"{target}.parquet").exists()}
    wanted = np.unique(np.concatenate([_identities(table) for table in tables.values()] or [np.empty(0, np.int64)]))
    seen = _found(wanted, trained_on)
    if not workspace.has("tokenizer"):
        with workspace.part("tokenizer") as folder:
            shutil.copytree(sharded / "tokenizer", folder)
    left = {}
    for target, table in tables.items():
        known = np.isin(np.stack([table[side].to_numpy() for side in _SIDES]), seen).any(0)
        with workspace.part(f"heldout/{target}.parquet") as path:
            pq.write_table(table.filter(pa.array(~known)), path, compression="zstd")
        left[target] = int(np.count_nonzero(known))
    return left


def _found(wanted: Integers, trained_on: Path) -> Integers:
    """Return those of some identities that training rows have."""
    found = [np.empty(0, np.int64), *(np.intersect1d(wanted, _identities(rows)) for rows in _training_rows(trained_on))]
    return np.unique(np.concatenate(found))


def _training_rows(folder: Path) -> Iterator[pa.RecordBatch]:
    for file in sorted((folder / "train").glob("*.parquet")):
        yield from batches(file, _SIDES)


def _identities(rows: pa.Table | pa.RecordBatch) -> Integers:
    return np.concatenate([rows[side].to_numpy() for side in _SIDES])
