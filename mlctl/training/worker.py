"""A process of a training in several: joins the others, does its share, and tells the one that started it how it goes.

What it says are lines of JSON: `progress`, `log`, and in the end `result` or what went wrong.
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
from mlctl.training.distributed import Team
from mlctl.training.stage import Job, work


def main() -> None:
    """Do the task on standard input."""
    die_with_parent(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the process that started this one gets it, and ends this one
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as stream:
        os.dup2(2, 1)  # what libraries print is no message
        try:
            _serve(json.loads(sys.stdin.readline()), _Voice(stream))
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)  # the threads of the process group may hang while Python ends in the usual way


def _serve(task: dict[str, Any], voice: _Voice) -> None:
    logger = logging.getLogger("mlctl")
    logger.addHandler(voice)
    logger.setLevel(logging.WARNING if task["rank"] else logging.INFO)
    result: dict[str, Any] = {}
    wrong = run_job(lambda given: result.update(_share(given, voice)), task)
    voice.say(wrong or {"result": result})
    sys.stdin.read()  # until it is ended: others may not yet have read what it sent them last


def _share(task: dict[str, Any], voice: _Voice) -> dict[str, Any]:
    team, device = Team(task["rank"], task["size"], task["here"]), torch.device(task["device"])
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, **_meeting(task["meeting"]), rank=team.rank, world_size=team.size)
    return work(Job.of_plain(task["job"]), device, team, voice.progress)


def _meeting(url: str) -> dict[str, Any]:
    """Return where processes meet: in a file, or at the store that the leading machine serves."""
    if url.startswith("file:"):
        return {"init_method": url}
    host, _, port = url.removeprefix("tcp://").rpartition(":")
    return {"store": PrefixStore("team", TCPStore(host, int(port), is_master=False))}


class _Voice(logging.Handler):
    """Says things to the process that started this one, from any thread."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self._stream, self._whole_lines = stream, Lock()

    def say(self, message: dict[str, Any]) -> None:
        with self._whole_lines:
            self._stream.write(json.dumps(message) + "\n")
            self._stream.flush()

    def progress(self, done: int, total: int | None, unit: str, **figures: float | str) -> None:
        self.say({"progress": [done, total, unit, figures]})

    def emit(self, record: logging.LogRecord) -> None:
        self.say({"log": [record.name, record.levelno, record.getMessage()]})


if __name__ == "__main__":
    main()
