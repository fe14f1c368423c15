"""What a page is told of the stages of a run: from manifests to the library's records."""

from __future__ import annotations

from mlctl.reporting import StageRecord
from storage import Result


def record_of(result: Result, cached: bool = False) -> StageRecord:
    """Return how a stage came to its result; `cached`: it was there before the run that is told of."""
    m = result.manifest
    return StageRecord(
        stage=m.stage,
        key=m.key,
        cached=cached,
        seconds=m.seconds,
        metrics=m.metrics,
        created=m.created,
        versions=m.versions,
        inputs=m.inputs,
        bytes=m.bytes,
    )
