"""Joins the processes of a training: their ranks come from the environment, the job from the main process.

RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT are set by torchrun, or by whatever starts the processes: a script for Slurm, Kubernetes'
training operator. Through the store of torch.distributed at that address the processes exchange the job (JSON that names files which all
of them see) and what each of them found wrong; then they initialise torch's process group.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed import FileStore, PrefixStore, Store, rendezvous  # type: ignore[attr-defined]

from mlctl import version
from mlctl.config import ResolvedTrain
from mlctl.errors import InputError
from mlctl.execution.processes import error_from_response, error_response, run_job
from mlctl.modeling.devices import resolve_devices
from mlctl.training.distributed import ProcessGroup
from mlctl.training.interruption import TrainingInterrupted
from mlctl.training.process_failures import (
    LAUNCH_FOLDER,
    error_from_failure,
    lost_process_error,
    record_failure,
    recorded_failure,
)

_CONNECT_TIMEOUT = timedelta(
    days=7
)  # the other processes start with the machines, the main one trains after hours of other stages
_EXCHANGE_TIMEOUT = timedelta(minutes=10)
_LEAVE_SECONDS = 30.0  # by which processes may differ in when they finish
_LOST_SECONDS = 5.0  # for the others to notice that this process has failed, and to read why; some may be lost

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ranks:
    """The place of this process among all, as torchrun numbers them: the main process need not be the first.

    Attributes:
        rank: of this process.
        size: number of processes.
        local_rank: of this process among those of its machine.
    """

    rank: int
    size: int
    local_rank: int

    @classmethod
    def from_environment(cls) -> Ranks | None:
        """Return the ranks that the environment sets; None: this process is alone.

        Raises:
            InputError: WORLD_SIZE is above 1, but another variable is missing.
        """
        size = int(os.environ.get("WORLD_SIZE") or 1)
        if size == 1:
            return None
        missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
        if missing:
            raise InputError(
                f"WORLD_SIZE is {size}, but the environment sets no {', '.join(missing)}",
                "set all four for every process, or unset WORLD_SIZE",
            )
        return cls(int(os.environ["RANK"]), size, int(os.environ.get("LOCAL_RANK") or 0))


@dataclass(frozen=True)
class Membership:
    """What a process knows after it has joined.

    Attributes:
        group: the process group; the main process has rank 0.
        device: the device of this process.
        job: the main process's job, of `Job.to_json`.
        store: shared by the processes.
    """

    group: ProcessGroup
    device: torch.device
    job: dict[str, Any]
    store: Store

    def leave(self, has_failed: bool = False) -> None:
        """End the process group, and wait until all processes have done so: one of them serves the store."""
        if has_failed and self.device.type == "cuda":
            distributed.distributed_c10d._abort_process_group()  # others wait for this one in an operation of NCCL
        elif has_failed:
            distributed.destroy_process_group()
        seconds = _LOST_SECONDS if has_failed else _LEAVE_SECONDS
        _wait_for_all(self.store, "left", self.group.rank, self.group.size, seconds)
        if not has_failed:
            distributed.destroy_process_group()


def join(ranks: Ranks, job: dict[str, Any] | None = None, device: torch.device | None = None) -> Membership:
    """Wait for all processes, agree on the job, and initialise torch's process group.

    Args:
        ranks: those of this process.
        job: the job, in the main process; None in all others.
        device: the device of this process; None: the one of its local rank, of the same kind as the main process's.

    Raises:
        InputError: one of the processes has another version of mlctl, does not see the main process's files or has no such device, or
            there are more processes than a batch has pairs. All processes raise the same error.
    """
    store = _connect(ranks)
    if job is not None:
        kind = (device or _device("auto", ranks)).type
        store.set("job", json.dumps({"main": ranks.rank, "version": version.__version__, "device": kind, "job": job}))
    message = json.loads(store.get("job"))
    devices: list[torch.device] = []

    def check(message: dict[str, Any]) -> None:
        _check_job(message, ranks)
        devices.append(device or _device(message["device"], ranks))

    local_size = _exchange_checks(store, ranks, run_job(check, message))
    group = ProcessGroup((ranks.rank - message["main"]) % ranks.size, ranks.size, local_size)
    if devices[0].type == "cuda":
        torch.cuda.set_device(devices[0])
    distributed.init_process_group(
        "nccl" if devices[0].type == "cuda" else "gloo", store=PrefixStore("group", store), rank=group.rank, world_size=group.size
    )
    return Membership(group, devices[0], message["job"], store)


@contextlib.contextmanager
def joined_as_main(job: dict[str, Any], ranks: Ranks, devices: str | int | tuple[str, ...]) -> Iterator[Membership]:
    """Take part in the training as the main process, whose ranks the environment has set; `devices` is the setting.

    Raises:
        InputError: this is not the first process, another one found an error, or another one was lost.
    """
    if ranks.rank:
        raise InputError(
            f"this process has RANK {ranks.rank}: the process with RANK 0 alone runs the pipeline",
            "run `python -m mlctl.training.worker` in the others",
        )
    own_devices = resolve_devices(devices)
    _log.info("waiting for %d more processes at %s:%s", ranks.size - 1, os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"])
    membership = join(ranks, job, own_devices[ranks.local_rank % len(own_devices)])
    has_failed = True
    try:
        yield membership
        has_failed = False
    except TrainingInterrupted:
        has_failed = False
        raise
    except (InputError, OSError) as error:
        record_failure(membership.store, error_response(error))
        raise
    except RuntimeError as error:
        if cause := error_from_failure(recorded_failure(membership.store)) or lost_process_error(str(error)):
            raise cause from error
        raise
    finally:
        membership.leave(has_failed)


def check_size(processes: int, settings: ResolvedTrain) -> None:
    """Raise an InputError if there are more processes than a batch has pairs."""
    if processes > settings.batch_size:
        raise InputError(
            f"train.devices asks for {processes} processes, but a batch has {settings.batch_size} pairs",
            "lower train.devices or raise train.batch_size",
        )


def _connect(ranks: Ranks) -> Store:
    """Return the store that the processes share: a file in the launcher's folder, or at MASTER_ADDR."""
    folder = os.environ.get(LAUNCH_FOLDER)
    store: Store
    if folder and os.environ["GROUP_WORLD_SIZE"] == "1":
        store = FileStore(str(Path(folder, f"store-{os.environ['TORCHELASTIC_RESTART_COUNT']}")), ranks.size)
    else:
        store = next(rendezvous("env://", timeout=_CONNECT_TIMEOUT))[0]
    store.set_timeout(_EXCHANGE_TIMEOUT)
    return PrefixStore("mlctl", store)


