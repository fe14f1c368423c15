"""The recipe's section `report`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlctl.config.base import Section


class Report(Section):
    """Content of the page."""

    title: str = Field("", description="Heading of the page; empty: the recipe's name.")
    licence: str = Field(
        "",
        pattern=r"^([a-z0-9]+([.-][a-z0-9]+)*)?$",
        description="Licence of the trained model in the header of its card, as the hub names it (apache-2.0, cc-by-4.0, other); empty: "
        "that of the base model's card, or unknown.",
    )
    projection: Literal["tsne", "pca"] = Field("tsne", description="Projection of token states to two dimensions.")
    rejected_examples: int = Field(10, ge=0, le=100, description="Dropped pairs shown for each rule.")
