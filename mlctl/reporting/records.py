"""Stage records: what the report shows of the stages before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class StageRecord:
    """One stage of the run and its result."""

    #: Name of the stage, e.g. "clean".
    stage: str
    #: Key of the result.
    key: str
    #: Whether the result existed before the run.
    cached: bool
    #: Seconds that its computation took.
    seconds: float
    #: Metrics that the stage returned.
    metrics: Mapping[str, Any]
    #: Time of its completion (ISO 8601).
    created: str
    #: Versions of the packages that computed it: package → version.
    versions: Mapping[str, str]
    #: Keys or digests of its inputs: stage → key.
    inputs: Mapping[str, str]
    #: Size of the result in bytes.
    bytes: int
