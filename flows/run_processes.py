"""Runs of variants as child processes: one that fails or is killed loses no other, and each starts with fresh memory."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, cast

import psutil
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, hydrated_context, serialize_context
from prefect.states import Crashed

from flows.pipeline import pipeline
from mlctl.core.interruption import ending_on_signals, on_interruption
from mlctl.pipeline import run_log
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.variant_runs import VariantRun

logger = logging.getLogger("mlctl.stages")

_SECONDS, _CTRL_C_SECONDS = 25.0, 3.0  # that a training may take for its checkpoint: `training.interruption`
# Imported once by the server that forks the children, which therefore start at once. Optimisers import torch._dynamo.
_PRELOADED = [
    "flows.run_processes",
    "torch._dynamo",
    "transformers.models.bert.modeling_bert",
    "mlctl.training.stage",
    "mlctl.evaluation.stage",
]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `error` is empty if it completed."""

    run: VariantRun
    error: str


def run_in_processes(runs: Sequence[VariantRun], parallel: int, overrides: Sequence[str]) -> Iterator[Outcome]:
    """Run each in a child process, as a subflow of the current flow run, and yield how it ended.

    Args:
        runs: in the order in which they start.
        parallel: number of runs at the same time.
        overrides: of the command line, for the run log.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    waiting, running = list(reversed(runs)), dict[int, _Child]()
    with on_interruption(lambda reason: _stop(list(running.values()), reason), _SECONDS):
        try:
            while waiting or running:
                while waiting and len(running) < parallel:
                    child = _Child.start(context, waiting.pop(), overrides, quiet=parallel > 1)
                    running[child.process.sentinel] = child
                for sentinel in wait(list(running)):
                    yield running.pop(cast("int", sentinel)).outcome()
        finally:  # nothing, unless an error or a signal ends them all
            _stop(list(running.values()), "")


@dataclass(frozen=True)
class _Child:
    """A child process and the end of the pipe on which it reports."""

    run: VariantRun
    process: Any
    reports: Connection

    @classmethod
    def start(cls, context: Any, run: VariantRun, overrides: Sequence[str], quiet: bool) -> _Child:
        reports, sender = context.Pipe(duplex=False)
        flow_run = cast("FlowRunContext", FlowRunContext.get())
        prefect_context = {**serialize_context(), "settings_context": {}}
        del prefect_context["flow_run_context"]["flow"]  # its module's locks cannot be sent
        call = pickle.dumps((run, [*overrides, *run.overrides], prefect_context, quiet))
        with _environment(PREFECT_API_URL=str(flow_run.client.api_url).rstrip("/")):  # also if the server is a temporary one
            process = context.Process(target=_main, args=(dict(os.environ), call, sender), name=run.name)
            process.start()
        sender.close()
        return cls(run, process, reports)

    def outcome(self) -> Outcome:
        """Return how the run ended; its process has."""
        self.process.join()
        with contextlib.suppress(EOFError, OSError):
            if self.reports.poll():
                completed, message = self.reports.recv()
                return Outcome(self.run, "" if completed else message or "the run did not complete")
        ended = _describe_end(self.process.exitcode)
        _report_crash(self.run.name, ended)
        return Outcome(self.run, ended)


def _describe_end(code: int) -> str:
    if code >= 0:
        return f"its process ended with status {code}; see the log above"
    remedy = "; is there enough memory?" if -code == signal.SIGKILL else ""
    return f"its process was ended by {signal.Signals(-code).name}{remedy}"


def _report_crash(name: str, message: str) -> None:
    """Report the end of a run whose process could not do so itself."""
    current = cast("FlowRunContext", FlowRunContext.get()).flow_run
    with contextlib.suppress(Exception), get_client(sync_client=True) as client:
        parent = FlowRunFilterParentFlowRunId(any_=[current.id] if current else [])
        for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(parent_flow_run_id=parent)):
            if run.name == name and run.state and not run.state.is_final():
                client.set_flow_run_state(run.id, Crashed(message=message), force=True)


def _stop(children: Sequence[_Child], reason: str) -> None:
    """Have the children end as the command does, and wait for them: a training saves a checkpoint."""
    number, seconds = (signal.SIGINT, _CTRL_C_SECONDS) if "Ctrl-C" in reason else (signal.SIGTERM, _SECONDS)
    for child in children:
        with contextlib.suppress(OSError):
            os.kill(child.process.pid, number)
    end = time.monotonic() + seconds
    for child in children:
        child.process.join(max(0.0, end - time.monotonic()))


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set environment variables while the block lasts; the server that forks the children is started with them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _main(environment: Mapping[str, str], call: bytes, sender: Connection) -> None:
    """Run the pipeline in a child process and send how it ended."""
    os.environ.update(environment)  # the process that forked this one may have been started with another one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with ending_on_signals(""):
        sender.send(_run(*pickle.loads(call)))  # noqa: S301 - of our own parent


def _end_with_parent() -> None:
    """End this process and its children when its parent has ended, also by kill -9."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    os._exit(1)


def _run(run: VariantRun, overrides: Sequence[str], context: dict[str, Any], quiet: bool) -> tuple[bool, str]:
    """Run the pipeline as a subflow of the flow run in `context`; return whether it completed, and its message."""
    if quiet:
        os.environ["TTY_COMPATIBLE"] = "0"  # for rich: no progress bars, of which each would overwrite the others
    named = pipeline.with_options(flow_run_name=lambda: run.name)
    context["flow_run_context"]["flow"] = pipeline  # only its task runner is used
    with hydrated_context(context), run_log.recording_overrides(overrides):
        state: State[Ref] = named(run.recipe, until=run.until, return_state=True)
    return state.is_completed(), state.message or ""
