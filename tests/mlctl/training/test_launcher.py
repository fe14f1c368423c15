"""Training in two processes, for real: started, monitored, killed, resumed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from mlctl.config import Model, ScratchModel, Train
from mlctl.core.hashing import file_digest
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.execution.processes import ProcessDiedError
from mlctl.modeling.devices import resolve_devices
from mlctl.training import train

SETTINGS: dict[str, Any] = {
    "steps": 40,
    "batch_size": 8,
    "micro_batch_tokens": 30,
    "learning_rate": 1e-3,
    "threads": 1,
    "word_pairs": 2,
    "checkpoint_seconds": 0.001,
    "devices": ["cpu", "cpu"],
    "objective": "separate",
}
MODEL = Model(scratch=ScratchModel(layers=2, hidden=32, heads=2, feed_forward=32, dropout=0.0))
PROGRAM = """
import sys
from pathlib import Path
from mlctl.config import Model, Train
from mlctl.training import train
from mlctl.core.workspace import Workspace
settings, model, shards, folder = sys.argv[1:]
train(Train.model_validate_json(settings), Model.model_validate_json(model), 3, Path(shards), Workspace(Path(folder)))
"""


def run(shards: Path, folder: Path, updates: Callable[..., None] = lambda *_, **__: None, **changes: Any) -> dict[str, Any]:
    return train(Train.model_validate({**SETTINGS, **changes}), MODEL, 3, shards, Workspace(folder), updates)


def digests(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file() and ".scratch" not in file.parts]
    return {
        str(file.relative_to(folder)): file_digest(file)
        for file in files
        if file.name != "speed.jsonl" and file.parent.name != "tensorboard"
    }


def losses(folder: Path) -> Any:
    return np.array(pq.read_table(folder / "steps.parquet")["loss"])


def workers(parent: int) -> list[int]:
    """The training processes that a process started."""
    result = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status, command = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:  # it ended meanwhile
            continue
        if int(status.rpartition(")")[2].split()[1]) == parent and b"mlctl.training.worker" in command:
            result.append(int(folder.name))
    return sorted(result)


def wait_for(ready: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture(scope="module")
def shards(make_shards: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), [40, 24])


@pytest.fixture(scope="module")
def killed(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is left of a training in two processes whose starter was killed in mid-way."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", PROGRAM, json.dumps(SETTINGS), MODEL.model_dump_json(), str(shards), str(folder)]
    process = subprocess.Popen(command)
    reached = folder / ".scratch" / "checkpoints"
    wait_for(lambda: any(int(path.name[5:]) >= 7 for path in reached.glob("step-*")))
    children = workers(process.pid)
    assert len(children) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(Path(f"/proc/{child}/cmdline").exists() and alive(child) for child in children), 10)
    assert not (folder / "model").exists()
    return folder


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def straight(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A training in two processes that nothing stopped, and its progress."""
    folder, updates = tmp_path_factory.mktemp("straight"), []
    metrics = run(shards, folder, lambda done, total, unit, **figures: updates.append((done, total, unit, figures)))
    return folder, {"metrics": metrics, "updates": updates, "left": workers(os.getpid())}


pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_two_processes_learn_what_one_learns(straight: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path) -> None:
    folder, seen = straight
    assert [(done, total, unit) for done, total, unit, _ in seen["updates"]] == [(step, 40, "steps") for step in range(1, 41)]
    assert seen["updates"][-1][3]["loss"] == losses(folder)[-1]
    assert seen["left"] == []
    alone = run(shards, tmp_path, devices="cpu")
    assert {**alone, "loss": 0, "processes": 2} == {**seen["metrics"], "loss": 0}
    np.testing.assert_allclose(losses(tmp_path), losses(folder), rtol=1e-3, atol=1e-4)
    assert digests(tmp_path)["base/model.safetensors"] == digests(folder)["base/model.safetensors"]


def test_killed_and_gone_on_with_it_gives_the_same_bytes(
    killed: Path, straight: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path
) -> None:
    shutil.copytree(killed, tmp_path / "on")
    updates: list[int] = []
    run(shards, tmp_path / "on", lambda done, *_, **__: updates.append(done))
    assert 7 < updates[0] <= 40, "it did not resume from a checkpoint"
    assert digests(tmp_path / "on") == digests(straight[0])


def test_gone_on_with_by_one_process_it_sees_the_same_rows(
    killed: Path, straight: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path
) -> None:
    shutil.copytree(killed, tmp_path / "on")
    updates: list[int] = []
    run(shards, tmp_path / "on", lambda done, *_, **__: updates.append(done), devices="cpu", cache_gradients=True)
    assert 7 < updates[0] <= 40
    # With other rows, word pairs or masks these would differ by tenths; dropout is off.
    np.testing.assert_allclose(losses(tmp_path / "on"), losses(straight[0]), rtol=1e-3, atol=1e-4)


