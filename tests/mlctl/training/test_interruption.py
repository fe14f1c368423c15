"""SIGTERM during training: a checkpoint of the running step, the end that the caller's handler gives it, and equal bytes afterwards."""

import functools
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlctl.config import Model, ScratchModel, Train
from mlctl.core.hashing import file_digest
from mlctl.core.workspace import Workspace
from mlctl.training import train
from mlctl.training.interruption import StopRequest, TrainingInterrupted, stopping_on_sigterm

MODEL = Model(scratch=ScratchModel(layers=1, hidden=16, heads=2, feed_forward=16))
STEPS = 30
SETTINGS: dict[str, Any] = {
    "steps": STEPS,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "threads": 1,
    "objective": "sentence",
    "mlm_weight": 0,
    "trackers": [],
    "checkpoint_seconds": 10_000.0,
    "devices": ["cpu"],  # no checkpoint but that of the signal
}
PROGRAM = """
import os, signal, sys
from pathlib import Path
from mlctl.config import Model, Train
from mlctl.core.workspace import Workspace
from mlctl.training import train
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell without job control starts background commands with it ignored
settings, model, shards, folder, to = sys.argv[1:]
def progress(done, *_, **__):
    if done == 5:
        (os.killpg if to == "group" else os.kill)(os.getpid(), signal.SIGTERM)
train(Train.model_validate_json(settings), Model.model_validate_json(model), 3, Path(shards), Workspace(Path(folder)), progress)
"""


@pytest.fixture(scope="module")
def shards(make_shards: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), [40])


def settings(**changes: Any) -> Train:
    return Train.model_validate({**SETTINGS, **changes})


def digests(folder: Path) -> dict[str, str]:
    names = ("model/model.safetensors", "steps.parquet", "settings.json")
    return {name: file_digest(folder / name) for name in names}


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / ".scratch" / "checkpoints").glob("step-*"))


@pytest.fixture(scope="module")
def straight(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[str, ...]], tuple[Path, dict[str, Any]]]:
    """Return the result of a training that nothing stopped, by its devices."""

    @functools.cache
    def result(devices: tuple[str, ...]) -> tuple[Path, dict[str, Any]]:
        folder = tmp_path_factory.mktemp("straight")
        return folder, train(settings(devices=devices), MODEL, 3, shards, Workspace(folder))

    return result


@pytest.mark.parametrize(("devices", "to"), [(("cpu",), "process"), (("cpu", "cpu"), "process"), (("cpu", "cpu"), "group")])
@pytest.mark.slow
def test_sigterm_leaves_a_checkpoint_and_resumes_to_the_same_bytes(
    shards: Path, tmp_path: Path, straight: Callable[..., tuple[Path, dict[str, Any]]], devices: tuple[str, ...], to: str
) -> None:
    chosen, folder = settings(devices=devices), tmp_path / "stopped"
    command = [sys.executable, "-c", PROGRAM, chosen.model_dump_json(), MODEL.model_dump_json(), str(shards), str(folder), to]
    ended = subprocess.run(command, check=False, start_new_session=True, timeout=120)
    assert ended.returncode == -signal.SIGTERM, "as without a handler"
    (saved,) = checkpoints(folder)
    assert 5 <= int(saved.removeprefix("step-")) < STEPS
    assert not (folder / "model").exists()

    updates: list[int] = []
    metrics = train(chosen, MODEL, 3, shards, Workspace(folder), lambda done, *_, **__: updates.append(done))
    assert updates[0] == int(saved.removeprefix("step-")) + 1
    expected, expected_metrics = straight(devices)
    assert metrics == expected_metrics
    assert digests(folder) == digests(expected)


def test_the_callers_handler_has_the_last_word(shards: Path, tmp_path: Path) -> None:
    """A flow's handler runs after the checkpoint; if it goes on, the training has still been stopped."""
    seen: list[list[str]] = []
    before = signal.signal(signal.SIGTERM, lambda *_: seen.append(checkpoints(tmp_path)))

    def progress(done: int, *_: Any, **__: Any) -> None:
        if done == 7:
            signal.raise_signal(signal.SIGTERM)

    try:
        with pytest.raises(TrainingInterrupted, match="interrupted by SIGTERM after step 7 of 30; its checkpoint is kept"):
            train(settings(), MODEL, 3, shards, Workspace(tmp_path), progress)
        assert seen == [["step-0000007"]]
        assert signal.getsignal(signal.SIGTERM) is not before
    finally:
        signal.signal(signal.SIGTERM, before)


COMMAND = (
    PROGRAM.replace("train(Train", "train_it = lambda: train(Train").rstrip()
    + """
from mlctl.core.interruption import ending_on_signals
with ending_on_signals("finished work is kept"):
    train_it()
"""
)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_command_that_ends_on_signals_saves_a_checkpoint_first(
    shards: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    program = COMMAND.replace("signal.SIGTERM)", f"signal.{number.name})")
    command = [sys.executable, "-c", program, settings(steps=100_000).model_dump_json(), MODEL.model_dump_json(), str(shards)]
    ended = subprocess.run([*command, str(tmp_path), "process"], check=False, timeout=120, capture_output=True, text=True)
    assert ended.returncode == status
    assert ended.stderr.strip().splitlines()[-1].endswith("; finished work is kept")
    assert len(checkpoints(tmp_path)) == 1


def test_a_second_signal_does_not_wait() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    try:
        with stopping_on_sigterm() as request:
            signal.raise_signal(signal.SIGTERM)
            assert request.is_made
            assert not seen
            signal.raise_signal(signal.SIGTERM)
            assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_request_that_came_first_is_forwarded() -> None:
    calls: list[str] = []
    request = StopRequest()
    request.make()
    request.forward_to(lambda: calls.append("stop"))
    assert calls == ["stop"]
