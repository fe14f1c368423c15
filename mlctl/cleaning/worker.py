"""Entry point of a worker process of the stage: `python -m mlctl.cleaning.worker`."""

from __future__ import annotations

from mlctl.cleaning.language_job import CleanStep
from mlctl.execution.processes import serve_jobs

if __name__ == "__main__":
    serve_jobs(lambda message: CleanStep.model_validate(message).run())
