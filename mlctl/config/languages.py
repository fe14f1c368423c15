"""The recipe's section `languages`."""

from __future__ import annotations

from pydantic import Field, model_validator

from mlctl.config.base import Language, Section


class Languages(Section):
    """Which languages are pulled together."""

    source: Language = Field("en", description="Language that every pair has on its source side (BCP 47).")
    targets: tuple[Language, ...] = Field(
        ("fr",), min_length=1, description="Languages paired with the source language (BCP 47)."
    )

    @model_validator(mode="after")
    def _distinct(self) -> Languages:
        if len({self.source, *self.targets}) != len(self.targets) + 1:
            raise ValueError(f"each language may be named once, given {self.source!r} and {list(self.targets)}")
        return self
