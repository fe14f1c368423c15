from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlctl import config, schema
from mlctl.config import Languages, Model, ScratchModel, Shard
from mlctl.core.random import splitmix64
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.sharding import shard
from mlctl.sharding.synthetic_cap import SyntheticCap
from mlctl.sharding.word_frequency_cap import WordFrequencyCap

MODEL = Model(scratch=ScratchModel(vocabulary=300))
SETTINGS = Shard(rows_per_shard=40, heldout_pairs=10, dev_pairs=0, heldout_min_words=3, stop_words=0)
HUMAN, MACHINE = 120, 400


def pair(number: int, language: str, synthetic: str) -> dict[str, Any]:
    draw = random.Random(number)
    source = ["".join(draw.choices("bdfgklmnrst", k=5)) for _ in range(4)]
    target = [word[::-1] for word in source]
    spans = [{"start": 6 * index, "end": 6 * index + 5} for index in range(4)]
    return {
        "source_language": "en",
        "target_language": language,
        "source": " ".join(source),
        "target": " ".join(target),
        "corpus": "made",
        "version": "1",
        "licence": "CC0-1.0",
        "origin": f"x:{number}",
        "synthetic": synthetic,
        "source_words": spans,
        "target_words": spans,
        "links": [{"source": index, "target": index} for index in range(4)],
        "confidences": [1.0] * 4,
    }


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """French of people and machines, German of people, Spanish of machines alone."""
    folder = tmp_path_factory.mktemp("aligned") / "pairs"
    folder.mkdir()
    ways = ["target", "source"]
    rows = {
        "fr": [pair(n, "fr", "" if n < HUMAN else ways[n % 2]) for n in range(HUMAN + MACHINE)],
        "de": [pair(n, "de", "") for n in range(1000, 1000 + HUMAN)],
        "es": [pair(n, "es", "target") for n in range(2000, 2000 + HUMAN)],
    }
    for language, pairs in rows.items():
        random.Random(0).shuffle(pairs)
        pq.write_table(pa.Table.from_pylist(pairs, schema=schema.ALIGNED), folder / f"{language}.parquet")
    return folder.parent


def made(aligned: Path, root: Path, most: float | None, seed: int = 0) -> tuple[dict[str, Any], list[pa.Table]]:
    root.mkdir()
    settings = SETTINGS.model_copy(update={"max_synthetic": most})
    metrics = shard(settings, MODEL, Languages(targets=("fr", "de", "es")), seed, aligned, Workspace(root))
    return metrics, [pq.read_table(file) for file in sorted((root / "train").glob("*.parquet"))]


def machine(tables: list[pa.Table], language: str = "fr") -> set[str]:
    rows = pa.concat_tables(tables).to_pylist()
    return {row["source"] for row in rows if row["synthetic"] and row["target_language"] == language}


