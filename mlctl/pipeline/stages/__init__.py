"""The eight stages, one module each: version, key and work."""

from __future__ import annotations

from mlctl.pipeline.stage import Stage
from mlctl.pipeline.stages import align, clean, download, evaluate, report, shard, train, translate
from mlctl.stage_names import StageName

#: All stages in the order in which they run.
STAGES: tuple[Stage, ...] = (
    download.STAGE,
    clean.STAGE,
    translate.STAGE,
    align.STAGE,
    shard.STAGE,
    train.STAGE,
    evaluate.STAGE,
    report.STAGE,
)

_BY_NAME = {stage.name: stage for stage in STAGES}


def stage_named(name: str) -> Stage:
    """Return the stage of a name."""
    return _BY_NAME[name]


def stages_until(last: StageName) -> tuple[Stage, ...]:
    """Return the stages up to and including `last`."""
    names = [stage.name for stage in STAGES]
    return STAGES[: names.index(last) + 1]
