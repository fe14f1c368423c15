"""Cached kernels are not older than their source."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mlctl.alignment.eflomal import numba_jit

CALLED = "from mlctl.alignment.eflomal.numba_jit import kernel\n\n@kernel\ndef number() -> int:\n    return {}\n"
CALLER = """
from pathlib import Path
from mlctl.alignment.eflomal.numba_jit import remove_stale_cache, kernel
remove_stale_cache(Path(__file__).parent)
from called import number

@kernel
def doubled() -> int:
    return 2 * number()

print(doubled(), sum(doubled.stats.cache_hits.values()))
"""


def test_a_kernel_is_compiled_anew_when_one_that_it_calls_has_changed(tmp_path: Path) -> None:
    def run(number: int) -> str:
        text = CALLED.format(number)
        if not (tmp_path / "called.py").is_file() or (tmp_path / "called.py").read_text() != text:
            (tmp_path / "called.py").write_text(text)
        result = subprocess.run([sys.executable, "caller.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
        return result.stdout.strip()

    (tmp_path / "caller.py").write_text(CALLER)
    assert run(20) == "40 0"
    assert run(20) == "40 1", "cached"
    assert run(300) == "600 0"


def test_the_packages_own_kernels_are_watched() -> None:
    stamp = Path(numba_jit.__file__).parent / "__pycache__" / "kernels.stamp"
    assert all(file in stamp.read_text() for file in ("sampling.py", "random.py", "symmetrization.py"))
