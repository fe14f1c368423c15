"""Formats pydantic errors as user messages: where each setting was given, its dotted path, what is allowed and what was given."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from mlctl.config import schema_paths
from mlctl.config.base import Section
from mlctl.config.layers import Layer
from mlctl.config.yaml_text import Path
from mlctl.core.url_redaction import redact_values

#: Names of settings before 0.2.0, and their new names.
RENAMED = {
    "align.min_linked": "align.min_link_coverage",
    "clean.cut_off_spreads": "clean.cut_off_zscore",
    "clean.max_ratio_spreads": "clean.max_ratio_zscore",
    "evaluate.map_meanings": "evaluate.embedding_map_sentences",
    "retrain.renew": "retrain.refresh_sources",
    "scale": "executor",
    "shard.max_couples_of_a_word": "shard.word_frequency_cap",
    "train.chunk_rows": "train.micro_batch_tokens",
    "train.couples": "train.word_pairs",
    "train.decay": "train.lr_schedule",
    "train.micro_batch_size": "train.micro_batch_tokens",
    "train.wiring": "train.objective",
}

#: What a value has to look like, for each pattern of a setting.
PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*$": "use letters, digits, `_`, `.` and `-`, a letter or digit first",
    r"^([A-Za-z0-9][A-Za-z0-9_.-]*)?$": "use letters, digits, `_`, `.` and `-`, a letter or digit first",
    r"^([A-Za-z0-9][A-Za-z0-9_-]*)?$": "use letters, digits, `_` and `-`, a letter or digit first",
    r"^[A-Za-z0-9][A-Za-z0-9_-]*$": "use letters, digits, `_` and `-`, a letter or digit first",
    r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$": "use letters, digits, `_`, `.`, `+` and `-`, a letter or digit first",
    r"^([a-z0-9]+([.-][a-z0-9]+)*)?$": "use the hub's name of the licence, in lower case: apache-2.0, mit, cc-by-4.0, other",
    r"^(auto|cpu|cuda(:\d+)?)$": "use auto, cpu, cuda or cuda:N",
    r"^(\S+:\d+)?$": "give host:port",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "give the name of an environment variable, never the key itself",
    "^([0-9a-f]{64})?$": "give 64 hexadecimal digits (`sha256sum FILE`)",
    r"^[^\s-]+-[^\s-]+-[^\s-]+-[^\s-]+(-[^\s-]+)?$": "give group-name-version-language-language, as `mlctl corpora search` prints it",
}

_UNKNOWN = "no such setting"
_SECTION_TYPES = ("model_type", "model_attributes_type", "dict_type")
_Words = Callable[[Any, dict[str, Any]], str]

# By type of pydantic's error: what to do. Each gets the given value and the limits.
_WORDS: dict[str, _Words] = {
    "greater_than": lambda _, limits: f"give a number greater than {_number(limits['gt'])}",
    "greater_than_equal": lambda _, limits: f"give a number of at least {_number(limits['ge'])}",
    "less_than": lambda _, limits: f"give a number less than {_number(limits['lt'])}",
    "less_than_equal": lambda _, limits: f"give a number of at most {_number(limits['le'])}",
    "finite_number": lambda _, __: "give a finite number",
    "int_type": lambda _, __: "give a whole number",
    "int_parsing": lambda _, __: "give a whole number",
    "int_parsing_size": lambda _, __: "give a smaller number",
    "int_from_float": lambda _, __: "give a whole number",
    "float_type": lambda _, __: "give a number",
    "float_parsing": lambda _, __: "give a number",
    "bool_type": lambda _, __: "use true or false",
    "bool_parsing": lambda _, __: "use true or false",
    "string_type": lambda value, _: _text_words(value),
    "string_too_short": lambda _, __: "give a text that is not empty",
    "string_pattern_mismatch": lambda _, limits: PATTERNS.get(limits["pattern"], f"match the pattern {limits['pattern']}"),
    "tuple_type": lambda value, _: f"give a list, like {_as_list(value)}",
    "list_type": lambda value, _: f"give a list, like {_as_list(value)}",
    "too_short": lambda _, limits: f"name at least {limits['min_length']}",
    "too_long": lambda _, limits: f"name at most {limits['max_length']}",
    "literal_error": lambda value, limits: f"use {limits['expected']}{_did_you_mean(value, _quoted(limits['expected']))}",
}


def format_errors(
    error: ValidationError | None, found: Sequence[tuple[Path, str]], layer: Layer, model: type[Section]
) -> list[str]:
    """Return a line for each invalid setting: where it was given, what is allowed, what was given.

    Args:
        error: of pydantic, if any.
        found: further problems, as path and what to do.
        layer: the values and where each comes from.
        model: the section that the values are of.
    """
    messages: dict[Path, list[str]] = {path: [message] for path, message in found}
    checked = set(messages)
    problems = error.errors() if error else []
    for problem in problems:
        if problem["type"] == "too_short" and any(_is_inside(other["loc"], problem["loc"]) for other in problems):
            continue  # pydantic does not count items that are wrong
        path = schema_paths.value_path(tuple(problem["loc"]), layer.values)
        path, message = _explain(problem, path, layer, model)
        if path not in checked and message not in messages.setdefault(path, []):
            messages[path].append(message)
    positions = {path: position for position, path in enumerate(layer.origins)}
    ordered = sorted(messages.items(), key=lambda item: _position(item[0], positions))
    return [_line(path, "; or ".join(lines), layer) for path, lines in ordered]


def _is_inside(location: Sequence[Any], outer: Sequence[Any]) -> bool:
    """Return whether a location is inside of another one."""
    return len(location) > len(outer) and tuple(location[: len(outer)]) == tuple(outer)


def _position(path: Path, positions: Mapping[Path, int]) -> int:
    """Return the position of a value, or of its nearest enclosing value, among those that were given."""
    return max(positions.get(path[:length], -1) for length in range(1, len(path) + 1))


def _line(path: Path, message: str, layer: Layer) -> str:
    origin, dotted = layer.origin_of(path), ".".join(map(str, path))
    given = "" if message.startswith(_UNKNOWN) else _given(path, layer.values)
    return f"{origin}{': ' if origin else ''}{dotted}: {message}{given}"


def _given(path: Path, values: Any) -> str:
    """Return the value in brackets, without what it contains of secrets; nothing of sections and of what is missing."""
    for step in path:
        if isinstance(values, dict) and step not in values:
            return ""
        values = schema_paths.item(values, step)
    if isinstance(values, dict):
        return ""
    shown = {None: "nothing", True: "true", False: "false"}.get(values) if isinstance(values, (bool, type(None))) else None
    return f" (given: {shown or _SHORT.repr(_redacted(path, values))})"


def _redacted(path: Path, value: Any) -> Any:
    """Return a value without what grants access, as its setting is redacted; an item of a list is not its first one."""
    name = next((str(step) for step in reversed(path) if not isinstance(step, int)), "")
    return redact_values(["", value], name)[1] if path and isinstance(path[-1], int) else redact_values(value, name)


_SHORT = reprlib.Repr()
_SHORT.maxstring, _SHORT.maxlist, _SHORT.maxlong = 100, 8, 30


def _explain(problem: Any, path: Path, layer: Layer, model: type[Section]) -> tuple[Path, str]:
    kind, limits, value = problem["type"], problem.get("ctx", {}), _redacted(path, problem.get("input"))
    section, field, annotation = schema_paths.field_at(model, path, layer.values)
    if kind == "extra_forbidden":
        return path, f"{_UNKNOWN}{_hint(path, section, model)}"
    if kind == "missing":
        return path, f"is missing: {_first_sentence(field)}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        name, allowed = limits["discriminator"].strip("'"), schema_paths.tags(annotation)
        similar = _did_you_mean(limits.get("tag"), allowed)
        return (*path, name), f"use {' or '.join([', '.join(allowed[:-1]), allowed[-1]])}{similar}"
    if kind in _SECTION_TYPES:
        return path, _section_words(path, annotation, value)
    words = _WORDS.get(kind)
    return path, words(value, limits) if words else problem["msg"].removeprefix("Value error, ")


def _first_sentence(field: FieldInfo | None) -> str:
    return ((field and field.description) or "required").partition(". ")[0].rstrip(".")


def _number(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"


def _section_words(path: Path, annotation: Any, value: Any) -> str:
    if kinds := schema_paths.tags(annotation):
        return f"give settings, like {{{_discriminator(annotation)}: {kinds[0]}, …}}"
    names = [
        name for member in schema_paths.members(annotation) if schema_paths.is_section(member) for name in member.model_fields
    ]
    if not names:
        return "give names and values, like {zh: zh_CN}"
    if value is None:
        return "the section is empty: give its settings, or remove it"
    return f"is a section: give its settings, like {'.'.join(map(str, (*path, names[0])))}=…"


def _discriminator(annotation: Any) -> str:
    first = next(member for member in schema_paths.members(annotation) if schema_paths.is_section(member))
    return "kind" if "kind" in first.model_fields else "name"


def _hint(path: Path, section: type[Section] | None, model: type[Section]) -> str:
    """Return the hint for an unknown setting: its new name, or the most similar settings."""
    dotted = ".".join(map(str, path))
    if new := RENAMED.get(dotted):
        return f"; renamed to {new!r} in 0.2.0"
    if dotted == "base":
        return ": only a recipe file names its `base`"
    names = list(section.model_fields) if section else []
    name = str(path[-1])
    elsewhere = [setting for setting in schema_paths.all_settings(model) if setting.rpartition(".")[2] == name]
    if similar := difflib.get_close_matches(name, names, n=1, cutoff=0.75):
        return f"; did you mean {similar[0]!r}?"
    if 0 < len(elsewhere) <= 3:
        return f"; did you mean {' or '.join(map(repr, elsewhere))}?"
    return _did_you_mean(name, names) or (f"; available: {', '.join(names)}" if names else "")


def _did_you_mean(value: Any, names: Sequence[str]) -> str:
    similar = difflib.get_close_matches(value, names, n=1, cutoff=0.5) if isinstance(value, str) else []
    return f"; did you mean {similar[0]!r}?" if similar else ""


def _quoted(expected: str) -> list[str]:
    return re.findall(r"'([^']*)'", expected)


def _text_words(value: Any) -> str:
    if isinstance(value, (bool, int, float)):
        return "give text: put it in quotes"
    return "give text" if value is not None else "give text; '' is an empty one"


def _as_list(value: Any) -> str:
    """Return how the given value would be written as a list."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return f"[{', '.join(_parts(str(value)))}]"
    return "[a, b]"


def _parts(text: str) -> Iterator[str]:
    for part in re.split(r"[\s,;]+", text.strip("[]() ")):
        if part:
            yield part if len(part) <= 40 else f"{part[:40]}…"
