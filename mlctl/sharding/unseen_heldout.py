"""Held-out pairs that are in no training row or dev pair of another encoder either, so that both encoders can be evaluated on them."""

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

_IDENTITIES = ["source_identity", "target_identity"]

Integers = npt.NDArray[np.int64]


def write_unseen_heldout(
    sharded: Path, trained_on: Path, targets: Sequence[str], workspace: Workspace, folder: str
) -> dict[str, int]:
    """Write `<folder>/tokenizer/` and `<folder>/heldout/<t>.parquet`: held-out pairs of which no side was learned or chosen on elsewhere.

    Memory holds the held-out pairs, whatever the number of training rows.

    Args:
        sharded: shard result with the held-out pairs.
        trained_on: shard result with the training rows and dev pairs.
        targets: target languages.
        workspace: where the pairs are written.
        folder: folder of the workspace for them.

    Returns:
        The number of pairs of each language that were dropped.
    """
    tables = {target: pq.read_table(file) for target in targets if (file := sharded / "heldout" / f"{target}.parquet").exists()}
    heldout = np.unique(np.concatenate([_identities(table) for table in tables.values()] or [np.empty(0, np.int64)]))
    seen = _in_training(heldout, trained_on)
    if not workspace.has(f"{folder}/tokenizer"):
        with workspace.part(f"{folder}/tokenizer") as path:
            shutil.copytree(sharded / "tokenizer", path)
    dropped = {}
    for target, table in tables.items():
        is_seen = np.isin(np.stack([table[column].to_numpy() for column in _IDENTITIES]), seen).any(0)
        with workspace.part(f"{folder}/heldout/{target}.parquet") as path:
            pq.write_table(table.filter(pa.array(~is_seen)), path, compression="zstd")
        dropped[target] = int(np.count_nonzero(is_seen))
    return dropped


def _in_training(identities: Integers, trained_on: Path) -> Integers:
    """Return those of some identities that training rows or dev pairs have."""
    parts = (np.intersect1d(identities, _identities(rows)) for rows in _training_rows(trained_on))
    return np.unique(np.concatenate([np.empty(0, np.int64), *parts]))


def _training_rows(folder: Path) -> Iterator[pa.RecordBatch]:
    for name in ("train", "dev"):
        for file in sorted((folder / name).glob("*.parquet")):
            yield from batches(file, _IDENTITIES)


def _identities(rows: pa.Table | pa.RecordBatch) -> Integers:
    return np.concatenate([rows[column].to_numpy() for column in _IDENTITIES])
