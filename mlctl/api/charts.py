"""The charts of the report and of the comparison page as altair charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt

_WIDTH = 560  # CSS pixels: of a notebook's cell beside its prompt


def to_altair(specs: Mapping[str, dict[str, Any]]) -> dict[str, alt.TopLevelMixin]:
    """Return charts of a page, by name, as altair charts, in the page's light colours."""
    import altair as alt

    from mlctl.reporting.standalone_chart import standalone

    charts: dict[str, alt.TopLevelMixin] = {name: alt.Chart.from_dict(standalone(spec, _WIDTH)) for name, spec in specs.items()}
    return charts
