"""Files of text that a pattern of the recipe names: a folder, a file, or a file pattern with *."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from mlctl.corpora.archives import file_types
from mlctl.errors import InputError

_PLACEHOLDER = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True)
class FoundText:
    """A file: `name` is its path below the folder that the pattern names, `key` what it has in common with its translation."""

    path: Path
    name: str
    key: str


def find_text(pattern: str, target: str, setting: str) -> list[FoundText]:
    """Return the files that a pattern names, sorted by name.

    Args:
        pattern: with {target} for the target language.
        target: language tag.
        setting: corpus and setting, for messages.

    Raises:
        InputError: there are none, or the pattern has another placeholder.
    """
    if unknown := sorted(set(_PLACEHOLDER.findall(pattern)) - {"target"}):
        raise InputError(f"{setting}: {pattern!r} has the unknown placeholder {{{unknown[0]}}}", "use {target}")
    filled = pattern.replace("{target}", target)
    path = Path(filled).expanduser()
    if path.is_dir():
        found = [FoundText(file, name, file_types.without_packing(name)) for file, name in _files_below(path)]
    elif path.is_file():
        found = [FoundText(path, path.name, "")]  # the one file of either side
    else:
        found = _matching(str(path))
    if not found:
        start = "" if path.is_absolute() else f"; relative paths start at {Path.cwd()}"
        what = "has no files" if path.is_dir() else "names no folder and no file"
        raise InputError(f"{setting}: {filled} {what}", f"correct the path{start}")
    return found


def _files_below(folder: Path) -> list[tuple[Path, str]]:
    """Return the files in a folder and its subfolders, but hidden ones, with their paths in it."""
    files = [(file, file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()]
    return sorted(
        ((file, name.as_posix()) for file, name in files if not any(part.startswith(".") for part in name.parts)),
        key=lambda entry: entry[1],
    )


def _matching(pattern: str) -> list[FoundText]:
    """Return the files that match a pattern with *; their key is the text for the first one."""
    if "*" not in pattern:
        return []
    fixed = PurePath(pattern.partition("*")[0] + "x").parent
    literals = pattern.split("*")
    expression = re.compile("([^/]*)".join(map(re.escape, literals)))
    paths = sorted(glob.glob("*".join(map(glob.escape, literals))))  # noqa: PTH207 - Path.glob takes no absolute pattern
    matches = [(Path(path), expression.fullmatch(path)) for path in paths]
    return [
        FoundText(path, path.relative_to(fixed).as_posix(), "/".join(match.groups()))
        for path, match in matches
        if match and path.is_file()
    ]
