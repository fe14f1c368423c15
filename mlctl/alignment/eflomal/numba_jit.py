"""Compilation of numba kernels: cached on disk if a folder is writable, and run without the global interpreter lock."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numba import njit

from mlctl.core import random

# Indices in the kernels' inner loops are unsigned (`U`): numba then does not check for negative indices, and the loop is vectorised.
# Unsigned and signed integers mixed become a float in numba, so all parts of an index are unsigned; what can be negative is signed (`S`).
if TYPE_CHECKING:
    U = S = int
else:
    U, S = np.uintp, np.int64

F = TypeVar("F", bound=Callable[..., Any])


def remove_stale_cache(folder: Path, called: Sequence[Path] = ()) -> None:
    """Remove numba's cached code of a folder's modules when one of them, or of the `called` files elsewhere, has changed.

    Numba checks only the file of a kernel, not those of the kernels that it calls, and would use their old code.
    """
    cache = folder / "__pycache__"
    stats = [(file.name, file.stat()) for file in (*sorted(folder.glob("*.py")), *called)]
    stamp = repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
    stamp_file = cache / "kernels.stamp"
    with contextlib.suppress(OSError):
        if stamp_file.is_file() and stamp_file.read_text() == stamp:
            return
        for file in cache.glob("*.nb[ci]"):
            file.unlink(missing_ok=True)
        cache.mkdir(exist_ok=True)
        stamp_file.write_text(stamp)


remove_stale_cache(Path(__file__).parent, [Path(random.__file__), Path(__file__).parents[1] / "symmetrization.py"])


def kernel(function: F) -> F:
    """Compile a function at its first call; a division by zero gives infinity or NaN.

    Numba caches the code beside the module or, if that is read-only, in the user's cache folder. It raises if both are read-only:
    then each process compiles the code.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(function, cache=True, **options)  # type: ignore[no-any-return]
    except RuntimeError:
        return njit(function, **options)  # type: ignore[no-any-return]
