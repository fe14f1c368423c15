"""A machine that gives the charts no memory: a warning, never the end of the run."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import logging, resource
logging.basicConfig()
from mlctl.reporting import charts, png_export
chart = charts.curve_chart([{"step": step, "mean": 1.0, "low": 0.0, "high": 2.0} for step in range(3)], "loss")
resource.setrlimit(resource.RLIMIT_AS, (10**9, 10**9))
assert png_export.pngs([chart, chart]) == [b"", b""]
print("alive")
"""


def test_charts_without_memory_are_left_out_with_a_warning() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.stdout == "alive\n", done.stderr
    assert done.stderr.count("charts were not drawn as pictures: ") == 1
    assert "ulimit -v" in done.stderr
