"""The eight stages in the order in which they run: sections of the recipe, folders of the store, commands and Prefect tasks bear these names."""

from __future__ import annotations

from typing import Literal, get_args

StageName = Literal["download", "clean", "translate", "align", "shard", "train", "evaluate", "report"]

STAGE_NAMES: tuple[StageName, ...] = get_args(StageName)