def _device(kind: str, ranks: Ranks) -> torch.device:
    devices = resolve_devices("auto" if kind == "cuda" else kind)
    if kind == "cuda" and devices[0].type != "cuda":
        raise InputError(
            "the main process trains on GPUs, but there is none", "run on machines with GPUs, or set train.devices=cpu"
        )
    return devices[ranks.local_rank % len(devices)]


def _exchange_checks(store: Store, ranks: Ranks, response: dict[str, Any]) -> int:
    """Raise the first error that one of the processes found; return the number of processes of this machine."""
    host = socket.gethostname()
    store.set(f"check/{ranks.rank}", json.dumps({"host": host, "response": response}))
    checks = [json.loads(store.get(f"check/{rank}")) for rank in range(ranks.size)]
    for check in checks:
        if error := error_from_response(check["response"], "" if check["host"] == host else check["host"]):
            _wait_for_all(store, "checked", ranks.rank, ranks.size, _LEAVE_SECONDS)
            raise error
    local_size = os.environ.get("LOCAL_WORLD_SIZE")
    return int(local_size) if local_size else Counter(check["host"] for check in checks)[host]


def _wait_for_all(store: Store, key: str, rank: int, size: int, seconds: float) -> None:
    """Wait until all processes are here: what one sent last may not have been read by all, and one of them serves the store."""
    with contextlib.suppress(RuntimeError):  # the store may have ended
        store.set(f"{key}/{rank}", "")
        store.wait([f"{key}/{other}" for other in range(size)], timedelta(seconds=seconds))


def _check_job(message: dict[str, Any], ranks: Ranks) -> None:
    if message["version"] != version.__version__:
        raise InputError(
            f"this machine has mlctl {version.__version__}, the main machine {message['version']}", "install the same version"
        )
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        raise InputError(
            "torchrun was started without TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1: a restarted group would find the store of the lost one",
            "set this variable where torchrun is started",
        )
    check_size(ranks.size, ResolvedTrain.model_validate(message["job"]["settings"]))
    for name in ("sharded", "workspace"):
        if not Path(message["job"][name]).is_dir():
            raise InputError(
                f"this machine does not see {message['job'][name]}",
                "put the store (of a store behind a URL: MLCTL_CACHE) on a file system that all machines have under the same path",
            )
