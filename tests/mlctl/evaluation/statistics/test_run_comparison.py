"""Comparison of two runs: equal to evaluating them as base and trained, and only on the same items."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl import schema
from mlctl.config import Languages, Model
from mlctl.core.workspace import Workspace
from mlctl.evaluation import evaluate
from mlctl.evaluation.statistics.model_comparison import difference_rows
from mlctl.evaluation.statistics.run_comparison import _benchmark, compare_runs, protocol_digests

from ..conftest import entry, save_encoder, save_tokenizer, sentences, settings

Rows = list[dict[str, Any]]
LANGUAGES = Languages(targets=("fr", "de"))
DIGESTS = {"tatoeba.fr": "one", "tatoeba.de": "two"}


def evaluated(root: Path, sharded: Path, seed: int) -> Path:
    """Evaluate a model of that seed against one that is constant."""
    save_encoder(root / f"trained{seed}" / "base", seed=0, constant=True)
    save_encoder(root / f"trained{seed}" / "model", seed=seed)
    for side, number in (("fra", 0), ("eng", 0), ("deu", 3)):
        for pair in ("fra", "deu"):
            (root / "tatoeba").mkdir(exist_ok=True)
            name = root / "tatoeba" / f"tatoeba.{pair}-eng.{side}"
            name.write_text("\n".join(sentences(20, number)), encoding="utf-8")
    evaluate_settings = settings(
        entry("tatoeba", root / "tatoeba", languages=["fr", "de"]), resamples=200, embedding_map_sentences=0
    )
    workspace = Workspace(root / f"evaluated{seed}")
    evaluate(evaluate_settings, Model(), LANGUAGES, 0, sharded, root / f"trained{seed}", workspace)
    return workspace.root


@pytest.fixture
def results(
    tmp_path: Path, write_sharded: Callable[[dict[str, Rows]], Path], copied_rows: Callable[[str], Rows]
) -> tuple[Path, Path, Path]:
    sharded = write_sharded({language: copied_rows(language) for language in LANGUAGES.targets})
    save_tokenizer(sharded / "tokenizer")
    return evaluated(tmp_path, sharded, 1), evaluated(tmp_path, sharded, 2), sharded


def test_both_models_are_tested_as_base_and_trained_are(results: tuple[Path, Path, Path]) -> None:
    first, second, sharded = results
    comparable = protocol_digests(first, sharded, DIGESTS, 0).items() & protocol_digests(second, sharded, DIGESTS, 0).items()
    assert {task for (task, _), _ in comparable} == {"sentence-retrieval", "word-retrieval", "tatoeba"}
    rows, averages = compare_runs(first, second, {key for key, _ in comparable}, 200, 0)
    by_key = {(row["task"], row["language"]): row for row in rows}
    for key, one in differences(second).items():
        assert by_key[key]["trained"] == pytest.approx(one["trained"])
        assert by_key[key]["base"] == pytest.approx(differences(first)[key]["trained"])
        assert by_key[key]["metric"] == one["metric"]
    assert {(row["task"], row["languages"]) for row in averages} == {(task, 2) for task, _ in by_key}


def test_a_run_against_itself_shows_no_difference(results: tuple[Path, Path, Path]) -> None:
    first, _, sharded = results
    rows, _ = compare_runs(first, first, protocol_digests(first, sharded, DIGESTS, 0), 100, 0)
    assert {(row["difference"], row["low"], row["high"], row["p"]) for row in rows} == {(0.0, 0.0, 0.0, 1.0)}


def test_other_items_are_other_questions(
    results: tuple[Path, Path, Path], tmp_path: Path, copied_rows: Callable[[str], Rows]
) -> None:
    first, _, sharded = results
    before = protocol_digests(first, sharded, DIGESTS, 0)
    data = protocol_digests(first, sharded, {**DIGESTS, "tatoeba.fr": "other"}, 0)
    assert {key for key in before if before[key] != data[key]} == {("tatoeba", "fr")}
    drawn = protocol_digests(first, sharded, DIGESTS, 1)
    assert {task for task, _ in (key for key in before if before[key] != drawn[key])} == {"word-retrieval"}
    other = tmp_path / "other"
    shutil.copytree(sharded, other)
    table = pq.read_table(other / "heldout" / "fr.parquet")
    pq.write_table(table.slice(0, 9), other / "heldout" / "fr.parquet")
    pairs = protocol_digests(first, other, DIGESTS, 0)
    assert {key for key in before if before[key] != pairs[key]} == {
        ("sentence-retrieval", "fr"),
        ("word-retrieval", "fr"),
    }


def test_only_some_places(results: tuple[Path, Path, Path]) -> None:
    first, second, _ = results
    (row,), (average,) = compare_runs(first, second, {("tatoeba", "de")}, 100, 0)
    assert (row["language"], average["languages"]) == ("de", 1)
    assert np.isclose(row["difference"], average["difference"])
    assert compare_runs(first, second, (), 100, 0) == difference_rows((), 100, 0)


def test_translate_train_is_compared_on_the_items_of_zero_shot(results: tuple[Path, Path, Path]) -> None:
    """Its data have no digest of their own; its settings tell it apart."""
    first, _, sharded = results
    before = protocol_digests(first, sharded, DIGESTS, 0)
    protocol = json.loads((first / "protocol.json").read_text())
    scores = pq.read_table(first / "scores.parquet").to_pylist()
    [entry] = protocol["benchmarks"]
    metadata = {**entry["metadata"], "task": "tatoeba-translate-train", "zero_shot_task": "tatoeba"}
    mode = {"metadata": metadata, "settings": {**entry["settings"], "projected_sentences": 10}}
    (first / "protocol.json").write_text(json.dumps({**protocol, "benchmarks": [entry, mode]}))
    own = [{**row, "task": "tatoeba-translate-train"} for row in scores if row["task"] == "tatoeba"]
    pq.write_table(pa.Table.from_pylist([*scores, *own], schema.SCORES), first / "scores.parquet")
    after = protocol_digests(first, sharded, DIGESTS, 0)
    assert after.keys() - before.keys() == {("tatoeba-translate-train", "fr"), ("tatoeba-translate-train", "de")}
    assert {key: after[key] for key in before} == before
    assert after["tatoeba-translate-train", "de"] != after["tatoeba", "de"]
    other = protocol_digests(first, sharded, {**DIGESTS, "tatoeba.de": "other"}, 0)
    assert other["tatoeba-translate-train", "de"] != after["tatoeba-translate-train", "de"]


@pytest.mark.parametrize(
    ("task", "benchmark"),
    [
        ("udpos", "udpos"),
        ("udpos-layer-mixture", "udpos"),
        ("xnli-translate-train", "xnli-translate"),
        ("xnl", "xnl"),
        ("x", "x"),
    ],
)
def test_modes_and_protocols_have_the_data_of_their_benchmark(task: str, benchmark: str) -> None:
    assert _benchmark(task, ["udpos.de", "xnli.de", "xnli-translate.de", "weights"]) == benchmark


def differences(evaluated: Path) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["task"], row["language"]): row for row in pq.read_table(evaluated / "differences.parquet").to_pylist()}
