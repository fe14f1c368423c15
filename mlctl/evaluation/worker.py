"""Entry point of a worker process of the stage: `python -m mlctl.evaluation.worker`."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mlctl.evaluation.evaluation_job import EvaluationJob
from mlctl.evaluation.steps import AnyStep, EvaluationStep, ModelStep
from mlctl.evaluation.worker_log import log_to
from mlctl.execution.processes import serve_jobs

#: Turns the JSON of a step into the step.
STEPS: TypeAdapter[EvaluationStep] = TypeAdapter(AnyStep)


@functools.lru_cache(maxsize=1)
def _met_before(job: EvaluationJob) -> EvaluationJob:
    """Return the equal job of the step before, which has read the held-out pairs and loaded a model."""
    return job


@functools.lru_cache(maxsize=1)
def _set_up(gpu: str | None, log: str) -> None:
    """Choose the GPU that torch sees (None: as the environment says), and write the log; done once."""
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    log_to(Path(log))


def run(message: dict[str, Any]) -> None:
    """Run a step."""
    _set_up(message["gpu"], message["log"])
    step = STEPS.validate_python(message["step"])
    if isinstance(step, ModelStep):
        step = step.model_copy(update={"job": _met_before(step.job)})
    step.run()


if __name__ == "__main__":
    serve_jobs(run)
