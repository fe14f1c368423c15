"""Reference of the recipe: every setting with its type, default, limits and description, from the pydantic models' JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tables import table

from mlctl.config import Recipe

_HEAD = ("setting", "value", "default", "meaning", "in the key")
_LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minItems": "at least {} items",
}


def settings_part() -> str:
    """Return a heading, a description and a table of settings for each section of the recipe and each kind of entry."""
    return "\n".join(_Sections(Recipe.model_json_schema()).write())


class _Sections:
    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema, self.models = schema, schema["$defs"]
        self.written = set[str]()

    def write(self) -> Iterator[str]:
        plain = {name: field for name, field in self.schema["properties"].items() if "$ref" not in field}
        yield f"## The run\n\n{self._table('', plain)}"
        for name, field in self.schema["properties"].items():
            if "$ref" in field:
                yield from self._section(_model(field), name, "##", f"`{name}`")

    def _section(self, model: str, path: str, level: str, title: str) -> Iterator[str]:
        """Yield a section and, after it, the sections that its settings are made of, each once."""
        if model in self.written:
            return
        self.written.add(model)
        described = self.models[model]
        fields = described["properties"]
        yield f"{level} {title} {{ #{model} }}\n\n{described.get('description', '')}\n\n{self._table(path, fields)}"
        for name, field in fields.items():
            for inner in _models(field):
                inner_path = f"{path}.{name}" if field.get("$ref") else ""
                title = f"`{path or model}.{name}`" if field.get("$ref") else self._entry_title(inner, name)
                yield from self._section(inner, inner_path, "###", title)

    def _entry_title(self, model: str, setting: str) -> str:
        """Return the title of a kind of entry of a list: `sources` of kind `opus`."""
        tag = next(
            (f"{name} `{field['const']}`" for name, field in self.models[model]["properties"].items() if "const" in field), ""
        )
        return f"`{setting}`: {tag}" if tag else f"`{setting}`: {model}"

    def _table(self, path: str, fields: dict[str, Any]) -> str:
        prefix = f"{path}." if path else ""
        return table(_HEAD, [self._row(f"{prefix}{name}", field) for name, field in fields.items() if "const" not in field])

    def _row(self, name: str, field: dict[str, Any]) -> tuple[str, ...]:
        if "$ref" in field:
            model = _model(field)
            return (
                f"`{name}`",
                f"[a section](#{model})",
                "",
                field.get("description") or self.models[model].get("description", ""),
                "",
            )
        default = f"`{_yaml(field['default'])}`" if "default" in field else "required"
        in_key = "–" if field.get("in_key") is False else "yes"
        return (f"`{name}`", self._value(field), default, field.get("description", ""), in_key)

    def _value(self, field: dict[str, Any]) -> str:
        """Return the values that a setting may have, in words."""
        if "enum" in field or "const" in field:
            return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
        if "anyOf" in field:
            return " or ".join(self._value(form) for form in field["anyOf"])
        if "oneOf" in field or "$ref" in field:
            return " or ".join(self._link(model) for model in _models(field))
        if field.get("type") == "array":
            return f"list of {self._value(field['items'])}{_limits(field)}" if "items" in field else "list"
        if "patternProperties" in field:
            return f"names, each with {self._value(next(iter(field['patternProperties'].values())))}"
        return f"{field.get('type', 'any')}{_limits(field)}"

    def _link(self, model: str) -> str:
        tags = [field["const"] for field in self.models[model]["properties"].values() if "const" in field]
        return f"[{tags[0] if tags else model}](#{model})"


def _yaml(value: Any) -> str:
    """Return a default as one writes it in a recipe."""
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _limits(field: dict[str, Any]) -> str:
    limits = [text.format(field[name]) for name, text in _LIMITS.items() if name in field]
    return f" {', '.join(limits)}" if limits else ""


def _model(field: dict[str, Any]) -> str:
    return str(field["$ref"]).rpartition("/")[2]


def _models(value: Any) -> Iterator[str]:
    """Yield the names of the models that a field's schema refers to, at any depth."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield _model(value)
        for name, inner in value.items():
            if name not in ("discriminator", "default"):
                yield from _models(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _models(inner)
