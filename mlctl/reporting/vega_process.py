"""Runs Vega in a process of its own: it contains a JavaScript engine that ends its process when it gets no memory."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys

_log = logging.getLogger(__name__)

_bundles: list[str] = []  # what this process has got: it takes two seconds

_TIMEOUT = 120.0  # seconds
_BUNDLE = "sys.stdout.write(vl_convert.javascript_bundle('window.vegaEmbed = vegaEmbed;'))"
_PNG = "sys.stdout.buffer.write(vl_convert.vegalite_to_png(sys.stdin.read(), scale=float(sys.argv[1])))"


def javascript_bundle() -> str:
    """Return Vega-Embed as one script, from the installed package; empty, with a warning, where this machine cannot run it."""
    if not _bundles and (bundle := _run("the charts of the page cannot be drawn", _BUNDLE, "")):
        _bundles.append(bundle.decode())
    return _bundles[0] if _bundles else ""


def vegalite_to_png(chart: str, scale: float) -> bytes:
    """Return a Vega-Lite chart (JSON) as a PNG picture; empty, with a warning, where this machine cannot draw it."""
    return _run("a chart was not drawn as a picture", _PNG, chart, str(scale))


def _run(failure: str, program: str, text: str, *arguments: str) -> bytes:
    command = [sys.executable, "-c", f"import sys, vl_convert; {program}", *arguments]
    try:
        return subprocess.run(command, input=text.encode(), capture_output=True, timeout=_TIMEOUT, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning("%s: %s; allow more memory (`ulimit -v`)", failure, _reason(error))
        return b""


def _reason(error: Exception) -> str:
    """Return how Vega's process ended, with its last line if it ended by itself."""
    if not isinstance(error, subprocess.CalledProcessError):
        return type(error).__name__
    if error.returncode < 0:
        return f"its process ended with {signal.Signals(-error.returncode).name}"
    lines = [line for line in error.stderr.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"its process ended with exit code {error.returncode}"
