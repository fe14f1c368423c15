"""Runs Vega in a process of its own: it contains a JavaScript engine that ends its process when it gets no memory."""

from __future__ import annotations

import base64
import functools
import json
import logging
import signal
import subprocess
import sys
from collections.abc import Sequence

_log = logging.getLogger(__name__)

_TIMEOUT = 120.0  # seconds
_BUNDLE = "sys.stdout.write(vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed;'))"
_PNGS = (
    "import base64, json; scale = float(sys.argv[1]); "
    "[print(base64.b64encode(vl_convert.vegalite_to_png(chart, scale=scale)).decode()) for chart in json.load(sys.stdin)]"
)


def javascript_bundle() -> str:
    """Return Vega-Embed as one script, from the installed package; empty, with a warning, where this machine cannot run it."""
    try:
        return _javascript_bundle()
    except (OSError, subprocess.SubprocessError) as error:
        _warn("the charts of the page cannot be drawn", error)
        return ""


def vegalite_to_pngs(charts: Sequence[str], scale: float) -> list[bytes]:
    """Return Vega-Lite charts (JSON) as PNG pictures; each empty, with one warning, where this machine cannot draw them."""
    if not charts:
        return []
    try:
        return [base64.b64decode(line) for line in _run(_PNGS, json.dumps(list(charts)), str(scale)).splitlines()]
    except (OSError, subprocess.SubprocessError) as error:
        _warn("charts were not drawn as pictures", error)
        return [b""] * len(charts)


@functools.cache  # the same for every page; an error is not kept
def _javascript_bundle() -> str:
    return _run(_BUNDLE, "").decode()


def _run(program: str, text: str, *arguments: str) -> bytes:
    command = [sys.executable, "-c", f"import sys, vl_convert; {program}", *arguments]
    return subprocess.run(command, input=text.encode(), capture_output=True, timeout=_TIMEOUT, check=True).stdout


def _warn(failure: str, error: Exception) -> None:
    _log.warning("%s: %s; allow more memory (`ulimit -v`)", failure, _reason(error))


def _reason(error: Exception) -> str:
    """Return how Vega's process ended, with its last line if it ended by itself."""
    if not isinstance(error, subprocess.CalledProcessError):
        return type(error).__name__
    if error.returncode < 0:
        return f"its process ended with {signal.Signals(-error.returncode).name}"
    lines = [line for line in error.stderr.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"its process ended with exit code {error.returncode}"
