"""Runs pipelines in forked processes: `run_server.py` reads one JSON request a line and answers with one JSON line.

Importing torch, numba, pyarrow and the rest takes longer than the tiny recipe: what a first run has imported is imported here, once, and
every run is a fork in a session of its own, so that a kill of its process group takes the run and its workers and nothing else.

Requests: `{"run": [RECIPE, OVERRIDE, …], "until": STAGE, "die_at": [STAGE, WHEN] or null, "log": FILE, "events": FILE}` starts a run
and answers `{"pid": …}`; `{"wait": PID}` answers `{"status": …}`, the exit status, negative for a signal; `{"import": FILE}` imports the
modules that a run with `"modules": FILE` had at its end. Every line of the events file is a stage that begins, the time, and a dot. For
`die_at` see `kill_points.py`.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numba  # noqa: F401
import pyarrow.parquet  # noqa: F401
import torch
import transformers

sys.path.insert(0, str(Path(__file__).parents[1] / "flows"))  # not `tests`: its folder `mlctl` would hide the package

import kill_points

import mlctl.alignment.stage
import mlctl.evaluation.stage
import mlctl.training.stage  # noqa: F401
from mlctl.config import load
from mlctl.errors import InputError
from mlctl.pipeline import stage as stage_module
from mlctl.pipeline.run_log import record_run
from mlctl.pipeline.stage import Ref
from mlctl.pipeline.stages import stages_until
from mlctl.pipeline.store_session import use_store
from storage import StoreError


def run(arguments: list[str], until: Any, events: Path) -> int:
    """Run the stages of a recipe as the flow does, without Prefect; 1 after an error that is meant for the user."""
    try:
        recipe = load(Path(arguments[0]), arguments[1:])
        with use_store(recipe), record_run("pipeline", recipe):
            refs: dict[str, Ref] = {}
            for stage in stages_until(until):
                with events.open("a") as file:
                    file.write(f"{stage.name} {time.time():.3f} .\n")
                refs[stage.name], _ = stage_module.make(stage, recipe, tuple(refs[name] for name in stage.needs))
    except (InputError, StoreError) as error:
        sys.stderr.write(f"mlctl: {error}\n")
        return 1
    return 0


def start(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    status = 70
    if request["die_at"]:
        kill_points.install(*request["die_at"])
    try:
        status = run(request["run"], request["until"], Path(request["events"]))
        if request["modules"]:
            Path(request["modules"]).write_text("\n".join(sys.modules))
    except BaseException:  # the log must show it, whatever it is
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def import_all(names: list[str]) -> None:
    for name in names:
        with contextlib.suppress(Exception):  # not every name of sys.modules is that of a file
            importlib.import_module(name)


def serve() -> None:
    torch.set_num_threads(1)
    transformers.logging.disable_progress_bar()
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, int] = {}
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            answer["status"] = os.waitstatus_to_exitcode(status)
        elif "import" in request:
            import_all(Path(request["import"]).read_text().splitlines())
        else:
            answer["pid"] = start(request)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
