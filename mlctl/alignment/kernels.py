"""Compiled functions that are kept on disk where there is a folder to keep them in, and run without the interpreter's lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


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
