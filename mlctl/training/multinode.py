"""Training on several machines: the main machine waits at an address until the others have joined, then all train together.

The main machine runs the pipeline as usual; each other machine runs `python -m mlctl.training.multinode HOST:PORT`. Through torch's
TCPStore at that address they exchange the job (JSON that names files which all machines see), the number of devices of each, and
who has finished. The processes of all machines then form their process group there, too.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import socket
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from torch.distributed import DistStoreError, TCPStore  # type: ignore[attr-defined]

import mlctl
from mlctl.config import ResolvedTrain, Train
from mlctl.errors import InputError
from mlctl.modeling.devices import resolve_devices
from mlctl.training.distributed import NodeAssignment
from mlctl.training.launcher import launch

_POLL_SECONDS = 0.2  # between two polls, so that a signal gets through
_FINISH_SECONDS = 60.0  # by which machines may differ in when they finish
_STORE_TIMEOUT = timedelta(seconds=30)
#: Parts of the messages of gloo, NCCL and torch's store about a lost machine.
_LOST_CONNECTION = ("by peer", "ncclRemoteError", "remote process", "Broken pipe", "Timed out", "timeout")

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def host_training(job: dict[str, Any], settings: ResolvedTrain, devices: int) -> Iterator[NodeAssignment]:
    """Wait until `train.nodes` machines have joined, and yield the assignment of this one, which has `devices` devices.

    Raises:
        InputError: the address cannot be bound, or there are more processes than a batch has pairs.
    """
    address = _parse_address(settings.rendezvous)
    store = _serve_store(*address)
    store.set("job", json.dumps({"version": mlctl.__version__, "nodes": settings.nodes, "job": job}))
    _log.info("waiting for %d more machines to join at %s", settings.nodes - 1, settings.rendezvous)
    counts = [devices, *(int(_wait_for(store, f"devices/{node}")) for node in range(1, settings.nodes))]
    first_ranks = [0, *itertools.accumulate(counts)]
    try:
        check_size(first_ranks[-1], settings)
    except InputError as error:
        store.set("plan", json.dumps({"problem": error.problem, "remedy": error.remedy}))
        time.sleep(10 * _POLL_SECONDS)  # the store ends with this block: let the others read the error
        raise
    store.set("plan", json.dumps(first_ranks))
    _log.info("%d machines with %s processes", settings.nodes, " + ".join(map(str, counts)))
    with _explain_lost_connection():
        yield _assignment(store, address, 0, first_ranks)


def join_training(rendezvous: str) -> None:
    """Wait for a training that a main machine hosts at an address, and take part in it until it ends.

    Raises:
        InputError: this machine has another version of mlctl, does not see the main machine's files, or joins too late.
    """
    address = _parse_address(rendezvous)
    store = _connect_store(*address)
    message = json.loads(_wait_for(store, "job"))
    _check_job(message)
    devices = resolve_devices(Train.model_validate(message["job"]["settings"]).devices)
    node = store.add("joined", 1)
    if node >= message["nodes"]:
        raise InputError(
            f"the training at {rendezvous} has {message['nodes']} machines, and all have joined",
            "raise train.nodes, or leave this machine out",
        )
    store.set(f"devices/{node}", str(len(devices)))
    plan = json.loads(_wait_for(store, "plan"))
    if isinstance(plan, dict):
        raise InputError(plan["problem"], plan["remedy"])
    with _explain_lost_connection():
        launch(message["job"], devices, _ignore_progress, _assignment(store, address, node, plan))


def check_size(processes: int, settings: ResolvedTrain) -> None:
    """Raise an InputError if there are more processes than a batch has pairs."""
    if processes > settings.batch_size:
        raise InputError(
            f"train.devices asks for {processes} processes, but a batch has {settings.batch_size} pairs",
            "lower train.devices or raise train.batch_size",
        )


@contextlib.contextmanager
def _explain_lost_connection() -> Iterator[None]:
    """Turn the libraries' errors about a lost machine into an InputError."""
    try:
        yield
    except RuntimeError as error:
        last_line = str(error).rstrip().rpartition("\n")[2]
        if not any(message in last_line for message in _LOST_CONNECTION):
            raise
        remedy = (
            "check the log of the other machines, start them again and run again: training resumes from the newest checkpoint"
        )
        raise InputError(f"another machine of the training was lost ({last_line})", remedy) from error


def _assignment(store: TCPStore, address: tuple[str, int], node: int, first_ranks: list[int]) -> NodeAssignment:
    hostname, port = address

    def finish() -> None:
        finished = [f"ended/{other}" for other in range(len(first_ranks) - 1)]
        deadline = time.monotonic() + _FINISH_SECONDS
        with contextlib.suppress(DistStoreError, RuntimeError):  # the main machine may have ended
            store.set(f"ended/{node}", "")
            while not store.check(finished) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)

    return NodeAssignment(first_ranks[node], first_ranks[-1], f"tcp://{hostname}:{port}", finish)


def _serve_store(hostname: str, port: int) -> TCPStore:
    """Return a store that listens at an address of this machine alone."""
    try:
        listener = socket.create_server((hostname, port))
    except OSError as error:
        remedy = "name an address of this machine that the others can reach, and a free port"
        raise InputError(f"train.rendezvous: cannot listen at {hostname}:{port} ({error.strerror})", remedy) from None
    return TCPStore(
        hostname, port, is_master=True, wait_for_workers=False, timeout=_STORE_TIMEOUT, master_listen_fd=listener.detach()
    )


def _connect_store(hostname: str, port: int) -> TCPStore:
    _log.info("waiting for a training at %s:%d", hostname, port)
    while True:
        try:
            socket.create_connection((hostname, port), 5).close()
            return TCPStore(hostname, port, is_master=False, timeout=_STORE_TIMEOUT)
        except (OSError, DistStoreError):
            time.sleep(1)


def _wait_for(store: TCPStore, key: str) -> str:
    while not store.check([key]):
        time.sleep(_POLL_SECONDS)
    text: bytes = store.get(key)
    return text.decode()


def _check_job(message: dict[str, Any]) -> None:
    if message["version"] != mlctl.__version__:
        raise InputError(
            f"this machine has mlctl {mlctl.__version__}, the main machine {message['version']}", "install the same version"
        )
    for name in ("sharded", "workspace"):
        if not Path(message["job"][name]).is_dir():
            raise InputError(
                f"this machine does not see {message['job'][name]}",
                "put the store (of a store behind a URL: MLCTL_CACHE) on a file system that all machines have under the same path",
            )


def _parse_address(address: str) -> tuple[str, int]:
    hostname, _, port = address.rpartition(":")
    if not hostname or not port.isdecimal():
        remedy = "give host:port of the main machine, such as train.rendezvous=10.0.0.1:29500"
        raise InputError(f"training on several machines: {address!r} is not a valid address", remedy)
    return hostname.strip("[]"), int(port)


def _ignore_progress(done: int, total: int | None, unit: str, **figures: float | str) -> None:
    """Report nothing: the main machine does."""
    del done, total, unit, figures


def main() -> int:
    """Join the training at the address that is the one argument; exit 1 when it failed."""
    parser = argparse.ArgumentParser(description="Take part in a training that another machine hosts.")
    parser.add_argument("address", help="the main machine's train.rendezvous, host:port")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        join_training(parser.parse_args().address)
    except (InputError, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
