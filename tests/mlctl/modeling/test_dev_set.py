"""Which pairs choices are made on: dev pairs where a shard result has some, training pairs otherwise."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl import schema
from mlctl.config import MAX_DEV_PAIRS
from mlctl.modeling.dev_set import WordSpans, read_dev_pairs, read_dev_set


def put(folder: Path, name: str, language: str, first: int, count: int, words: int = 1) -> None:
    """Write rows that are told apart by their first token, with word pairs."""
    texts = dict.fromkeys(("source_language", "source", "target", "corpus", "licence", "synthetic"), "x")
    spans = [{"source_start": n, "source_end": n + 1, "target_start": n + 2, "target_end": n + 3} for n in range(words)]
    rows = [
        {
            **texts,
            "target_language": language,
            "source_ids": [number],
            "target_ids": [-number],
            "word_pairs": spans,
            "source_identity": number,
            "target_identity": -number,
        }
        for number in range(first, first + count)
    ]
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema.SHARD), folder / name)


def test_dev_pairs_come_before_training_pairs(tmp_path: Path) -> None:
    put(tmp_path, "train/00000.parquet", "fr", 0, 5)
    put(tmp_path, "dev/fr.parquet", "fr", 100, 0)
    [pairs] = read_dev_pairs(tmp_path)
    assert [ids[0] for ids in pairs.source] == [0, 1, 2, 3, 4]
    assert read_dev_set(tmp_path) == []
    put(tmp_path, "dev/fr.parquet", "fr", 100, 3, words=2)
    [pairs] = read_dev_pairs(tmp_path)
    assert ([ids[0] for ids in pairs.source], [ids[0] for ids in pairs.target]) == ([100, 101, 102], [-100, -101, -102])
    assert pairs.identities.tolist() == [[100, -100], [101, -101], [102, -102]]
    assert pairs.words[:3] == [WordSpans(0, (0, 1), (2, 3)), WordSpans(0, (1, 2), (3, 4)), WordSpans(1, (0, 1), (2, 3))]


def test_languages_have_equal_shares_spread_over_their_pairs(tmp_path: Path) -> None:
    for language in ("de", "fr"):
        put(tmp_path, f"dev/{language}.parquet", language, 0, 2 * MAX_DEV_PAIRS, words=20)
    put(tmp_path, "dev/sw.parquet", "sw", 0, 1)
    pairs = read_dev_set(tmp_path)
    assert [item.language for item in pairs] == ["de", "fr"], "retrieval among one sentence has one answer"
    assert [ids[0] for ids in pairs[0].source] == list(range(0, 2 * MAX_DEV_PAIRS, 4))
    assert max(sum(word.row == row for word in pairs[1].words) for row in range(4)) == 8


@pytest.mark.parametrize("languages", [20, 300])
def test_many_languages_are_all_judged_and_some_are_searched(tmp_path: Path, languages: int) -> None:
    for number in range(languages):
        put(tmp_path, f"dev/l{number:03d}.parquet", f"l{number:03d}", 0, 30)
    assert {len(pairs.source) for pairs in read_dev_set(tmp_path)} == {max(MAX_DEV_PAIRS // languages, 2)}
    assert len(read_dev_set(tmp_path)) == languages
    assert len(read_dev_pairs(tmp_path)) == 8
