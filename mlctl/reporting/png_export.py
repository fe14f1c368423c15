"""Charts as PNG images, for pages that mlctl does not render itself."""

from __future__ import annotations

import json

from mlctl.reporting import charts, vega_process
from mlctl.reporting.standalone_chart import standalone

_WIDTH, _SCALE = 640, 2  # CSS pixels, and image pixels for each


def png(chart: charts.Spec) -> bytes:
    """Render a chart in the page's light colours on white; empty, with a warning, where this machine cannot draw it."""
    return vega_process.vegalite_to_png(json.dumps(standalone(chart, _WIDTH)), _SCALE)
