"""Curves of a training: what TensorBoard's file holds, also after SIGKILL, and trackers that are slow, broken or not installed."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.config import Model, Train
from mlctl.core.distribution import install_extras
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.training import check, train
from mlctl.training.trackers import Metrics, Past, Run, Trackers, tracking
from mlctl.training.trackers.guard import BackgroundTracker, GuardedTracker
from mlctl.training.trackers.tensorboard import FILE, TensorBoard, masked_crc, records

QUICK: dict[str, Any] = {"batch_size": 8, "learning_rate": 1e-3, "threads": 1, "devices": "cpu", "track_every": 1}
Curve = dict[str, dict[int, float]]


class Throughput:
    """A rate that stays."""

    pairs_per_s, tokens_per_s = 3.0, 40.0


@pytest.fixture(scope="module")
def shards(make_shards: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), [40, 24], dev_rows=4)


def fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field of a protocol buffer, as its encoding is documented."""
    index = 0

    def varint() -> int:
        nonlocal index
        number = shift = 0
        while True:
            byte = message[index]
            index += 1
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number

    while index < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            index += size
            yield key >> 3, message[index - size : index]


def curves(file: Path) -> Curve:
    """Return what an event file says by tag and step; no step may be told twice."""
    result: Curve = {}
    for number, (_, record) in enumerate(records(file)):
        event = dict(fields(record))
        assert abs(struct.unpack("<d", event[1])[0] - time.time()) < 1000
        if not number:
            assert event[3] == b"brain.Event:2"
            continue
        for _, value in fields(event[5]):
            tag, figure = dict(fields(value)).values()
            assert event[2] not in result.setdefault(tag.decode(), {})
            result[tag.decode()][event[2]] = struct.unpack("<f", figure)[0]
    return result


