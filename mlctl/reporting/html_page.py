"""Rendering of a self-contained HTML page: one file with its styles, scripts and charts, which loads nothing."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
from collections.abc import Mapping
from typing import Any

import jinja2

from mlctl import languages as codes
from mlctl.reporting import charts, formatting, vega_process
from mlctl.version import __version__

_FILTERS = {
    "language_name": codes.name,
    "percent": formatting.format_percent,
    "points": formatting.format_points,
    "number": formatting.format_number,
    "duration": formatting.format_duration,
    "size": formatting.format_size,
    "value": formatting.format_value,
    "setting": formatting.format_setting,
    "shorten": formatting.shorten,
    "humanise": formatting.humanise,
    "metric": formatting.format_metric,
    "p_value": formatting.format_p_value,
    "neighbour_share": formatting.format_neighbour_share,
}


def render_template(template: str, chart_specs: Mapping[str, charts.Spec], context: Mapping[str, Any]) -> str:
    """Return a page as HTML text.

    Args:
        template: file of this package that extends `frame.html`.
        chart_specs: name → chart; the template has an element for each. Without any the page has no scripts.
        context: variables of the template, among them `title` and `sections` (id → name); `script` is a script of the page (`read_script`),
            which finds `data` as JSON in the element of that id.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, loader=jinja2.FunctionLoader(_read))
    environment.filters.update(_FILTERS, script_digest=_script_digest)
    common = {"css": css(), "script": "", "bundle": _vega_bundle() if chart_specs else "", "version": __version__}
    chart_data = {"theme": charts.THEME, "charts": dict(chart_specs)}
    return environment.get_template(template).render({**common, "charts": chart_data, **context})


def css() -> str:
    """Return the styles of every page."""
    return _read("page.css")


def read_script(*names: str) -> str:
    """Return scripts of this package as one, as a page contains it; they see each other's names, and the page sees none."""
    content = "\n".join(map(_read, names)).replace("</script", "<\\/script")
    return f'(function () {{\n"use strict";\n{content}}})();\n'


def _read(name: str) -> str:
    return (importlib.resources.files("mlctl.reporting") / name).read_text(encoding="utf-8")


def _vega_bundle() -> str:
    """Return Vega-Embed as one script that a page can contain, so that it needs no network."""
    return vega_process.javascript_bundle().replace("</script", "<\\/script")


def _script_digest(script: str) -> str:
    """Return the source expression of a script for the page's content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