def test_no_more_synthetic_rows_than_the_recipe_says(aligned: Path, tmp_path: Path) -> None:
    metrics, tables = made(aligned, tmp_path / "half", 0.5)
    human = HUMAN - 10
    assert len(machine(tables)) == human // 2
    assert (metrics["fr.rows"], metrics["de.rows"], metrics["es.rows"]) == (human + human // 2, human, 0)
    assert metrics["rows"] == sum(table.num_rows for table in tables)
    assert metrics["word_pairs"] == sum(len(row["word_pairs"]) for row in pa.concat_tables(tables).to_pylist())
    assert metrics["shards"] == len(tables)
    funnel = [row for row in pq.read_table(tmp_path / "half" / "funnel.parquet").to_pylist() if row["rule"] == "synthetic cap"]
    assert {row["language"]: row["rows_in"] - row["rows_out"] for row in funnel} == {
        "fr": MACHINE - human // 2,
        "de": 0,
        "es": HUMAN,
    }
    assert {row["language"]: row["rows_out"] for row in funnel} == {code: metrics[f"{code}.rows"] for code in ("fr", "de", "es")}


def test_without_a_cap_everything_is_trained_on(aligned: Path, tmp_path: Path) -> None:
    _, tables = made(aligned, tmp_path / "all", None)
    assert (len(machine(tables)), len(machine(tables, "es"))) == (MACHINE, HUMAN)
    assert "synthetic cap" not in pq.read_table(tmp_path / "all" / "funnel.parquet")["rule"].to_pylist()
    assert len(machine(made(aligned, tmp_path / "generous", 100.0)[1])) == MACHINE
    assert not machine(made(aligned, tmp_path / "none", 0.0)[1])


def test_the_draw_differs_by_seed_and_by_nothing_else(aligned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made(aligned, tmp_path / "first", 1.0)[1]
    assert machine(first) != machine(made(aligned, tmp_path / "seed", 1.0, seed=1)[1])
    assert machine(first) < machine(made(aligned, tmp_path / "more", 2.0)[1])
    monkeypatch.setattr("mlctl.sharding.stage.RUN_PAIRS", 37)
    assert made(aligned, tmp_path / "runs", 1.0)[1] == first
    shares = [np.mean([bool(row) for row in table["synthetic"].to_pylist()]) for table in first]
    assert max(shares) - min(shares) < 0.5  # spread over the shards, not the first ones' alone


def test_rows_of_one_text_go_together_and_never_above_the_cap() -> None:
    keys = pa.array([1, 2, 3, 7, 7, 7, 8], pa.uint64())
    table = pa.table({"key": keys, "synthetic": ["", "", "", "target", "target", "target", "source"]})
    for most in (0.0, 0.4, 1.0, 2.0):
        kept = SyntheticCap.fit([table.slice(0, 4), table.slice(4)], most).keeps(table)
        assert kept[:3].all()
        assert kept[3:].sum() <= 3 * most
        assert len(set(kept[3:6])) == 1


@pytest.mark.parametrize("cap", [1, 2, 5, 29])
def test_a_word_keeps_as_many_word_pairs_as_the_cap_allows(cap: int) -> None:
    """Word 7 has 30 word pairs, one a row; words 1 to 30 have one each."""
    words = pa.array([[7, number] if number != 7 else [7] for number in range(1, 31)], pa.list_(pa.uint64()))
    table = pa.table({"key": pa.array(range(100, 130), pa.uint64()), "word_pairs": words, "word_pair_words": words})
    capped = WordFrequencyCap.fit(lambda: iter([table.slice(0, 11), table.slice(11)]), cap)(table)
    counts = Counter(word for row in capped["word_pair_words"].to_pylist() for word in row)
    assert counts.pop(7) == cap
    assert set(counts.values()) == {1}
    assert len(counts) == 29


def test_a_cap_that_leaves_nothing_is_told_and_so_is_a_wrong_one(aligned: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"max_synthetic": 1.0})
    with pytest.raises(InputError, match="es, synthetic cap: 120 → 0"):
        shard(settings, MODEL, Languages(targets=("es",)), 0, aligned, Workspace(tmp_path))
    with pytest.raises(InputError, match=r"shard\.max_synthetic"):
        config.parse({"shard": {"max_synthetic": -1}})
    assert config.parse({"shard": {"max_synthetic": None}}).shard.max_synthetic is None


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 40), st.integers(1, 4))
@settings(max_examples=60)
def test_the_bound_of_each_word_is_that_of_all_its_draws_sorted(seed: int, words: int, most: int, parts: int) -> None:
    draw = np.random.default_rng(seed)
    names = draw.integers(0, 2**64, words, dtype=np.uint64)
    tables = []
    for _ in range(parts):
        lengths = draw.integers(0, 4, 100)
        chosen = names[np.minimum(draw.geometric(0.3, lengths.sum()) - 1, words - 1)]
        lists = pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32()), pa.array(chosen))
        keys = draw.integers(0, 2**64, 90, dtype=np.uint64)
        tables.append(pa.table({"key": pa.array(np.append(keys, keys[:10])), "word_pair_words": lists}))
    cap = WordFrequencyCap.fit(lambda: iter(tables), most)
    columns = [(table["key"].to_numpy(), table["word_pair_words"].to_pylist()) for table in tables]
    pairs = [
        (word, splitmix64(key ^ np.uint64(word)))
        for keys, rows in columns
        for key, row in zip(keys, rows, strict=True)
        for word in row
    ]
    counts = Counter(word for word, _ in pairs)
    assert cap.words.tolist() == sorted(word for word, count in counts.items() if count > most)
    for word, below in zip(cap.words.tolist(), cap.below.tolist(), strict=True):
        draws = sorted(int(value) for name, value in pairs if name == word)
        kept = sum(value < below for value in draws)
        assert kept <= most
        assert kept == sum(value < draws[most] for value in draws) or below <= draws[most], "equal draws go together"
