"""Held-out pairs that an earlier encoder had learned are not asked."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.core.workspace import Workspace
from mlctl.sharding.unseen_heldout import write_unseen_heldout


def rows(*identities: tuple[int, int]) -> pa.Table:
    texts = dict.fromkeys(("source_language", "target_language", "source", "target", "corpus", "licence", "synthetic"), "x")
    values = [
        {**texts, "source_ids": [1], "target_ids": [1], "word_pairs": [], "source_identity": one, "target_identity": other}
        for one, other in identities
    ]
    return pa.Table.from_pylist(values, schema.SHARD)


def test_pairs_with_a_side_among_the_training_rows_or_dev_pairs_are_left_out(tmp_path: Path) -> None:
    for part in ("new/heldout", "new/tokenizer", "old/train", "old/dev"):
        (tmp_path / part).mkdir(parents=True)
    (tmp_path / "new" / "tokenizer" / "tokenizer.json").write_text("{}")
    pq.write_table(rows((1, 2), (3, 4), (5, 6), (-7, 8)), tmp_path / "new" / "heldout" / "fr.parquet")
    pq.write_table(rows((9, 9), (10, 10)), tmp_path / "new" / "heldout" / "de.parquet")
    pq.write_table(rows((100, 4), (101, 102)), tmp_path / "old" / "train" / "00000.parquet")
    pq.write_table(rows((-7, 103)), tmp_path / "old" / "train" / "00001.parquet")
    pq.write_table(rows((104, 9)), tmp_path / "old" / "dev" / "de.parquet")
    left = write_unseen_heldout(tmp_path / "new", tmp_path / "old", ("fr", "de", "es"), Workspace(tmp_path), "made")
    assert left == {"fr": 2, "de": 1}
    kept = pq.read_table(tmp_path / "made" / "heldout" / "fr.parquet")
    assert kept["source_identity"].to_pylist() == [1, 5]
    assert kept.schema.equals(schema.SHARD)
    assert pq.read_table(tmp_path / "made" / "heldout" / "de.parquet")["source_identity"].to_pylist() == [10]
    assert (tmp_path / "made" / "tokenizer" / "tokenizer.json").exists()
