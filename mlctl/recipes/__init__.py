"""Built-in recipes, found by name."""

from __future__ import annotations

import difflib
from importlib import resources
from pathlib import Path

from mlctl.errors import InputError

_FOLDER = Path(str(resources.files(__name__)))


def names() -> list[str]:
    """Return the names of the built-in recipes."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def descriptions() -> dict[str, str]:
    """Return the built-in recipes by name, each with a line that describes it: the comment in its first line."""
    return {name: _builtin(name).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for name in names()}


def find(recipe: str) -> Path:
    """Return the file of a built-in recipe, or the path itself where it names a file of the user.

    Raises:
        InputError: it is neither; the message suggests a similar one.
    """
    path = Path(recipe)
    if recipe and _exists(path):
        return _builtin(recipe) if path.is_dir() and recipe in names() else path
    if recipe in names():
        return _builtin(recipe)
    similar = difflib.get_close_matches(recipe, [*names(), *_files_beside(path)], n=1, cutoff=0.6)
    hint = f"did you mean {similar[0]}? " if similar else ""
    shown = recipe if len(recipe) <= 200 else f"{recipe[:200]}…"
    problem = f"no recipe {shown!r}: there is no such file and no built-in recipe of this name"
    raise InputError(problem, f"{hint}name a YAML file, or a built-in recipe: {', '.join(names())}")


def _builtin(name: str) -> Path:
    return _FOLDER / f"{name}.yaml"


def _exists(path: Path) -> bool:
    try:
        return path.exists() or path.is_symlink()
    except (OSError, ValueError):  # too long, a NUL
        return False


def _files_beside(path: Path) -> list[str]:
    """Return the YAML files in the folder of a path, as one would name them."""
    try:
        return [str(path.with_name(file.name)) for file in path.parent.iterdir() if file.suffix in {".yaml", ".yml"}]
    except (OSError, ValueError):
        return []
