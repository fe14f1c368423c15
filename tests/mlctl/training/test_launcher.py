"""Training in two processes, for real: started, monitored, killed, resumed."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import torch

from mlctl.config import Model, ScratchModel, Train
from mlctl.core.hashing import file_digest
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.execution.processes import ProcessDiedError
from mlctl.modeling.devices import resolve_devices
from mlctl.training import launcher, train

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
from mlctl.training import launcher, train
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
    """The training processes below a process."""
    return [process.pid for process in descendants(parent) if "mlctl.training.worker" in process.cmdline()]


def agent(parent: int) -> int:
    """The process of torchrun's agent that a process started."""
    (found,) = [process.pid for process in descendants(parent) if "mlctl.training.agent" in process.cmdline()]
    return found


def training_processes() -> list[psutil.Process]:
    """Return the agents and training processes that this process has; servers of other tests may be its children, too."""
    return [child for child in descendants(os.getpid()) if any(part.startswith("mlctl.training.") for part in child.cmdline())]


def descendants(parent: int) -> list[psutil.Process]:
    children = psutil.Process(parent).children(recursive=True)
    return sorted((child for child in children if alive(child.pid)), key=lambda child: child.pid)


def alive(process: int) -> bool:
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_for(ready: Callable[[], Any], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.01)


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
    children = [*workers(process.pid), agent(process.pid)]
    assert len(children) == 3
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(map(alive, children)), 10)
    assert not (folder / "model").exists()
    return folder