def test_a_dead_process_is_named_with_its_signal(shards: Path, tmp_path: Path) -> None:
    def kill(done: int, *_: Any, **__: Any) -> None:
        if done == 5:
            os.kill(workers(os.getpid())[1], signal.SIGKILL)

    with pytest.raises(ProcessDiedError, match=r"training process 1 of 2 \(cpu\): its process was ended by SIGKILL") as caught:
        run(shards, tmp_path, kill, steps=100_000)
    assert "run again" in caught.value.remedy
    assert workers(os.getpid()) == []
    assert list((tmp_path / ".scratch" / "checkpoints").glob("step-*"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def join_training(address: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mlctl.training.multinode", address]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_two_machines_learn_what_two_processes_learn(straight: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with join_training(address) as other:
        metrics = run(shards, tmp_path, devices="cpu", nodes=2, rendezvous=address)
        _, message = other.communicate(timeout=60)
    assert not other.returncode, message
    assert metrics == straight[1]["metrics"]
    assert digests(tmp_path) == digests(straight[0])


def test_a_machine_that_is_lost_ends_the_training_with_a_message(shards: Path, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with join_training(address) as other:

        def kill(done: int, *_: Any, **__: Any) -> None:
            if done == 5:
                other.kill()

        with pytest.raises(InputError, match=r"another machine of the training") as raised:
            run(shards, tmp_path, kill, steps=100_000, devices="cpu", nodes=2, rendezvous=address)
    assert "resumes from the newest checkpoint" in raised.value.remedy
    assert list((tmp_path / ".scratch" / "checkpoints").glob("step-*"))


def test_what_the_leading_machine_refuses_ends_the_other(shards: Path, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with join_training(address) as other:
        with pytest.raises(InputError, match=r"asks for 10 processes, but a batch has 8 pairs"):
            run(shards, tmp_path, devices=["cpu"] * 5, nodes=2, rendezvous=address)
        _, message = other.communicate(timeout=60)
    assert other.returncode == 1
    assert "asks for 10 processes" in message


def test_an_address_where_machines_cannot_meet(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.rendezvous: cannot listen at 192\.0\.2\.77:29500"):
        run(shards, tmp_path, nodes=2, rendezvous="192.0.2.77:29500")
    for address in ("", "nowhere"):
        with pytest.raises(ValueError, match="rendezvous"):
            Train(nodes=2, rendezvous=address)


class Cancelled(BaseException):
    pass


def test_cancelled_it_leaves_no_process(shards: Path, tmp_path: Path) -> None:
    def cancel(*_: Any, **__: Any) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        run(shards, tmp_path, cancel, steps=100_000)
    assert workers(os.getpid()) == []


def test_what_people_can_mend_comes_out_as_it_is(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^train\.batch_size is 65, but there are only 64 training rows"):
        run(shards, tmp_path, batch_size=65)


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (["cpu", "toaster"], r"train\.devices: 'toaster' cannot be used here"),
        (["cpu", "meta"], "devices of several kinds: cpu, meta"),
        (["cuda:99"], r"train\.devices: 'cuda:99' cannot be used here"),
    ],
)
def test_devices_that_cannot_be_used(devices: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_devices(tuple(devices))


def test_more_processes_than_pairs(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.devices asks for 9 processes, but a batch has 8 pairs"):
        run(shards, tmp_path, devices=["cpu"] * 9)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a number counts GPUs here")
def test_a_number_of_processes_on_the_cpu() -> None:
    assert [str(device) for device in resolve_devices(3)] == ["cpu"] * 3
    assert [str(device) for device in resolve_devices("auto")] == ["cpu"]


@pytest.mark.parametrize("devices", ["auto", "cpu", 2, ("cpu", "cpu")])
def test_devices_of_every_form_fit_the_schema_that_forms_are_made_of(devices: Any) -> None:
    assert Train(devices=devices).devices == devices
    forms = Train.model_json_schema()["properties"]["devices"]["anyOf"]
    assert {form["type"] for form in forms} == {"string", "integer", "array"}


@pytest.mark.parametrize("devices", [0, -1, True, [], ["auto"], [1], 1.5, ""])
def test_devices_of_the_wrong_form(devices: Any) -> None:
    with pytest.raises(ValueError, match=r"use auto, a number of at least 1, or names such as cpu"):
        Train(devices=devices)
