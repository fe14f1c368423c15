"""Charts outside a page of mlctl: in the page's light colours, of a fixed width."""

from __future__ import annotations

import json
import re

from mlctl.reporting import charts, html_page

_COLOUR = re.compile(r"--([a-z]+): (#[0-9a-f]{6});")
_VARIABLE = re.compile(r"var\(--([a-z]+)\)")


def standalone(chart: charts.Spec, width: int) -> charts.Spec:
    """Return a chart of a page as one that needs neither the page's styles nor its width.

    Args:
        chart: with the page's colours as CSS variables.
        width: of the plot, in CSS pixels.
    """
    colours: dict[str, str] = {}
    for name, colour in _COLOUR.findall(html_page.css()):
        colours.setdefault(name, colour)  # the light ones are defined first
    spec = {**chart, "width": width, "config": {**charts.THEME, "background": colours["page"]}}
    resolved: charts.Spec = json.loads(_VARIABLE.sub(lambda match: colours[match[1]], json.dumps(spec)))
    return resolved
