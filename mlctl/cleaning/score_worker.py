"""Entry point of a worker process that scores: `python -m mlctl.cleaning.score_worker`."""

from __future__ import annotations

from mlctl.cleaning.score_job import ScoreStep
from mlctl.execution.processes import serve_jobs

if __name__ == "__main__":
    serve_jobs(lambda message: ScoreStep.model_validate(message).run())
