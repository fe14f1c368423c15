"""Built-in sweeps, found by name: seeds of any recipe, and the variants of the studies in docs/results.md."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from mlctl.recipes.builtin_files import BuiltinFiles

_SWEEPS = BuiltinFiles("sweep", Path(str(resources.files(__name__))))


def names() -> list[str]:
    """Return the names of the built-in sweeps."""
    return _SWEEPS.names()


def descriptions() -> dict[str, str]:
    """Return the built-in sweeps by name, each with a line that describes it: the comment in its first line."""
    return {name: _SWEEPS.description(name) for name in _SWEEPS.names()}


def find(sweep: str) -> Path:
    """Return the file of a built-in sweep, or the path itself where it names a file of the user.

    Raises:
        InputError: it is neither; the message suggests a similar one.
    """
    return _SWEEPS.find(sweep)