def test_the_event_file_shows_every_step_of_a_training(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    train(Train(**QUICK, steps=7), toy_model, 0, shards, Workspace(tmp_path))
    assert Workspace(tmp_path).has(FILE), "it is no part of the result"
    steps, result = pq.read_table(tmp_path / "steps.parquet"), curves(tmp_path / FILE)
    names = [f"train/{name}" for name in ("loss", "contrastive", "mlm", "learning_rate", "gradient_norm")]
    judged = [f"dev/{name}" for name in ("sentence_retrieval", "word_retrieval", "mean")]
    assert set(result) == {*names, *judged, "speed/pairs_per_s", "speed/tokens_per_s"}
    assert list(result["dev/mean"]) == [0, 7]
    for name in names:
        assert list(result[name]) == steps["step"].to_pylist()
        np.testing.assert_allclose(list(result[name].values()), np.array(steps[name.removeprefix("train/")]), rtol=1e-6)
    assert min(result["speed/tokens_per_s"].values()) > min(result["speed/pairs_per_s"].values()) > 0


def test_tensorboard_itself_reads_the_file(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(Train(**{**QUICK, "track_every": 3}, steps=7, mlm_weight=0), toy_model, 0, shards, Workspace(tmp_path))
    read = accumulator.EventAccumulator(str((tmp_path / FILE).parent))
    read.Reload()
    assert [scalar.step for scalar in read.Scalars("train/loss")] == [3, 6]
    assert "train/mlm" not in read.Tags()["scalars"], "there is no such figure without the masked-LM loss"


PROGRAM = """
import sys
from pathlib import Path
from mlctl.config import Model, Train
from mlctl.training import train
from mlctl.core.workspace import Workspace
settings, model, shards, folder = sys.argv[1:]
train(Train.model_validate_json(settings), Model.model_validate_json(model), 3, Path(shards), Workspace(Path(folder)))
"""


def kill_when(ready: Callable[[], bool], command: list[str]) -> None:
    process, end = subprocess.Popen(command), time.monotonic() + 300
    while not ready():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_after_sigkill_no_step_is_missing_and_none_told_twice(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    settings = Train(**QUICK, steps=120, checkpoint_seconds=0.1, judge_every=7)
    checkpoints, file = tmp_path / ".scratch" / "checkpoints", tmp_path / FILE
    command = [sys.executable, "-c", PROGRAM, settings.model_dump_json(), toy_model.model_dump_json(), str(shards), str(tmp_path)]
    kill_when(lambda: any(checkpoints.glob("step-*")) and len(list(records(file))) > 20, command)
    complete = list(records(file))
    with file.open("r+b") as stream:  # a power cut: the last events did not reach the disk, but for a half
        stream.truncate(complete[len(complete) // 3][0] + 30)
    train(settings, toy_model, 3, shards, Workspace(tmp_path))
    losses = pq.read_table(tmp_path / "steps.parquet")["loss"].to_pylist()
    assert curves(file)["train/loss"] == pytest.approx(dict(enumerate(losses, 1)), rel=1e-6)
    judged: dict[int, list[float]] = {}
    for row in pq.read_table(tmp_path / "judgements.parquet").to_pylist():
        if row["metric"] == "word-retrieval":
            judged.setdefault(row["step"], []).append(row["value"])
    assert list(judged) == [*range(0, 120, 7), 120]
    assert curves(file)["dev/word_retrieval"] == pytest.approx({step: np.mean(values) for step, values in judged.items()})


def test_steps_that_are_done_again_are_not_told_again(tmp_path: Path) -> None:
    follow(tmp_path, range(1, 8), past=0)
    before = (tmp_path / FILE).read_bytes()
    follow(tmp_path, range(4, 13), past=3)
    assert (tmp_path / FILE).read_bytes().startswith(before)
    assert curves(tmp_path / FILE)["train/loss"] == pytest.approx({step: 1 / step for step in range(1, 13)})


def follow(folder: Path, steps: range, past: int, **changes: Any) -> None:
    """Tell trackers of steps as a training does; `past` of them are in its checkpoint."""
    settings = Train(**{**QUICK, **changes})
    scratch = Workspace(folder).scratch
    with tracking(
        settings, {"train": {"loss": "cz-nce"}, "seed": 3}, folder, scratch, ("loss",), Past(past, rows(past))
    ) as trackers:
        for step in steps:
            trackers.step(step, (1 / step,), Throughput())


def rows(steps: int) -> list[tuple[float]]:
    return [(1 / step,) for step in range(1, steps + 1)]


@given(st.binary(max_size=80))
def test_checksum_is_castagnolis(data: bytes) -> None:
    unmasked = (masked_crc(data) - 0xA282EAD8) & 0xFFFFFFFF
    unmasked = (unmasked >> 17 | unmasked << 15) & 0xFFFFFFFF
    crc = 0xFFFFFFFF
    for bit in (byte >> index & 1 for byte in data for index in range(8)):  # the definition: division, bit by bit
        crc = crc >> 1 ^ (0x82F63B78 if (crc ^ bit) & 1 else 0)
    assert unmasked == crc ^ 0xFFFFFFFF


def test_checksum_of_the_standards_example() -> None:
    turned = (0xE3069283 >> 15 | 0xE3069283 << 17) & 0xFFFFFFFF  # RFC 3720 has this CRC of "123456789"
    assert masked_crc(b"123456789") == (turned + 0xA282EAD8) & 0xFFFFFFFF


class Broken:
    """A tracker whose server goes away at a step, or was never there."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, list[int]()

    def start(self, run: Run) -> int:
        assert run.name
        self.fail(0)
        return -1

    def log(self, step: int, metrics: Metrics) -> None:
        assert metrics
        self.fail(step)

    def finish(self, complete: bool) -> None:
        assert complete
        self.fail(99)

    def fail(self, step: int) -> None:
        self.calls.append(step)
        if step >= self.at:
            raise ConnectionError("no route to host\nand much more")


@pytest.mark.parametrize("at", [0, 2, 99])
def test_a_tracker_that_fails_warns_once_and_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture, at: int) -> None:
    broken, whole = Broken(at), TensorBoard()
    trackers = Trackers([BackgroundTracker(GuardedTracker("broken", broken)), GuardedTracker("whole", whole)], 1, ["loss"])
    trackers.start(Run("p", "n", {}, tmp_path, tmp_path), Past())
    for step in (1, 2, 3):
        trackers.step(step, (1.0,), Throughput())
    trackers.finish(complete=True)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "broken: tracker disabled after an error; training continues: no route to host"
    ]
    assert broken.calls == [step for step in (0, 1, 2, 3, 99) if step <= at]
    assert list(curves(tmp_path / FILE)["train/loss"]) == [1, 2, 3]


def test_a_tracker_that_hangs_holds_nothing_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Hanging(Broken):
        def fail(self, step: int) -> None:
            time.sleep(60 + step)

    hanging = BackgroundTracker(GuardedTracker("hanging", Hanging(0)), timeout_seconds=0.2)
    start = time.monotonic()
    hanging.start(Run("p", "n", {}, tmp_path, tmp_path))
    for step in range(1000):
        hanging.log(step, {"loss": 1.0})
    hanging.finish(complete=True)
    assert time.monotonic() - start < 10
    assert "hanging has not recorded everything" in caplog.text


def test_a_full_disk_under_the_curves_stops_no_training(shards: Path, toy_model: Model, tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "tensorboard").write_text("a file where the folder should be")
    train(Train(**QUICK, steps=2), toy_model, 0, shards, Workspace(tmp_path))
    assert caplog.text.count("tensorboard: tracker disabled") == 1
    assert (tmp_path / "model").is_dir()


@pytest.mark.parametrize("name", ["mlflow", "wandb", "trackio"])
def test_a_tracker_that_is_not_installed_is_named_before_anything_runs(name: str, tmp_path: Path, toy_model: Model) -> None:
    if importlib.util.find_spec(name):
        pytest.skip(f"{name} is installed")
    settings = Train(trackers=(name,))
    with pytest.raises(InputError, match=f"train.trackers names {name}") as caught:
        check(settings)
    assert install_extras(name) in caught.value.remedy
    with pytest.raises(InputError):
        train(settings, toy_model, 0, tmp_path, Workspace(tmp_path))
    check(Train())
