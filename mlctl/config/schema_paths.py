"""The recipe's models by dotted paths: which setting a path names, and what type it has."""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from mlctl.config.base import Section
from mlctl.config.yaml_text import Path

_DISCRIMINATORS = ("kind", "name")
_KEY = "[key]"  # pydantic's last step to a key of a mapping


def plain(annotation: Any) -> Any:
    """Return a type without its metadata."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union without metadata, also of unions inside; of another type, itself."""
    annotation = plain(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(inner for member in get_args(annotation) for inner in members(member))
    return (annotation,)


def is_section(annotation: Any) -> bool:
    """Return whether a type is a section of the recipe."""
    return isinstance(annotation, type) and issubclass(annotation, Section)


def model_of(annotation: Any, value: Any) -> type[Section] | None:
    """Return the section that a plain value is of: of a union, the one that its kind or name selects."""
    sections = [member for member in members(annotation) if is_section(member)]
    if len(sections) > 1 and isinstance(value, dict):
        sections = [section for section in sections if _selects(section, value)]
    return sections[0] if len(sections) == 1 else None


def tags(annotation: Any) -> list[str]:
    """Return the kinds (or names) that select a section of a union."""
    fields = (
        section.model_fields.get(name) for section in members(annotation) if is_section(section) for name in _DISCRIMINATORS
    )
    return [str(get_args(field.annotation)[0]) for field in fields if field and get_origin(field.annotation) is Literal]


def item_type(annotation: Any, value: Any, step: str | int) -> Any:
    """Return the type of an item of a list or mapping, or of a setting of a section; None: there is no such thing."""
    if (model := model_of(annotation, value)) is not None:
        field = model.model_fields.get(str(step))
        return field.annotation if field else None
    for member in members(annotation):
        if get_origin(member) is tuple and isinstance(step, int):
            return get_args(member)[0]
        if get_origin(member) is dict:
            return get_args(member)[1]
    return None


def field_at(model: type[Section], path: Path, values: Any) -> tuple[type[Section] | None, FieldInfo | None, Any]:
    """Return the innermost section on a path, its setting (None: the section has no such setting) and the type of the value."""
    section: type[Section] | None = model
    annotation: Any = model
    field: FieldInfo | None = None
    for step in path:
        inner = model_of(annotation, values)
        if inner is not None or is_section(plain(annotation)):
            section = inner
            field = section.model_fields.get(str(step)) if section else None
        annotation = item_type(annotation, values, step)
        values = item(values, step)
    return section, field, annotation


def value_path(location: Path, values: Any) -> Path:
    """Return pydantic's location of an error as the path of the value, without the names of union members."""
    path = Path()
    for step in location:
        if isinstance(values, dict) and step not in values and step in [values.get(name) for name in _DISCRIMINATORS]:
            continue
        if not isinstance(values, (dict, list)) or step == _KEY:
            break
        path, values = (*path, step), item(values, step)
    return path


@functools.cache
def all_settings(model: type[Section]) -> tuple[str, ...]:
    """Return the dotted names of all settings outside of lists."""
    return tuple(_settings(model, ""))


def _settings(model: type[Section], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if is_section(field.annotation):
            yield from _settings(plain(field.annotation), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def item(values: Any, step: str | int) -> Any:
    """Return a value of a mapping or a list; None: there is no such value."""
    if isinstance(values, dict):
        return values.get(step)
    return values[step] if isinstance(values, list) and isinstance(step, int) and step < len(values) else None


def _selects(section: type[Section], value: Mapping[str, Any]) -> bool:
    fields = ((name, section.model_fields.get(name)) for name in _DISCRIMINATORS)
    return any(field and value.get(name) in get_args(field.annotation) for name, field in fields)
