"""Entry point of a worker process of the stage: `python -m mlctl.alignment.worker`."""

from __future__ import annotations

from mlctl.alignment.steps import AlignStep
from mlctl.execution.processes import serve_jobs

if __name__ == "__main__":
    serve_jobs(lambda message: AlignStep.model_validate(message).run())
