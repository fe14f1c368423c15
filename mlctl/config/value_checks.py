"""Checks of plain values that pydantic lets pass: true as a number, characters that no file name or URL can have, huge numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mlctl.config.base import Section
from mlctl.config.schema_paths import item_type, members
from mlctl.config.yaml_text import Path

_LARGEST = 2**63 - 1  # of an integer in Arrow, NumPy and torch
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def find_problems(values: Any, model: type[Section]) -> Iterator[tuple[Path, str]]:
    """Yield the path of each value that is not usable, and what to do."""
    yield from _walk(values, model, ())


def _walk(value: Any, annotation: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for step, item in items:
            yield from _walk(item, item_type(annotation, value, step), (*path, step))
    elif message := _problem(value, members(annotation)):
        yield path, message


def _problem(value: Any, types: tuple[Any, ...]) -> str:
    if isinstance(value, bool) and bool not in types and (int in types or float in types):
        return "give a number"
    if isinstance(value, int) and abs(value) > _LARGEST:
        return f"give a number of at most {_LARGEST:,}"
    if isinstance(value, str) and (found := _CONTROL.search(value)):
        return f"remove the control character U+{ord(found[0]):04X}"
    return ""
