"""Reference of the tables that stages exchange: the Arrow schemas of mlctl/schema.py with the comments above them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

import pyarrow as pa
from tables import table

from mlctl import schema


def schemas_part() -> str:
    """Return a heading, a description and a table of columns for each schema."""
    comments = dict(_comments())
    return "\n".join(
        f"## `{name}`\n\n{comments.get(name, '')}\n\n{_columns(value)}"
        for name, value in vars(schema).items()
        if isinstance(value, pa.Schema)
    )


def _comments() -> Iterator[tuple[str, str]]:
    """Yield the name of each assignment of the module and the `#:` comment above it."""
    lines = inspect.getsource(schema).splitlines()
    for node in ast.parse("\n".join(lines)).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            first = node.lineno - 1
            start = first
            while start and lines[start - 1].startswith("#:"):
                start -= 1
            yield node.targets[0].id, " ".join(line.removeprefix("#:").strip() for line in lines[start:first])


def _columns(columns: pa.Schema) -> str:
    return table(
        ("column", "type", "null"),
        [(f"`{field.name}`", _type(field.type), "yes" if field.nullable else "no") for field in columns],
    )


def _type(value: pa.DataType) -> str:
    """Return a type with its inner types, without Arrow's markers of what may be null."""
    if pa.types.is_struct(value):
        return "{" + ", ".join(f"{field.name}: {_type(field.type)}" for field in value) + "}"
    if pa.types.is_list(value):
        return f"list of {_type(value.value_type)}"
    if pa.types.is_map(value):
        return f"map of {_type(value.key_type)} to {_type(value.item_type)}"
    return str(value)
