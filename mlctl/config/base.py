"""Base of every section of the recipe: frozen models, declarations of settings outside the key, language codes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mlctl import languages as codes
from mlctl.errors import InputError

#: Value of a setting that names an encoder: the champion of the recipe.
CHAMPION = "champion"

_IN_KEY = "in_key"  # in the field's JSON schema: false keeps a setting out of the stage's key


def runtime_only(default: Any, description: str, **limits: Any) -> Any:
    """Declare a setting that changes how fast or where a result is computed, never the result itself. It is not part of the key."""
    return Field(default, description=description, json_schema_extra={_IN_KEY: False}, **limits)


def digested_elsewhere(default: Any, *, description: str, **limits: Any) -> Any:
    """Declare the path or name of a file, folder or model whose content digest is part of the key instead: moving it changes no result."""
    return Field(default, description=description, json_schema_extra={_IN_KEY: False}, **limits)


class Section(BaseModel):
    """Base class of the recipe's sections: frozen; unknown settings are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _canonical(code: object) -> object:
    """Return the canonical tag of a language code; raise the ValueError that pydantic expects if there is none."""
    code = "no" if code is False else code  # YAML 1.1 reads `no` (Norwegian) as false
    try:
        return codes.canonical(code) if isinstance(code, str) else code
    except InputError as error:
        raise ValueError(f"{error.problem}: {error.remedy}") from None


Language = Annotated[str, BeforeValidator(_canonical)]


def _devices(value: object) -> object:
    """Return a valid value; raise one plain message where pydantic would list an error for each form."""
    names = list(value) if isinstance(value, (tuple, list)) else [value] if isinstance(value, str) else []
    if names and all(isinstance(name, str) and name for name in names) and (value == "auto" or "auto" not in names):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ValueError("use auto, a number of at least 1, or names such as cpu or [cuda:0, cuda:1]")


Devices = Annotated[str | int | tuple[str, ...], BeforeValidator(_devices)]


def key_settings(section: Section) -> dict[str, Any]:
    """Return the settings of a section that are part of a key, as JSON values: those that can change a result."""
    return {
        name: _key_value(getattr(section, name))
        for name, field in type(section).model_fields.items()
        if not (isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get(_IN_KEY) is False)
    }


def _key_value(value: Any) -> Any:
    if isinstance(value, Section):
        return key_settings(value)
    if isinstance(value, (tuple, list)):
        return [_key_value(item) for item in value]
    if isinstance(value, dict):
        return {name: _key_value(item) for name, item in value.items()}
    return value
