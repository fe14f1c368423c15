"""Scheduling of the stage: runs the steps of one kind, on workers if that is faster."""

from __future__ import annotations

from collections.abc import Callable

from mlctl.execution.backend import ExecutionBackend
from mlctl.execution.scheduler import BackendWorker, run_in_process, run_on_workers
from mlctl.execution.step_graph import IndependentSteps
from mlctl.sharding.shard_job import Phase, ShardJob, ShardStep

# Workers take some seconds to start and to read the tokenizer: with so many pairs the steps of a kind are faster in this process.
_MAX_PAIRS_IN_PROCESS: dict[Phase, int] = {"statistics": 100_000, "candidates": 1_000_000, "rows": 100_000, "shard": 1_000_000}
#: The module that a worker runs.
WORKER = "mlctl.sharding.worker"


def run_steps(
    job: ShardJob, phase: Phase, backend: ExecutionBackend, on_done: Callable[[ShardStep], None] = lambda _: None
) -> None:
    """Run the unfinished steps of a kind, on up to `shard.workers` workers of a backend.

    Raises:
        InputError: a signal ended a worker's process; the other workers are stopped.
    """
    steps = [ShardStep(job=job, phase=phase, number=number) for number in job.unfinished(phase)]
    workers = min(job.settings.workers or backend.cores, len(steps))
    if workers < 2 or sum(part.last - part.first for part in job.parts) <= _MAX_PAIRS_IN_PROCESS[phase]:
        run_in_process(IndependentSteps(steps), on_done)
    else:
        run_on_workers(IndependentSteps(steps), [BackendWorker(backend.start_worker(WORKER)) for _ in range(workers)], on_done)
