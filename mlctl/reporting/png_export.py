"""Charts as PNG images, for pages that mlctl does not render itself."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mlctl.reporting import charts, vega_process
from mlctl.reporting.standalone_chart import standalone

_WIDTH, _SCALE = 640, 2  # CSS pixels, and image pixels for each


def pngs(drawn: Sequence[charts.Spec]) -> list[bytes]:
    """Render charts in the page's light colours on white; each empty, with one warning, where this machine cannot draw them."""
    return vega_process.vegalite_to_pngs([json.dumps(standalone(chart, _WIDTH)) for chart in drawn], _SCALE)
