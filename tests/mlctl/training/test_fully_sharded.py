"""Trainings whose weights, gradients and moments are sharded over two processes (FSDP2), for real."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from safetensors.torch import load_file

from mlctl.config import Model, ScratchModel, Train
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.training import train

SETTINGS: dict[str, Any] = {
    "steps": 12,
    "batch_size": 8,
    "micro_batch_tokens": 60,
    "learning_rate": 1e-3,
    "threads": 1,
    "word_pairs": 2,
    "mlm_weight": 0,
    "anchor_weight": 0.5,
    "frozen_layers": 1,
    "objective": "separate",
    "judge_every": 6,
    "devices": ["cpu", "cpu"],
}
MODEL = Model(scratch=ScratchModel(layers=3, hidden=32, heads=2, feed_forward=32, dropout=0.0))
PROGRAM = """
import sys
from pathlib import Path
from mlctl.config import Model, Train
from mlctl.training import train
from mlctl.core.workspace import Workspace
settings, model, shards, folder = sys.argv[1:]
train(Train.model_validate_json(settings), Model.model_validate_json(model), 3, Path(shards), Workspace(Path(folder)))
"""

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")]


@pytest.fixture(scope="module")
def shards(make_shards: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), [40, 24], dev_rows=20)


def run(shards: Path, folder: Path, **changes: Any) -> Path:
    train(Train.model_validate({**SETTINGS, **changes}), MODEL, 3, shards, Workspace(folder))
    return folder


def column(folder: Path, name: str) -> Any:
    return np.array(pq.read_table(folder / "steps.parquet")[name])


def assert_equal_trainings(first: Path, second: Path) -> None:
    for name in ("loss", "gradient_norm"):
        assert column(first, name) == pytest.approx(column(second, name), rel=2e-4)
    weights = [load_file(folder / "model" / "model.safetensors") for folder in (first, second)]
    assert weights[0].keys() == weights[1].keys()
    for name, weight in weights[0].items():
        assert weight.numpy() == pytest.approx(weights[1][name].numpy(), abs=2e-4), name
    judgements = [pq.read_table(folder / "judgements.parquet")["value"].to_pylist() for folder in (first, second)]
    assert judgements[0] == pytest.approx(judgements[1], abs=0.05)


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training in one process."""
    return run(shards, tmp_path_factory.mktemp("whole"), devices="cpu")


@pytest.fixture(scope="module")
def sharded(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(shards, tmp_path_factory.mktemp("sharded"), fsdp=True)


def test_shards_learn_what_one_process_learns(whole: Path, sharded: Path) -> None:
    assert_equal_trainings(sharded, whole)


@pytest.mark.parametrize(
    "changes",
    [{"cache_gradients": True, "micro_batch_tokens": 30}, {"activation_checkpointing": True}],
    ids=["cached", "recomputed"],
)
def test_gradient_caching_and_activation_checkpointing_change_nothing(
    changes: dict[str, Any], whole: Path, shards: Path, tmp_path: Path
) -> None:
    assert_equal_trainings(run(shards, tmp_path, fsdp=True, **changes), whole)


def test_killed_it_resumes_to_the_same_bytes_and_in_one_process_too(shards: Path, sharded: Path, tmp_path: Path) -> None:
    settings = {**SETTINGS, "fsdp": True, "checkpoint_seconds": 0.001}
    command = [
        sys.executable,
        "-c",
        PROGRAM,
        json.dumps(settings),
        MODEL.model_dump_json(),
        str(shards),
        str(tmp_path / "killed"),
    ]
    process = subprocess.Popen(command)
    checkpoints = tmp_path / "killed" / ".scratch" / "checkpoints"
    end = time.monotonic() + 120
    while not any(3 <= int(path.name[5:]) < 12 for path in checkpoints.glob("step-*")):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not psutil.wait_procs(children, 10)[1]
    assert not (tmp_path / "killed" / "model").exists()
    newest = max(checkpoints.glob("step-*"))
    assert len(list((newest / "shares").glob("*.distcp"))) == 2
    shutil.copytree(tmp_path / "killed", tmp_path / "alone")

    run(shards, tmp_path / "killed", fsdp=True)
    assert (tmp_path / "killed/model/model.safetensors").read_bytes() == (sharded / "model/model.safetensors").read_bytes()
    assert_equal_trainings(run(shards, tmp_path / "alone", fsdp=True, devices="cpu"), sharded)


def test_a_checkpoint_of_one_process_is_continued_in_shards(shards: Path, whole: Path, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(done: int, *_: object, **__: object) -> None:
        if done == 7:
            raise StopError

    with pytest.raises(StopError):
        train(
            Train.model_validate({**SETTINGS, "fsdp": True, "devices": "cpu", "checkpoint_seconds": 0.001}),
            MODEL,
            3,
            shards,
            Workspace(tmp_path),
            stop,
        )
    assert_equal_trainings(run(shards, tmp_path, fsdp=True), whole)


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"mlm_weight": 0.1}, "set train.mlm_weight=0"),
        ({"load_best_model_at_end": True}, "set train.load_best_model_at_end=false"),
        ({"average_steps": 3}, "set train.average_steps=1"),
    ],
)
def test_what_needs_whole_weights_is_an_error(changes: dict[str, Any], remedy: str, shards: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs whole weights, but train\.fsdp=true shards them") as caught:
        run(shards, tmp_path, fsdp=True, **changes)
    assert caught.value.remedy.startswith(remedy)
