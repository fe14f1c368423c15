"""The stage as a whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from mlctl import schema
from mlctl.config import Evaluate, Languages, Model
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.evaluation import evaluate
from mlctl.modeling.sentence_config import Pooling
from mlctl.modeling.sentence_transformers_export import write_modules

Rows = Callable[[str], list[dict[str, Any]]]
Write = Callable[[dict[str, list[dict[str, Any]]]], Path]

LANGUAGES = Languages(source="en", targets=("fr", "de"))


def run(sharded: Path, trained: Path, folder: Path, settings: Evaluate | None = None, **more: Any) -> dict[str, float | int]:
    return evaluate(settings or Evaluate(device="cpu"), Model(), LANGUAGES, 0, sharded, trained, Workspace(folder), **more)


@pytest.fixture
def sharded(write_sharded: Write, copied_rows: Rows) -> Path:
    return write_sharded({"fr": copied_rows("fr"), "de": copied_rows("de")})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.*") if path.is_file()}


def test_scores_of_both_models(sharded: Path, trained: Path, tmp_path: Path) -> None:
    metrics = run(sharded, trained, tmp_path / "out")
    scores = pq.read_table(tmp_path / "out" / "scores.parquet")
    assert scores.schema == schema.SCORES
    rows = scores.to_pylist()
    assert len(rows) == 2 * 2 * 2 * 2
    assert {row["direction"] for row in rows} == {"en→fr", "fr→en", "en→de", "de→en"}
    assert {row["value"] for row in rows if row["model"] == "base"} == {0.0}, "the constant model retrieves nothing"
    assert {row["value"] for row in rows if (row["model"], row["task"]) == ("trained", "sentence-retrieval")} == {1.0}
    assert {row["items"] for row in rows if row["task"] == "sentence-retrieval"} == {10}
    assert metrics["languages"] == 2
    assert metrics["sentence_retrieval_trained"] == 1.0
    assert metrics["word_retrieval_base"] == 0.0
    assert metrics["word_retrieval_trained"] > 0.9


def test_token_states_of_both_models(sharded: Path, trained: Path, tmp_path: Path) -> None:
    run(sharded, trained, tmp_path / "out", Evaluate(device="cpu", embedding_map_sentences=3))
    table = pq.read_table(tmp_path / "out" / "tokens.parquet")
    assert table.schema == schema.TOKEN_STATES
    rows = table.to_pylist()
    assert {row["language"] for row in rows} == {"en", "de", "fr"}
    assert {row["meaning"] for row in rows} == {0, 1, 2}
    places = {
        model: [(r["language"], r["text"], r["token"]) for r in rows if r["model"] == model] for model in ("base", "trained")
    }
    assert places["base"] == places["trained"]


def test_both_models_are_pooled_from_the_layers_that_were_trained(sharded: Path, trained: Path, tmp_path: Path) -> None:
    write_modules(trained / "model", 16, 2, 32, Pooling((2,)))
    run(sharded, trained, tmp_path / "out", Evaluate(device="cpu", embedding_map_sentences=1))
    rows = pq.read_table(tmp_path / "out" / "tokens.parquet").to_pylist()
    for name in ("base", "trained"):
        states = torch.tensor([row["state"] for row in rows if row["model"] == name])
        # The last layer ends with a normalisation whose scale is 1: its states have no mean and variance 1; sums of two have not.
        torch.testing.assert_close(states.mean(1), torch.zeros(len(states)), atol=1e-5, rtol=0)
        torch.testing.assert_close(states.var(1, unbiased=False), torch.ones(len(states)), atol=1e-3, rtol=0)


def test_no_map_and_one_task(sharded: Path, trained: Path, tmp_path: Path) -> None:
    metrics = run(
        sharded, trained, tmp_path / "out", Evaluate(device="cpu", embedding_map_sentences=0, tasks=("word-retrieval",))
    )
    assert pq.read_table(tmp_path / "out" / "tokens.parquet").num_rows == 0
    assert set(metrics) == {"languages", "word_retrieval_base", "word_retrieval_trained"}


def test_equal_runs_write_equal_bytes(sharded: Path, trained: Path, tmp_path: Path) -> None:
    run(sharded, trained, tmp_path / "one")
    run(sharded, trained, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    tables = ("averages", "changed_items", "differences", "geometry", "items", "length_scores", "scores", "tokens")
    assert set(contents(tmp_path / "one")) == {"protocol.json", *(f"{name}.parquet" for name in tables)}


def test_batches_change_no_score(sharded: Path, trained: Path, tmp_path: Path) -> None:
    run(sharded, trained, tmp_path / "one", Evaluate(device="cpu", batch_rows=1))
    run(sharded, trained, tmp_path / "two", Evaluate(device="cpu", batch_rows=7))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_stopped_run_goes_on_where_it_was(
    sharded: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(sharded, trained, tmp_path / "whole")

    def stop(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(sharded, trained, tmp_path / "stopped", progress=stop)
    assert contents(tmp_path / "stopped") == {}
    opened: list[Path] = []
    from mlctl.evaluation.embedding import token_embeddings

    original = token_embeddings.open_encoder
    monkeypatch.setattr(token_embeddings, "open_encoder", lambda folder, *rest: opened.append(folder) or original(folder, *rest))
    run(sharded, trained, tmp_path / "stopped")
    assert opened == [trained / "model"], "the base model was evaluated already"
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")


def test_a_named_encoder_is_the_base_where_training_left_none(sharded: Path, trained: Path, tmp_path: Path) -> None:
    (trained / "base").rename(tmp_path / "encoder")
    model = Model(name=str(tmp_path / "encoder"))
    metrics = evaluate(Evaluate(device="cpu"), model, LANGUAGES, 0, sharded, trained, Workspace(tmp_path / "out"))
    assert metrics["sentence_retrieval_base"] == 0.0


def test_words_too_few_to_judge_by_are_said(
    write_sharded: Write, copied_rows: Rows, trained: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = {"fr": copied_rows("fr"), "de": [{**row, "word_pairs": []} for row in copied_rows("de")]}
    run(write_sharded(rows), trained, tmp_path / "out")
    assert "de: no word-retrieval" in caplog.text
    tasks = {(row["language"], row["task"]) for row in pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()}
    assert ("de", "word-retrieval") not in tasks
    assert ("de", "sentence-retrieval") in tasks


def test_without_a_trained_model_says_what_to_run(sharded: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train"):
        run(sharded, tmp_path / "nothing", tmp_path / "out")


def test_importing_the_entry_is_cheap() -> None:
    code = (
        "import sys; from mlctl.evaluation import check, digests, text_digests; from mlctl.config import Evaluate; digests(Evaluate()); "
        "sys.exit(bool({'torch', 'transformers', 'pyarrow', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
