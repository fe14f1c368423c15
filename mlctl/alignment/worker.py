"""One language in a process of its own: `python -m mlctl.alignment.worker`."""

from __future__ import annotations

from mlctl.alignment.language import Job, align_language
from mlctl.processes import serve

if __name__ == "__main__":
    serve(lambda told: align_language(Job.model_validate(told)))
