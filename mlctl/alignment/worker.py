"""Steps in a process of their own: `python -m mlctl.alignment.worker`."""

from __future__ import annotations

from mlctl.alignment.language_job import Step
from mlctl.execution.processes import serve

if __name__ == "__main__":
    serve(lambda told: Step.model_validate(told).do())
