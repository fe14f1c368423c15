"""Entry point of a worker process of the stage: `python -m mlctl.sharding.worker`."""

from __future__ import annotations

import functools
from typing import Any

from mlctl.execution.processes import serve_jobs
from mlctl.sharding.shard_job import ShardJob, ShardStep


@functools.lru_cache(maxsize=1)
def _met_before(job: ShardJob) -> ShardJob:
    """Return the equal job of the step before, which has read the tokenizer and the plan."""
    return job


def run(message: dict[str, Any]) -> None:
    """Run a step."""
    step = ShardStep.model_validate(message)
    step.model_copy(update={"job": _met_before(step.job)}).run()


if __name__ == "__main__":
    serve_jobs(run)
