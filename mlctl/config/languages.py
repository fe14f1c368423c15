"""The recipe's section `languages`."""

from __future__ import annotations

from pydantic import Field, model_validator

from mlctl.config.base import Language, Section


class Languages(Section):
    """Source and target languages."""

    source: Language = Field("en", description="Source language of every pair (BCP 47).")
    targets: tuple[Language, ...] = Field(("fr",), min_length=1, description="Target languages (BCP 47).")

    @model_validator(mode="after")
    def _check_distinct(self) -> Languages:
        if len({self.source, *self.targets}) != len(self.targets) + 1:
            raise ValueError(f"name each language once; given: {self.source!r} and {list(self.targets)}")
        return self
