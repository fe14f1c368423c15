"""One process of a multi-process training: joins the group, trains, and reports how it ended.

It runs under torchrun, started by the launcher of the main machine or by hand on another one, or under whatever else sets RANK,
WORLD_SIZE, MASTER_ADDR and MASTER_PORT:

    python -m mlctl.training.worker

It waits until the main process trains, receives its job, trains with it and ends: with exit status 0, or 1 if the training failed. A
process that lost another one ends with status 1 and torchrun starts all of them again. An error that would occur again is reported to
the launcher, which ends the training.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from mlctl.errors import InputError
from mlctl.execution.processes import die_with_parent, error_response
from mlctl.training.group_setup import Membership, Ranks, join
from mlctl.training.interruption import StopRequest, TrainingInterrupted
from mlctl.training.job import Job
from mlctl.training.launch_folder import LaunchFolder
from mlctl.training.process_failures import (
    error_from_failure,
    lost_process_error,
    record_failure,
    recorded_failure,
    watch_failures,
)
from mlctl.training.stage import train_in_process

Message = dict[str, Any]

_log = logging.getLogger(__name__)


def main() -> None:
    """Take part in one training."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        die_with_parent(LaunchFolder.agent_process() or os.getppid())
    status = 1
    try:
        ranks = Ranks.from_environment()
        if ranks is None:
            raise InputError(
                "the environment sets no WORLD_SIZE above 1", "start this module with torchrun, or set RANK and WORLD_SIZE"
            )
        folder = LaunchFolder.from_environment()
        status = _report_to_launcher(folder, ranks) if folder else _report_to_log(ranks)
    except InputError as error:
        sys.stderr.write(f"{error}\n")
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)  # threads of the process group may hang in a normal exit


def _report_to_launcher(folder: LaunchFolder, ranks: Ranks) -> int:
    """Train, and send messages to the launcher."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C of a terminal: the launcher receives it too, and ends this process
    with folder.writer(ranks.local_rank) as messages:
        logger = logging.getLogger("mlctl")
        logger.addHandler(messages)
        logger.setLevel(logging.WARNING if ranks.local_rank else logging.INFO)
        job, device = folder.job(ranks.local_rank)
        outcome = _take_part(lambda: join(ranks, job, device), messages.send)
        while outcome.keys().isdisjoint({"result", "interrupted", "lost"}):
            time.sleep(60)  # torchrun would start a process that ends again: the launcher ends this one
    return 1 if "lost" in outcome else 0


def _report_to_log(ranks: Ranks) -> int:
    """Train, and write warnings and errors to standard error."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    _log.setLevel(logging.INFO)
    _log.info("waiting for a training at %s:%s", os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"])
    exit_lock = threading.Lock()

    def fail(outcome: Message) -> NoReturn:
        exit_lock.acquire()  # for ever: the first error is the one that is shown
        text = outcome.get("failed") or outcome.get("lost", "")
        sys.stderr.write(f"{error_from_failure(outcome) or lost_process_error(text) or text}\n")
        sys.stderr.flush()
        os._exit(1)

    def join_and_watch() -> Membership:
        membership = join(ranks)
        watch_failures(membership.store, fail)
        return membership

    outcome = _take_part(join_and_watch, lambda _: None)
    if "result" not in outcome and "interrupted" not in outcome:
        fail(outcome)
    return 0


def _take_part(join_group: Callable[[], Membership], send: Callable[[Message], None]) -> Message:
    """Train; send all messages, and return the last one, the outcome.

    It is `result`, `interrupted`, an error for `error_from_failure`, `lost` where another process or a device was, or `failed`.
    """
    stop = StopRequest()
    membership: Membership | None = None
    try:
        membership = join_group()
        for number in (signal.SIGTERM, signal.SIGINT):  # before, they end the process
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: stop.make())
        send({"started": membership.group.size})
        outcome = _train(membership, send, stop)
    except (InputError, OSError) as error:
        outcome = error_response(error)
        if membership:
            record_failure(membership.store, outcome)
    except RuntimeError as error:
        cause = recorded_failure(membership.store, lambda: stop.is_made) if membership else None
        outcome = cause or {"lost": "".join(traceback.format_exception(error))}
    except Exception as error:
        outcome = {"failed": "".join(traceback.format_exception(error))}
    send(outcome)
    if membership and "lost" not in outcome:
        membership.leave(has_failed="result" not in outcome and "interrupted" not in outcome)
    return outcome


def _train(membership: Membership, send: Callable[[Message], None], stop: StopRequest) -> Message:
    def progress(done: int, total: int | None, unit: str, **figures: float | str) -> None:
        send({"progress": [done, total, unit, figures]})

    try:
        return {"result": train_in_process(Job.from_json(membership.job), membership.device, membership.group, progress, stop)}
    except TrainingInterrupted as interruption:
        return {"interrupted": [interruption.step, interruption.steps]}


if __name__ == "__main__":
    main()
