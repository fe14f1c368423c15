"""A chart as a picture, for pages that mlctl does not draw itself."""

from __future__ import annotations

import json
import re

from mlctl.reporting import charts, html_page

_WIDTH, _SCALE = 640, 2  # pixels, and pixels of the picture for each
_COLOUR = re.compile(r"--([a-z]+): (#[0-9a-f]{6});")
_NAMED = re.compile(r"var\(--([a-z]+)\)")


def png(chart: charts.Spec) -> bytes:
    """Draw a chart in the page's light colours on white."""
    import vl_convert

    colours: dict[str, str] = {}
    for name, colour in _COLOUR.findall(html_page.css()):
        colours.setdefault(name, colour)  # the light ones stand first
    drawn = {**chart, "width": _WIDTH, "config": {**charts.THEME, "background": colours["page"]}}
    plain = _NAMED.sub(lambda found: colours[found[1]], json.dumps(drawn))
    return vl_convert.vegalite_to_png(plain, scale=_SCALE)
