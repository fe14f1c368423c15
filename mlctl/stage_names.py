"""The eight stages in the order in which they run: sections of the recipe, folders of the store, commands and Prefect tasks bear these names."""

from __future__ import annotations

from typing import Literal, get_args

from mlctl.errors import InputError

StageName = Literal["download", "clean", "translate", "align", "shard", "train", "evaluate", "report"]

STAGE_NAMES: tuple[StageName, ...] = get_args(StageName)


def stage_name(name: str) -> StageName:
    """Return the name of a stage.

    Raises:
        InputError: no stage has that name.
    """
    for known in STAGE_NAMES:
        if known == name:
            return known
    raise InputError(f"no stage {name!r}", f"the stages are {', '.join(STAGE_NAMES)}")
