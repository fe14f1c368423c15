"""Charts as PNG images, for pages that mlctl does not render itself."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from mlctl.reporting import charts, html_page, vega_process

_WIDTH, _SCALE = 640, 2  # CSS pixels, and image pixels for each
_COLOUR = re.compile(r"--([a-z]+): (#[0-9a-f]{6});")
_VARIABLE = re.compile(r"var\(--([a-z]+)\)")


def pngs(drawn: Sequence[charts.Spec]) -> list[bytes]:
    """Render charts in the page's light colours on white; each empty, with one warning, where this machine cannot draw them."""
    colours: dict[str, str] = {}
    for name, colour in _COLOUR.findall(html_page.css()):
        colours.setdefault(name, colour)  # the light ones are defined first
    config = {**charts.THEME, "background": colours["page"]}
    specs = [json.dumps({**chart, "width": _WIDTH, "config": config}) for chart in drawn]
    return vega_process.vegalite_to_pngs([_VARIABLE.sub(lambda match: colours[match[1]], spec) for spec in specs], _SCALE)
