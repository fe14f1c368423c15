"""Records of stages for reports, made from manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage import Result

if TYPE_CHECKING:
    from mlctl.reporting import StageRecord


def stage_record(result: Result, cached: bool = False) -> StageRecord:
    """Return the record of a stage; `cached`: its result existed before the run that is reported."""
    from mlctl.reporting import StageRecord

    manifest = result.manifest
    return StageRecord(
        stage=manifest.stage,
        key=manifest.key,
        cached=cached,
        seconds=manifest.seconds,
        metrics=manifest.metrics,
        created=manifest.created,
        versions=manifest.versions,
        inputs=manifest.inputs,
        bytes=manifest.bytes,
    )
