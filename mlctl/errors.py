"""The one exception that is meant for people."""

from __future__ import annotations


class InputError(Exception):
    """Something the user gave cannot be used: a setting, a file, a package, a full disk.

    Shown as it stands, without a traceback, so the text has to name the file, line or setting
    (`problem`) and say how to mend it (`remedy`).
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  → {self.remedy}" if self.remedy else self.problem
