"""What the caller tells the report about the stages before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StageRecord:
    """How one stage of the run came to its result."""

    #: Name of the stage, e.g. "clean".
    stage: str
    #: Key of the result.
    key: str
    #: The result was there already.
    cached: bool
    #: Seconds that it took to make.
    seconds: float
    #: Figures that the stage returned.
    metrics: Mapping[str, Any]
    #: When it was made (ISO 8601).
    created: str
    #: Versions of what made it: package → version.
    versions: Mapping[str, str]
    #: Keys or digests of the results that it was made from: stage → key.
    inputs: Mapping[str, str]
    #: Size of the result in bytes.
    bytes: int
