"""Entry point of a worker process of the stage: `python -m mlctl.corpora.worker`."""

from __future__ import annotations

from mlctl.corpora.parse_step import ParseStep
from mlctl.execution.processes import serve_jobs

if __name__ == "__main__":
    serve_jobs(lambda message: ParseStep.model_validate(message).run())
