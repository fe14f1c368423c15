"""Compiled functions that are kept on disk where there is a folder to keep them in, and run without the interpreter's lock."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numba import njit

from mlctl.core import random

# Places in kernels' inner loops are unsigned (`U`): numba need not ask whether one counts from the end, and the loop becomes vector code.
# An unsigned number with a signed one makes a float there, so all parts of a place are, and what can be below 0 is signed (`S`).
if TYPE_CHECKING:
    U = S = int
else:
    U, S = np.uintp, np.int64

F = TypeVar("F", bound=Callable[..., Any])


def forget_stale(folder: Path) -> None:
    """Remove what numba keeps of a folder's modules when one of them has changed.

    Numba looks at the file of a kernel only, not at those of the kernels that it calls, and would go on with what these were.
    """
    kept = folder / "__pycache__"
    files = [*sorted(folder.glob("*.py")), Path(random.__file__)]  # kernels call the generator in there
    stats = [(file.name, file.stat()) for file in files]
    stamp = repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats])
    note = kept / "kernels.stamp"
    with contextlib.suppress(OSError):
        if note.is_file() and note.read_text() == stamp:
            return
        for file in kept.glob("*.nb[ci]"):
            file.unlink(missing_ok=True)
        kept.mkdir(exist_ok=True)
        note.write_text(stamp)


forget_stale(Path(__file__).parent)


def kernel(function: F) -> F:
    """Compile a function when it is first called; a division by zero gives infinity or nan.

    Numba keeps the code beside the module or, where that is read-only, in the user's cache. It raises when both are read-only:
    then the code is compiled anew in each process.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(function, cache=True, **options)  # type: ignore[no-any-return]
    except RuntimeError:
        return njit(function, **options)  # type: ignore[no-any-return]
