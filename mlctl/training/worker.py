"""One process of a multi-process training: joins the process group, trains, and reports to the process that started it.

Messages are lines of JSON on standard output: `progress`, `log`, and at the end `result`, `interrupted` or an error.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
from threading import Lock
from typing import IO, Any

import torch
from torch import distributed
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from mlctl.execution.processes import die_with_parent, run_job
from mlctl.training.distributed import ProcessGroup
from mlctl.training.interruption import StopRequest, TrainingInterrupted
from mlctl.training.stage import Job, train_in_process


def main() -> None:
    """Run the task on standard input."""
    die_with_parent(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C of a terminal: the parent receives it too, and ends this process
    stop = StopRequest()
    signal.signal(signal.SIGTERM, lambda *_: stop.make())  # from the parent, or to the whole process group
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as stream:
        os.dup2(2, 1)  # keep what libraries print out of the messages
        try:
            _serve(json.loads(sys.stdin.readline()), _MessageWriter(stream), stop)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)  # threads of the process group may hang in a normal exit


def _serve(task: dict[str, Any], messages: _MessageWriter, stop: StopRequest) -> None:
    logger = logging.getLogger("mlctl")
    logger.addHandler(messages)
    logger.setLevel(logging.WARNING if task["rank"] else logging.INFO)
    message: dict[str, Any] = {}

    def run(job: dict[str, Any]) -> None:
        try:
            message["result"] = _train(job, messages, stop)
        except TrainingInterrupted as interruption:
            message["interrupted"] = [interruption.step, interruption.steps]

    messages.send(run_job(run, task) or message)
    sys.stdin.read()  # wait to be ended: other processes may not yet have read what this one sent them last


def _train(task: dict[str, Any], messages: _MessageWriter, stop: StopRequest) -> dict[str, Any]:
    group, device = ProcessGroup(task["rank"], task["size"], task["local_size"]), torch.device(task["device"])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, **_rendezvous(task["init_method"]), rank=group.rank, world_size=group.size)
    return train_in_process(Job.from_json(task["job"]), device, group, messages.progress, stop)


def _rendezvous(init_method: str) -> dict[str, Any]:
    """Return the arguments of `init_process_group` for a file: URL, or for the store that the main machine serves at a tcp: URL."""
    if init_method.startswith("file:"):
        return {"init_method": init_method}
    host, _, port = init_method.removeprefix("tcp://").rpartition(":")
    return {"store": PrefixStore("group", TCPStore(host, int(port), is_master=False))}


class _MessageWriter(logging.Handler):
    """Sends messages to the process that started this one, from any thread."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self._stream, self._line_lock = stream, Lock()

    def send(self, message: dict[str, Any]) -> None:
        with self._line_lock:
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()

    def progress(self, done: int, total: int | None, unit: str, **figures: float | str) -> None:
        self.send({"progress": [done, total, unit, figures]})

    def emit(self, record: logging.LogRecord) -> None:
        self.send({"log": [record.name, record.levelno, record.getMessage()]})


if __name__ == "__main__":
    main()
