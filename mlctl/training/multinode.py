"""Training on several machines: one leads and waits at an address until the others have joined, then all train as one team.

The leading machine runs the pipeline as ever; each other one runs `python -m mlctl.training.multinode HOST:PORT`. What they tell each
other through torch's store at that address are the job (JSON that names files all of them see), how many devices each has, and
who has finished. The processes of all machines then meet there, too.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from torch.distributed import DistStoreError, TCPStore  # type: ignore[attr-defined]

import mlctl
from mlctl.config import Train
from mlctl.errors import InputError
from mlctl.execution.processes import error_from_response
from mlctl.training.device import devices_of

_STEP = 0.2  # seconds between two looks, so that a signal gets through
_END = 60.0  # seconds that machines may differ in when they finish
_SHORT = timedelta(seconds=30)
_LOST = (
    "by peer",
    "ncclRemoteError",
    "remote process",
    "Broken pipe",
    "Timed out",
    "timeout",
)  # said by gloo, NCCL, torch's store

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Share:
    """What the processes of one machine are: `first` and those after it, of `size`.

    They meet at `meeting`, a URL; `end` is called when all of them have their result and before they are ended.
    """

    first: int
    size: int
    meeting: str
    end: Callable[[], None]


@contextlib.contextmanager
def lead(job: dict[str, Any], settings: Train, devices: int) -> Iterator[Share]:
    """Wait until `train.nodes` machines are there, and yield the share of this one, which has `devices` devices.

    Raises:
        InputError: the address cannot be listened at, or there are more processes than a batch has pairs.
    """
    place = _place(settings.rendezvous)
    store = _served(*place)
    store.set("job", json.dumps({"version": mlctl.__version__, "nodes": settings.nodes, "job": job}))
    _log.info("waiting for %d more machines to join at %s", settings.nodes - 1, settings.rendezvous)
    counts = [devices, *(int(_waited(store, f"devices/{number}")) for number in range(1, settings.nodes))]
    firsts = [0, *itertools.accumulate(counts)]
    try:
        check_size(firsts[-1], settings)
    except InputError as error:
        store.set("plan", json.dumps({"problem": error.problem, "remedy": error.remedy}))
        time.sleep(10 * _STEP)  # the store ends with this block: let the others read that
        raise
    store.set("plan", json.dumps(firsts))
    _log.info("%d machines with %s processes", settings.nodes, " + ".join(map(str, counts)))
    with _told_of_losses():
        yield _share(store, place, 0, firsts)


def join(address: str) -> None:
    """Take part in the training that a machine leads at an address, when there is one, until it has ended.

    Raises:
        InputError: this machine has another version of mlctl, does not see the leading one's files, or comes too late.
    """
    from mlctl.training.launcher import launch

    place = _place(address)
    store = _joined(*place)
    told = json.loads(_waited(store, "job"))
    _check(told)
    devices = devices_of(Train.model_validate(told["job"]["settings"]).devices)
    number = store.add("joined", 1)
    if number >= told["nodes"]:
        raise InputError(
            f"{told['nodes']} machines train at {address}, and all are there", "raise train.nodes, or leave this one out"
        )
    store.set(f"devices/{number}", str(len(devices)))
    plan = json.loads(_waited(store, "plan"))
    if error := error_from_response(plan, "") if isinstance(plan, dict) else None:
        raise error
    with _told_of_losses():
        launch(told["job"], devices, _tell, _share(store, place, number, plan))


def check_size(processes: int, settings: Train) -> None:
    """Refuse more processes than a batch has pairs.

    Raises:
        InputError: there are more.
    """
    if processes > settings.batch_size:
        raise InputError(
            f"train.devices asks for {processes} processes, but a batch has {settings.batch_size} pairs",
            "lower train.devices or raise train.batch_size",
        )


@contextlib.contextmanager
def _told_of_losses() -> Iterator[None]:
    """Turn what the libraries say of a machine that has gone into words."""
    try:
        yield
    except RuntimeError as error:
        last = str(error).rstrip().rpartition("\n")[2]
        if not any(sign in last for sign in _LOST):
            raise
        remedy = "look at the log of the others; start them again and run again: training goes on from the newest checkpoint"
        raise InputError(f"another machine of the training has gone ({last})", remedy) from error


def _share(store: TCPStore, place: tuple[str, int], number: int, firsts: list[int]) -> Share:
    host, port = place

    def end() -> None:
        others = [f"ended/{other}" for other in range(len(firsts) - 1)]
        limit = time.monotonic() + _END
        with contextlib.suppress(DistStoreError, RuntimeError):  # whoever leads may have gone
            store.set(f"ended/{number}", "")
            while not store.check(others) and time.monotonic() < limit:
                time.sleep(_STEP)

    return Share(firsts[number], firsts[-1], f"tcp://{host}:{port}", end)


def _served(host: str, port: int) -> TCPStore:
    """Return a store that listens at an address of this machine alone."""
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        remedy = "name an address of this machine that the others reach, and a free port"
        raise InputError(f"train.rendezvous: {host}:{port} cannot be listened at ({error.strerror})", remedy) from None
    return TCPStore(host, port, is_master=True, wait_for_workers=False, timeout=_SHORT, master_listen_fd=listener.detach())


def _joined(host: str, port: int) -> TCPStore:
    _log.info("waiting for a training at %s:%d", host, port)
    while True:
        try:
            socket.create_connection((host, port), 5).close()
            return TCPStore(host, port, is_master=False, timeout=_SHORT)
        except (OSError, DistStoreError):
            time.sleep(1)


def _waited(store: TCPStore, key: str) -> str:
    while not store.check([key]):
        time.sleep(_STEP)
    text: bytes = store.get(key)
    return text.decode()


def _check(told: dict[str, Any]) -> None:
    if told["version"] != mlctl.__version__:
        raise InputError(f"this machine has mlctl {mlctl.__version__}, the leading one {told['version']}", "install the same")
    for name in ("sharded", "workspace"):
        if not Path(told["job"][name]).is_dir():
            raise InputError(
                f"this machine does not see {told['job'][name]}",
                "put the store (of a store behind a URL: MLCTL_CACHE) on a file system that all machines have under the same path",
            )


def _place(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        remedy = "give host:port of the leading machine, such as train.rendezvous=10.0.0.1:29500"
        raise InputError(f"training on several machines: {address!r} is no address", remedy)
    return host.strip("[]"), int(port)


def _tell(done: int, total: int | None, unit: str, **figures: float | str) -> None:
    """Show nothing: the leading machine does."""
    del done, total, unit, figures


def main() -> int:
    """Join the training at the address that is the one argument; exit 1 when it failed."""
    parser = argparse.ArgumentParser(description="Take part in a training that another machine leads.")
    parser.add_argument("address", help="its train.rendezvous, host:port")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        join(parser.parse_args().address)
    except (InputError, RuntimeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
