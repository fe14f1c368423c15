"""Entry point of a worker process: `python -m mlctl.mining.worker`."""

from __future__ import annotations

from pydantic import TypeAdapter

from mlctl.execution.processes import serve_jobs
from mlctl.mining.document_steps import DocumentStep
from mlctl.mining.mining_steps import MiningStep

#: Turns the JSON of a step into the step.
STEPS: TypeAdapter[MiningStep | DocumentStep] = TypeAdapter(MiningStep | DocumentStep)

if __name__ == "__main__":
    serve_jobs(lambda message: STEPS.validate_python(message).run())
