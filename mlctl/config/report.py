"""The recipe's section `report`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlctl.config.base import Section


class Report(Section):
    """Content of the page."""

    title: str = Field("", description="Heading of the page; empty: the recipe's name.")
    projection: Literal["tsne", "pca"] = Field("tsne", description="Projection of token states to two dimensions.")
    rejected_examples: int = Field(10, ge=0, le=100, description="Dropped pairs shown for each rule.")
