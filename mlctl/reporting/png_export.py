"""Charts as PNG images, for pages that mlctl does not render itself."""

from __future__ import annotations

import json
import re

from mlctl.reporting import charts, html_page, vega_process

_WIDTH, _SCALE = 640, 2  # CSS pixels, and image pixels for each
_COLOUR = re.compile(r"--([a-z]+): (#[0-9a-f]{6});")
_VARIABLE = re.compile(r"var\(--([a-z]+)\)")


def png(chart: charts.Spec) -> bytes:
    """Render a chart in the page's light colours on white; empty, with a warning, where this machine cannot draw it."""
    colours: dict[str, str] = {}
    for name, colour in _COLOUR.findall(html_page.css()):
        colours.setdefault(name, colour)  # the light ones are defined first
    spec = {**chart, "width": _WIDTH, "config": {**charts.THEME, "background": colours["page"]}}
    resolved = _VARIABLE.sub(lambda match: colours[match[1]], json.dumps(spec))
    return vega_process.vegalite_to_png(resolved, _SCALE)
