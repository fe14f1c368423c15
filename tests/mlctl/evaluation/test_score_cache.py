"""The score cache, across runs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mlctl.evaluation.metrics.item_scores import ItemScores, accuracy_scores
from mlctl.evaluation.score_cache import ScoreCache

IDENTITY = {"task": "toy", "model": "m", "seed": None}
SCORES = [
    accuracy_scores("toy", "fr→en", np.array([True, False, True]), ["1", "2", "3"]),
    ItemScores(
        "toy", "en→fr", {"f1": 0.0, "precision": 0.5}, [], np.empty(0, np.float32), np.empty(0, np.float32), {"threshold": 1.25}
    ),
]


def compute() -> list[ItemScores]:
    return SCORES


def fail() -> list[ItemScores]:
    raise AssertionError("the entry was cached")


def are_equal(scores: list[ItemScores], expected: list[ItemScores]) -> bool:
    flat = [
        [(o.task, o.direction, o.metrics, list(o.items), o.part.tolist(), o.whole.tolist(), o.notes) for o in scores_list]
        for scores_list in (scores, expected)
    ]
    return flat[0] == flat[1]


def test_what_was_made_is_found_by_its_identity(tmp_path: Path) -> None:
    assert are_equal(ScoreCache(tmp_path).get_or_compute(IDENTITY, compute), SCORES)
    assert are_equal(ScoreCache(tmp_path).get_or_compute(dict(reversed(IDENTITY.items())), fail), SCORES)
    with pytest.raises(AssertionError):
        ScoreCache(tmp_path).get_or_compute({**IDENTITY, "seed": 0}, fail)


def test_a_part_says_when_it_was_last_used(tmp_path: Path) -> None:
    ScoreCache(tmp_path).get_or_compute(IDENTITY, compute)
    folder = ScoreCache(tmp_path).get_or_create_folder(IDENTITY, lambda *_: None)
    (file,) = tmp_path.glob("toy-*.parquet")
    for path in (file, folder):
        os.utime(path, (1e9, 1e9))
    ScoreCache(tmp_path).get_or_compute(IDENTITY, fail)
    ScoreCache(tmp_path).get_or_create_folder(IDENTITY, lambda *_: None)
    assert min(path.stat().st_mtime for path in (file, folder)) > 1e9


@pytest.mark.parametrize("damage", [b"", b"PAR1 and then nothing", None])
def test_a_damaged_part_is_made_anew(tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture) -> None:
    ScoreCache(tmp_path).get_or_compute(IDENTITY, compute)
    (file,) = tmp_path.glob("toy-*.parquet")
    file.write_bytes(file.read_bytes()[:-20] if damage is None else damage)
    assert are_equal(ScoreCache(tmp_path).get_or_compute(IDENTITY, compute), SCORES)
    assert "it is made again" in caplog.text
    assert are_equal(ScoreCache(tmp_path).get_or_compute(IDENTITY, fail), SCORES)


def test_what_fails_leaves_no_part(tmp_path: Path) -> None:
    def fill(folder: Path, scratch: Path) -> None:
        (folder / "weights").write_text("half")
        scratch.mkdir()
        (scratch / "so far").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ScoreCache(tmp_path).get_or_create_folder(IDENTITY, fill)

    def resume(folder: Path, scratch: Path) -> None:
        assert (scratch / "so far").exists()
        (folder / "weights").write_text("whole")

    folder = ScoreCache(tmp_path).get_or_create_folder(IDENTITY, resume)
    assert not list((tmp_path / ".scratch").glob("toy-*"))
    assert (folder / "weights").read_text() == "whole"
    assert ScoreCache(tmp_path).get_or_create_folder(IDENTITY, fill) == folder
