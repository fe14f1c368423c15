"""Entry point of a worker process of the stage: `python -m mlctl.translation.worker`."""

from __future__ import annotations

from typing import Any

from mlctl.execution.processes import serve_jobs
from mlctl.translation.language_job import TranslateStep


def run(message: dict[str, Any]) -> None:
    """Run a step; of the models of earlier steps only those of its language are kept."""
    step = TranslateStep.model_validate(message)
    step.pool.keep_only((direction.source, direction.target) for direction in step.job.both_directions)
    step.run()


if __name__ == "__main__":
    serve_jobs(run)
