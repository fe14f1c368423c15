"""What every page has in common: one HTML file that loads nothing, drawn by the charts' library that it carries."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from collections.abc import Mapping
from typing import Any

import jinja2

import mlctl
from mlctl import languages as codes
from mlctl.reporting import charts, formatting

_FILTERS = {
    "language_name": codes.name,
    "percent": formatting.percent,
    "points": formatting.points,
    "number": formatting.number,
    "duration": formatting.duration,
    "size": formatting.size,
    "figure": formatting.figure,
    "setting": formatting.setting,
    "shortened": formatting.shortened,
    "spoken": formatting.spoken,
    "metric": formatting.metric,
    "chance": formatting.chance,
    "neighbour_share": formatting.neighbour_share,
}


def fill(template: str, drawn: Mapping[str, charts.Spec], context: Mapping[str, Any]) -> str:
    """Return a page as HTML text.

    Args:
        template: one of the package's, which extends `frame.html`.
        drawn: name → chart; the template has a place for each.
        context: what the template shows: `title`, and `sections` (id → name) among it.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, loader=jinja2.FunctionLoader(_own))
    environment.filters.update(_FILTERS, script_digest=_script_digest)
    fixed = {"css": css(), "bundle": _vega(), "version": mlctl.__version__}
    page = {"theme": charts.THEME, "charts": dict(drawn)}
    return environment.get_template(template).render({**fixed, "charts": page, **context})


def css() -> str:
    """Return the styles of every page."""
    return _own("page.css")


def _own(name: str) -> str:
    return (importlib.resources.files("mlctl.reporting") / name).read_text(encoding="utf-8")


def _vega() -> str:
    """Return the charts' library as one script, from the installed package: nothing is fetched."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")).replace("</script", "<\\/script")


def _script_digest(script: str) -> str:
    """Return what the page's content security policy lets run: this script and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
