"""What every section of the recipe is made of: frozen models, settings that change no result, language codes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mlctl import languages as codes
from mlctl.errors import InputError

_IN_KEY = "in_key"  # in the field's JSON schema: false keeps a setting out of the stage's key


def runtime_only(default: Any, description: str, **limits: Any) -> Any:
    """Declare a setting that changes how fast or where a result is made, never the result itself."""
    return Field(default, description=description, json_schema_extra={_IN_KEY: False}, **limits)


def digested_elsewhere(default: Any, *, description: str, **limits: Any) -> Any:
    """Declare the place of a file, folder or model whose content digest is in the key: the same content elsewhere is the same result."""
    return Field(default, description=description, json_schema_extra={_IN_KEY: False}, **limits)


class Section(BaseModel):
    """A part of the recipe: frozen, and unknown settings are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _canonical(code: object) -> object:
    """Map a code to its tag; pydantic wants a ValueError where there is none."""
    code = "no" if code is False else code  # YAML 1.1 reads Norwegian as false
    try:
        return codes.canonical(code) if isinstance(code, str) else code
    except InputError as error:
        raise ValueError(f"{error.problem}: {error.remedy}") from None


Language = Annotated[str, BeforeValidator(_canonical)]


def _devices(given: object) -> object:
    """Give a plain answer where pydantic would explain each of the forms."""
    names = list(given) if isinstance(given, (tuple, list)) else [given] if isinstance(given, str) else []
    if names and all(isinstance(name, str) and name for name in names) and (given == "auto" or "auto" not in names):
        return given
    if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
        return given
    raise ValueError("give auto, a number of at least 1, or names such as cpu or [cuda:0, cuda:1]")


Devices = Annotated[str | int | tuple[str, ...], BeforeValidator(_devices)]


def key_settings(section: Section) -> dict[str, Any]:
    """Return the settings of a section that can change a result, as JSON values: what goes into its key."""
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
    return value
