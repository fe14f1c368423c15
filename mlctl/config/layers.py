"""Settings from several places, one over the other: the files of a recipe and its bases, and the overrides of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlctl.config import yaml_text
from mlctl.config.yaml_text import Path
from mlctl.core.url_redaction import redact_text
from mlctl.errors import InputError

_COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Change:
    """A new value of one setting.

    Attributes:
        setting: its dotted path.
        value: plain value.
        origin: what sets it, for messages: a file and a line.
    """

    setting: str
    value: Any
    origin: str


@dataclass
class Layer:
    """Settings and where each comes from.

    Attributes:
        values: plain values by name; sections are dicts.
        origins: for the path of a value, the file and line or the override that set it.
        changed: the paths that overrides and changes have set.
    """

    values: dict[str, Any]
    origins: dict[Path, str] = field(default_factory=dict)
    changed: set[Path] = field(default_factory=set)

    def over(self, base: Layer) -> Layer:
        """Return the settings of both, with these first. Sections are merged, lists are replaced."""
        replaced = {path for path in self.origins if not (_is_section(self.values, path) and _is_section(base.values, path))}
        kept = {path: origin for path, origin in base.origins.items() if not _has_prefix(path, replaced)}
        return Layer(_merge(base.values, self.values), kept | self.origins)

    def override(self, text: str) -> None:
        """Apply an override of the form section.setting=value; the value is YAML.

        Raises:
            InputError: it has another form, or a part of its path is no section.
        """
        dotted, equals, raw = text.partition("=")
        if not equals or not _names(dotted):
            problem = f"override {redact_text(text[:200])!r} does not have the form section.setting=value"
            raise InputError(problem, "write for example train.steps=200")
        value = yaml_text.parse(raw, f"override of {'.'.join(_names(dotted))[:200]}").values
        self.change(Change(dotted, value, _COMMAND_LINE))

    def change(self, change: Change) -> None:
        """Set one setting.

        Raises:
            InputError: its path is none, or a part of it is no section.
        """
        names = _names(change.setting)
        if not names:
            raise InputError(
                f"{change.origin}: {change.setting[:200]!r} is not the name of a setting", "write for example train.steps"
            )
        shown = ".".join(names)[:200]
        where = f"override of {shown}" if change.origin == _COMMAND_LINE else f"{change.origin}: {shown}"
        path = _set(self.values, names, change.value, where)
        self.origins = {known: origin for known, origin in self.origins.items() if not _has_prefix(known, {path})}
        self.origins[path] = change.origin
        self.changed = {known for known in self.changed if not _has_prefix(known, {path})} | {path}

    def origin_of(self, path: Path) -> str:
        """Return what set a value: its nearest enclosing value that is known; of a section, the overrides and changes inside it first."""
        inside = [known for known in self.origins if known[: len(path)] == path and known in self.changed]
        if inside and path:
            return self.origins[path] if path in inside else ", ".join(map(self._with_setting, inside))
        prefixes = (path[:length] for length in range(len(path), -1, -1))
        nearest = next((prefix for prefix in prefixes if prefix in self.origins), None)
        if nearest is None:
            return ""
        return self._with_setting(nearest) if nearest in self.changed else self.origins[nearest]

    def _with_setting(self, path: Path) -> str:
        return f"{self.origins[path]} ({'.'.join(map(str, path))})"


def from_document(document: yaml_text.Document, where: str) -> Layer:
    """Return the settings of a file."""
    return Layer(document.values, {path: f"{where}, line {line}" for path, line in document.lines.items() if path})


def _names(dotted: str) -> list[str]:
    """Return the parts of a dotted path; none if it is not one."""
    names = [name.strip() for name in dotted.split(".")]
    return names if all(names) and len(names) <= yaml_text.MAX_DEPTH else []


def _set(values: dict[str, Any], names: list[str], value: Any, where: str) -> Path:
    path: Path = ()
    place: Any = values
    for name in names:
        path = (*path, _index(place, name, where) if isinstance(place, list) else name)
        if len(path) < len(names):
            place = _section(place, path[-1], where)
    place[path[-1]] = value
    return path


def _section(place: Any, key: Any, where: str) -> Any:
    """Return the section or list of a name, created if there is none."""
    child = place[key] if isinstance(place, list) else place.get(key)
    if child is None:
        child = place[key] = {}
    if not isinstance(child, (dict, list)):
        raise InputError(f"{where}: {key!r} is a value, not a section", f"remove what follows {key!r}")
    return child


def _index(items: list[Any], name: str, where: str) -> int:
    if name.isdecimal() and len(name) < 6 and int(name) < len(items):
        return int(name)
    raise InputError(f"{where}: {name!r} is no item of the list", f"number its items 0 to {len(items) - 1}, or give a list")


def _merge(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **base,
        **{
            name: _merge(base[name], value) if isinstance(value, dict) and isinstance(base.get(name), dict) else value
            for name, value in values.items()
        },
    }


def _is_section(values: Any, path: Path) -> bool:
    for step in path:
        if not isinstance(values, dict) or step not in values:
            return False
        values = values[step]
    return isinstance(values, dict)


def _has_prefix(path: Path, prefixes: set[Path]) -> bool:
    return any(path[:length] in prefixes for length in range(1, len(path) + 1))
