"""Languages side by side, a process each: what an engine took of memory is free again, and its crash is an error message."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Sequence

from mlctl.alignment.language import Job
from mlctl.processes import Child


def run(jobs: Sequence[Job], workers: int, finished: Callable[[Job], None]) -> None:
    """Do the jobs in `workers` processes at a time and call `finished` after each, in the order in which they end.

    Raises:
        InputError: a job failed for a reason that it names, or its process crashed; the others are stopped.
    """
    running: set[Child] = set()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(_run_one, job, running): job for job in jobs}
        try:
            for future in concurrent.futures.as_completed(waiting):
                future.result()
                finished(waiting[future])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in list(running):
                child.kill()
            raise


def _run_one(job: Job, running: set[Child]) -> None:
    child = Child("mlctl.alignment.worker")
    running.add(child)
    what = f"word alignment of {job.target} ({job.settings.engine})"
    remedy = "if memory ran out, set align.workers=1; else try a smaller align.max_words or another align.engine"
    try:
        child.do(job.model_dump(mode="json"), what, remedy)
    finally:
        running.discard(child)
        child.close()