@pytest.fixture(scope="module")
def straight(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A training in two processes that nothing stopped, and its progress."""
    folder, updates = tmp_path_factory.mktemp("straight"), []
    metrics = run(shards, folder, lambda done, total, unit, **figures: updates.append((done, total, unit, figures)))
    return folder, {"metrics": metrics, "updates": updates, "left": training_processes()}


pytestmark = [pytest.mark.slow, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")]


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


@pytest.mark.parametrize("devices", ["cpu", ["cpu"] * 3], ids=["one", "three"])
def test_gone_on_with_by_another_number_of_processes_it_sees_the_same_rows(
    killed: Path, straight: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path, devices: Any
) -> None:
    shutil.copytree(killed, tmp_path / "on")
    updates: list[int] = []
    run(shards, tmp_path / "on", lambda done, *_, **__: updates.append(done), devices=devices, cache_gradients=True)
    assert 7 < updates[0] <= 40
    # With other rows, word pairs or masks these would differ by tenths; dropout is off.
    np.testing.assert_allclose(losses(tmp_path / "on"), losses(straight[0]), rtol=1e-3, atol=1e-4)


class KillOnce:
    """Kills a process with SIGKILL when a step is done; logs the progress."""

    def __init__(self, step: int, process: Callable[[], int]) -> None:
        self.steps: list[int] = []
        self._step, self._process = step, process

    def __call__(self, done: int, *_: Any, **__: Any) -> None:
        if done == self._step and done not in self.steps:
            os.kill(self._process(), signal.SIGKILL)
        self.steps.append(done)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_is_started_again_and_the_bytes_are_the_same(
    straight: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, rank: int
) -> None:
    killer = KillOnce(9, lambda: workers(os.getpid())[rank])
    assert run(shards, tmp_path, killer) == straight[1]["metrics"]
    message = rf"training process {rank} of 2 \(cpu\) was lost: all processes were started again \(1 of 3 times\)"
    assert re.search(message, caplog.text)
    assert killer.steps[-1] == 40
    assert killer.steps.count(1) == 1, "it did not resume from the newest checkpoint"
    assert digests(tmp_path) == digests(straight[0])
    assert training_processes() == []


def test_a_process_that_is_killed_again_and_again_is_named_with_its_signal(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "_MAX_RESTARTS", 0)
    with pytest.raises(ProcessDiedError, match=r"training process 1 of 2 \(cpu\): its process was ended by SIGKILL") as caught:
        run(shards, tmp_path, KillOnce(5, lambda: workers(os.getpid())[1]), steps=100_000)
    assert "run again" in caught.value.remedy
    assert training_processes() == []
    assert list((tmp_path / ".scratch" / "checkpoints").glob("step-*"))


def test_the_next_run_goes_on_where_the_agent_was_killed(
    straight: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path
) -> None:
    seen: list[int] = []

    def agent_of_workers() -> int:
        seen.extend(workers(os.getpid()))
        return agent(os.getpid())

    with pytest.raises(ProcessDiedError, match="torchrun's agent: its process was ended by SIGKILL"):
        run(shards, tmp_path, KillOnce(7, agent_of_workers))
    assert len(seen) == 2
    assert not any(map(alive, seen))
    updates: list[int] = []
    run(shards, tmp_path, lambda done, *_, **__: updates.append(done))
    assert updates[0] > 5
    assert digests(tmp_path) == digests(straight[0])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}


@contextlib.contextmanager
def started(command: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Start a process that is killed at the end of the block."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**ENVIRONMENT, **environment})
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def torchrun(address: str, restarts: int = 0, **environment: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """Start torchrun as another machine does; the main machine need not listen yet."""
    nodes = ("--nnodes=2", "--nproc-per-node=1", f"--max-restarts={restarts}")
    meeting = ("--rdzv-backend=c10d", "--rdzv-id=mlctl", f"--rdzv-endpoint={address}", "--rdzv-conf=is_host=0,read_timeout=600")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        *nodes,
        *meeting,
        "--local-addr=127.0.0.1",
        "-m",
        "mlctl.training.worker",
    ]
    return started(command, **{"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", **environment})


def test_two_machines_learn_what_two_processes_learn(straight: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    updates: list[int] = []
    with torchrun(address) as other:
        metrics = run(shards, tmp_path, lambda done, *_, **__: updates.append(done), devices="cpu", nodes=2, rendezvous=address)
        _, message = other.communicate(timeout=60)
    assert not other.returncode, message
    assert updates == list(range(1, 41)), "the main machine has the main process"
    assert metrics == straight[1]["metrics"]
    assert digests(tmp_path) == digests(straight[0])


def test_a_process_that_is_killed_on_another_machine_is_started_again(
    straight: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"127.0.0.1:{free_port()}"
    with torchrun(address, restarts=3) as other:
        killer = KillOnce(9, lambda: workers(other.pid)[0])
        metrics = run(shards, tmp_path, killer, devices="cpu", nodes=2, rendezvous=address)
        _, message = other.communicate(timeout=60)
    assert not other.returncode, message
    assert "lost: all processes were started again" in caplog.text
    assert metrics == straight[1]["metrics"]
    assert digests(tmp_path) == digests(straight[0])


@pytest.mark.parametrize("lost", ["machine", "process"])
def test_a_machine_that_is_lost_ends_the_training_with_a_message(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """A machine that is gone does not join again; one whose torchrun starts no process again leaves."""
    monkeypatch.setattr(launcher, "_REJOIN_SECONDS", 3.0 if lost == "machine" else 600.0)
    address = f"127.0.0.1:{free_port()}"
    with torchrun(address) as other:
        killer = KillOnce(5, lambda: other.pid if lost == "machine" else workers(other.pid)[0])
        with pytest.raises(InputError, match=r"another machine of the training was lost") as raised:
            run(shards, tmp_path, killer, steps=100_000, devices="cpu", nodes=2, rendezvous=address)
    assert "start torchrun there and run again" in raised.value.remedy
    assert training_processes() == []
    assert list((tmp_path / ".scratch" / "checkpoints").glob("step-*"))


def test_what_one_machine_refuses_ends_the_other(shards: Path, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with torchrun(address) as other:
        with pytest.raises(InputError, match=r"asks for 9 processes, but a batch has 8 pairs"):
            run(shards, tmp_path, devices=["cpu"] * 8, nodes=2, rendezvous=address)
        _, message = other.communicate(timeout=60)
    assert other.returncode == 1
    assert "asks for 9 processes" in message


def test_a_machine_with_shared_stores_is_refused(shards: Path, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    with torchrun(address, TORCH_DISABLE_SHARE_RDZV_TCP_STORE="0") as other:
        with pytest.raises(InputError, match=r"torchrun was started without TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"):
            run(shards, tmp_path, devices="cpu", nodes=2, rendezvous=address)
        other.communicate(timeout=60)
    assert other.returncode == 1


def test_an_address_where_machines_cannot_meet(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.rendezvous: cannot listen at 192\.0\.2\.77:29500"):
        run(shards, tmp_path, nodes=2, rendezvous="192.0.2.77:29500")
    for address in ("", "nowhere"):
        with pytest.raises(ValueError, match="rendezvous"):
            Train(nodes=2, rendezvous=address)


def with_ranks(command: list[str], rank: int, port: int) -> AbstractContextManager[subprocess.Popen[str]]:
    """Start a process as Slurm or Kubernetes do."""
    return started(command, RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))


def main_command(shards: Path, folder: Path, **changes: Any) -> list[str]:
    return [sys.executable, "-c", PROGRAM, json.dumps({**SETTINGS, **changes}), MODEL.model_dump_json(), str(shards), str(folder)]


WORKER = [sys.executable, "-m", "mlctl.training.worker"]


def test_ranks_are_taken_from_the_environment(straight: tuple[Path, dict[str, Any]], shards: Path, tmp_path: Path) -> None:
    port = free_port()
    with with_ranks(WORKER, 1, port) as other, with_ranks(main_command(shards, tmp_path, devices="auto"), 0, port) as main:
        messages = [process.communicate(timeout=240)[1] for process in (main, other)]
    assert (main.returncode, other.returncode) == (0, 0), messages
    assert digests(tmp_path) == digests(straight[0])


def test_a_lost_process_of_the_environment_ends_the_training_with_a_message(shards: Path, tmp_path: Path) -> None:
    port = free_port()
    with with_ranks(WORKER, 1, port) as other, with_ranks(main_command(shards, tmp_path, steps=100_000), 0, port) as main:
        wait_for(lambda: any((tmp_path / ".scratch" / "checkpoints").glob("step-*")), 240)
        other.kill()
        _, message = main.communicate(timeout=60)
    assert main.returncode == 1
    assert "another process of the training was lost" in message


def test_what_all_processes_refuse_ends_all_of_them_with_the_message(shards: Path, tmp_path: Path) -> None:
    port = free_port()
    with with_ranks(WORKER, 1, port) as other, with_ranks(main_command(shards, tmp_path, batch_size=65), 0, port) as main:
        messages = [process.communicate(timeout=240)[1] for process in (main, other)]
    assert (main.returncode, other.returncode) == (1, 1)
    assert all("train.batch_size is 65, but there are only 64 training rows" in message for message in messages)


def test_an_error_of_the_main_process_alone_ends_the_others_with_its_message(shards: Path, tmp_path: Path) -> None:
    failing = (
        "def fail(*_, **__):\n    from mlctl.errors import InputError\n    raise InputError('the room is hot', 'open a window')\n"
    )
    command, port = main_command(shards, tmp_path), free_port()
    command[2] = failing + PROGRAM.replace("Workspace(Path(folder)))", "Workspace(Path(folder)), fail)")
    with with_ranks(WORKER, 1, port) as other, with_ranks(command, 0, port) as main:
        messages = [process.communicate(timeout=240)[1] for process in (main, other)]
    assert (main.returncode, other.returncode) == (1, 1)
    assert all("the room is hot" in message for message in messages), messages


def test_only_the_first_process_runs_the_pipeline(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="RANK 1: the process with RANK 0 alone runs the pipeline"):
        run(shards, tmp_path)
    monkeypatch.delenv("MASTER_ADDR")
    with pytest.raises(InputError, match="WORLD_SIZE is 2, but the environment sets no MASTER_ADDR"):
        run(shards, tmp_path)


class Cancelled(BaseException):
    pass


def test_cancelled_it_leaves_no_process(shards: Path, tmp_path: Path) -> None:
    def cancel(*_: Any, **__: Any) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        run(shards, tmp_path, cancel, steps=100_000)
    assert training_processes() == []


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
