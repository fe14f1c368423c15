"""MLflow, W&B and trackio, the real libraries where they are installed: a training that failed half-way and went on is one curve."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from mlctl.config import Train
from mlctl.core.workspace import Workspace
from mlctl.training.trackers import Past, run_name, tracking

LOGGED = {"train/loss", "speed/pairs_per_s", "speed/tokens_per_s"}
Points = list[tuple[int, float]]


class Throughput:
    """A rate that stays."""

    pairs_per_s, tokens_per_s = 3.0, 40.0


def follow(folder: Path, tracker: str, steps: Iterable[int], past: int, fail: bool) -> str:
    """Tell a tracker of steps as a training does; `past` of them are in its checkpoint. Return the run's name."""
    settings, scratch = Train(trackers=(tracker,), track_every=1, track_project="trial"), Workspace(folder).scratch
    done = Past(past, [(1 / step,) for step in range(1, past + 1)])
    try:
        with tracking(settings, {"train": {"loss": "cz-nce"}, "seed": 3}, folder, scratch, ("loss",), done) as trackers:
            for step in steps:
                trackers.step(step, (1 / step,), Throughput())
            if fail:
                raise RuntimeError("diverged")
    except RuntimeError:
        assert fail
    return run_name(folder, scratch)


def mlflow_points(folder: Path, name: str) -> Points:
    from mlflow import MlflowClient

    del folder
    client = MlflowClient()
    experiment = client.get_experiment_by_name("trial")
    (run,) = [run for run in client.search_runs([experiment.experiment_id]) if run.info.run_name == name]
    assert run.info.status == "FINISHED"
    assert run.data.params == {"train.loss": "cz-nce", "seed": "3"}
    assert set(run.data.metrics) == LOGGED
    return [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, "train/loss")]


def wandb_points(folder: Path, name: str) -> Points:
    """Read what the offline folders of the run hold: after seven bytes a row of (checksum, length, kind, record), below 32 kB."""
    from wandb.proto import wandb_internal_pb2

    points: Points = []
    for file in sorted(folder.glob(f"wandb/offline-run-*-{name}*/*.wandb")):
        data, index = file.read_bytes(), 7
        assert len(data) < 2**15
        while index < len(data):
            _, length, kind = struct.unpack_from("<IHB", data, index)
            assert kind == 1, "the record is whole"
            record = wandb_internal_pb2.Record.FromString(data[index + 7 : index + 7 + length])
            index += 7 + length
            if record.WhichOneof("record_type") == "history":
                items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
                assert set(items) >= LOGGED
                points.append((record.history.step.num, items["train/loss"]))
    return points


def trackio_points(folder: Path, name: str) -> Points:
    from trackio.sqlite_storage import SQLiteStorage

    del folder
    logs: list[dict[str, Any]] = SQLiteStorage.get_logs("trial", name)
    assert all(set(log) >= LOGGED for log in logs)
    return [(log["step"], log["train/loss"]) for log in logs]


READERS: dict[str, Callable[[Path, str], Points]] = {
    "mlflow": mlflow_points,
    "wandb": wandb_points,
    "trackio": trackio_points,
}


@pytest.mark.parametrize("tracker", READERS)
def test_a_training_that_goes_on_is_one_curve(
    tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    pytest.importorskip(tracker)
    name = follow(tmp_path, tracker, range(1, 8), past=0, fail=True)
    assert follow(tmp_path, tracker, range(4, 13), past=3, fail=False) == name
    assert "tracker disabled" not in caplog.text
    points = READERS[tracker](tmp_path, name)
    assert sorted(points) == [(step, pytest.approx(1 / step)) for step in range(1, 13)]


PROGRAM = """
import sys
from pathlib import Path
from mlctl.config import Train
from mlctl.training.trackers import Past, tracking
class Throughput:
    pairs_per_s, tokens_per_s = 3.0, 40.0
folder = Path(sys.argv[1])
with tracking(Train(trackers=("wandb",), track_every=1), {}, folder, folder, ("loss",), Past()) as trackers:
    for step in (1, 2, 3):
        trackers.step(step, (1.0,), Throughput())
"""


def test_wandb_without_a_login_is_a_warning_and_no_question(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    environment = {**kept, "HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc"), "WANDB_DIR": str(tmp_path)}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    message = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stderr
    assert (
        message.count("wandb: tracker disabled after an error; training continues: no user is logged in: run `wandb login`") == 1
    )
