from __future__ import annotations

import subprocess
import sys


def test_heavy_libraries_are_loaded_when_a_format_needs_them() -> None:
    heavy = ("datasets", "lxml", "numpy", "polib", "pyarrow")
    code = f"import sys, mlctl.corpora; print(*(name for name in {heavy!r} if name in sys.modules))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.split() == []
