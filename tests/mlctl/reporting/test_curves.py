"""Curves of hand-made steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlctl import schema
from mlctl.reporting.curves import all_curves, final_losses, judgement_curves, learning_rate_curve, loss_curves, speed_curve

from .conftest import put, write_training


def test_long_curves_are_thinned(folders: dict[str, Path]) -> None:
    curves = loss_curves(folders["train"])
    assert list(curves) == ["loss", "contrastive"], "the objective has no MLM"
    curve = curves["loss"]
    assert len(curve) == 100
    assert [row["step"] for row in curve[:2]] == [4, 8]
    assert curve[-1]["step"] == 400
    assert curve[0]["low"] < curve[0]["mean"] < curve[0]["high"] == 3.0


def test_judgements_are_means_over_languages_from_before_training_on(folders: dict[str, Path], tmp_path: Path) -> None:
    curves = judgement_curves(folders["train"])
    assert list(curves) == ["sentence-retrieval", "word-retrieval"]
    points = [(row["step"], row["mean"]) for row in curves["word-retrieval"]]
    assert points == [(step, pytest.approx(20 + step / 40)) for step in (0, 100, 200, 300, 400)]
    assert judgement_curves(tmp_path) == {}, "a result of a training that was not judged"
    assert list(all_curves(folders["train"])) == [
        "sentence-retrieval",
        "word-retrieval",
        "loss",
        "contrastive",
        "learning-rate",
        "speed",
    ]


def test_short_curves_are_kept(tmp_path: Path) -> None:
    write_training(tmp_path, steps=7)
    assert [row["step"] for row in loss_curves(tmp_path)["loss"]] == list(range(1, 8))


def test_final_losses_are_means_of_the_last_steps(folders: dict[str, Path]) -> None:
    final = final_losses(folders["train"])
    assert final["steps"] == 400
    assert final["loss"] == pytest.approx(3 - (380 + 399) / 2 / 100)
    assert final["mlm"] is None


def test_no_steps(tmp_path: Path) -> None:
    put(tmp_path / "steps.parquet", [], schema.STEPS)
    assert loss_curves(tmp_path) == {}
    assert final_losses(tmp_path) == {"steps": 0, "loss": None, "contrastive": None, "mlm": None}


def test_speed_survives_a_line_cut_short(folders: dict[str, Path], tmp_path: Path) -> None:
    assert [(row["step"], row["mean"]) for row in speed_curve(folders["train"])] == [(100, 200.0), (200, 300.0), (300, 400.0)]
    assert speed_curve(tmp_path) == []


def test_speed_of_steps_taken_twice(tmp_path: Path) -> None:
    lines = ['{"step": 10, "pairs_per_s": 1}', '{"step": 20, "pairs_per_s": 2}', '{"step": 10, "pairs_per_s": 5}']
    (tmp_path / "speed.jsonl").write_text("\n".join(lines))
    assert [(row["step"], row["mean"]) for row in speed_curve(tmp_path)] == [(10, 5.0), (20, 2.0)]


def test_the_learning_rate_is_that_of_the_steps(tmp_path: Path) -> None:
    rates = {1: 0.5, 2: 1.0, 3: 0.25}
    rows = [
        {"step": n, "loss": 1.0, "contrastive": 1.0, "mlm": None, "learning_rate": r, "gradient_norm": 1.0}
        for n, r in rates.items()
    ]
    put(tmp_path / "steps.parquet", rows, schema.STEPS)
    assert {row["step"]: row["mean"] for row in learning_rate_curve(tmp_path)} == rates
