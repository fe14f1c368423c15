"""The exceptions for errors that the user can fix."""

from __future__ import annotations

from mlctl.core.long_values import cut_long_values
from mlctl.core.url_redaction import redact_text


class InputError(Exception):
    """An input of the user cannot be used: a setting, a file, a package, a full disk.

    It is shown without a traceback, so the message must name the file, line or setting (`problem`) and say how to fix it (`remedy`).
    Messages are logged and stored: what grants access (a signed URL, a token) is redacted in them. Long values are cut.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = cut_long_values(redact_text(problem))
        self.remedy = cut_long_values(redact_text(remedy))
        super().__init__(self.problem, self.remedy)

    def __str__(self) -> str:
        return f"{self.problem}\n  → {self.remedy}" if self.remedy else self.problem


class DiskFullError(InputError):
    """Nothing more can be written: the volume is full, a quota is used up, or a file has reached the largest size allowed."""
