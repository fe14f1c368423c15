"""What `mlctl doctor` finds: one entry for each thing that it looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from mlctl.errors import InputError

State = Literal["ok", "absent", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what was looked at.
        state: ok; absent: not there, which only some recipes need; problem: something does not work.
        found: what is there.
        remedy: how to add what is absent, or to fix the problem.
    """

    name: str
    state: State
    found: str
    remedy: str = ""


#: Looks at one thing, or at several of a kind.
Check = Callable[[], Iterable[Finding]]


def problem(name: str, error: InputError) -> Finding:
    """Return the finding that stands for an error that the user can fix."""
    return Finding(name, "problem", error.problem, error.remedy)
