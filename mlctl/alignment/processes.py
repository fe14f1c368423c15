"""Languages side by side, a process each: a crash of an engine is an error message here, not the end of the run."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import mlctl
from mlctl.alignment.language import Job
from mlctl.alignment.worker import EXPLAINED
from mlctl.errors import InputError

_COMMAND = (sys.executable, "-P", "-m", "mlctl.alignment.worker")


def run(jobs: Sequence[Job], workers: int, finished: Callable[[Job], None]) -> None:
    """Do the jobs in `workers` processes at a time and call `finished` after each, in the order in which they end.

    Raises:
        InputError: a job failed for a reason that it names, or its process crashed; the others are stopped.
    """
    running: set[subprocess.Popen[str]] = set()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(_run_one, job, running): job for job in jobs}
        try:
            for future in concurrent.futures.as_completed(waiting):
                future.result()
                finished(waiting[future])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):
                process.kill()
            raise


def _run_one(job: Job, running: set[subprocess.Popen[str]]) -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen(_COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, text=True, encoding="utf-8", env=_environment())
    running.add(process)
    try:
        said, errors = process.communicate(json.dumps({"parent": os.getpid(), "job": job.model_dump(mode="json")}))
    finally:
        running.discard(process)
    if process.returncode:
        raise _failure(job, process.returncode, said, errors)


def _environment() -> dict[str, str]:
    """One thread an engine: FastAlign's sums depend on the number, and languages fill the cores."""
    home = str(Path(mlctl.__file__).parents[1])
    path = os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "PYTHONUTF8": "1"}


def _failure(job: Job, status: int, said: str, errors: str) -> Exception:
    what = f"word alignment of {job.target} ({job.settings.engine})"
    if status == EXPLAINED:
        facts = json.loads(said)
        if "problem" in facts:
            return InputError(f"{what}: {facts['problem']}", facts["remedy"])
        return OSError(facts["errno"], f"{what}: {facts['text']}", facts["file"])
    if status < 0:
        return InputError(
            f"{what}: its process was ended by {signal.Signals(-status).name}",
            "if memory ran out, set align.workers=1; else try a smaller align.max_words or another align.engine",
        )
    return RuntimeError(f"{what} failed:\n{errors.strip()}")
