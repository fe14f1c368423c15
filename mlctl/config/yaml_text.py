"""Reads and writes the YAML of recipes: YAML 1.2's core schema, each setting once, with the line of every value.

In YAML 1.1, which PyYAML reads, `no` (Norwegian) and `off` are booleans, `010` is 8, `12:30:45` a number and `2026-01-01` a date. In
YAML 1.2 these are text (and 010 is 10). Text of other hands may be hostile: size, depth and what aliases stand for are limited.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.error import Mark

from mlctl.errors import InputError

#: Where a value is in a recipe: names of settings and indices of lists.
Path = tuple[str | int, ...]

#: Largest text in characters, deepest nesting, and most values after aliases are replaced by what they stand for.
MAX_CHARACTERS, MAX_DEPTH, MAX_VALUES = 262_144, 30, 50_000

_PREFIX = "tag:yaml.org,2002:"
_MERGE = f"{_PREFIX}merge"
_CORE_SCHEMA = (  # YAML 1.2.2, 10.3.2; and `<<` of YAML 1.1
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+0123456789."),
    ("merge", r"<<", "<"),
)
_LONGEST_INTEGER = 40  # characters; Python refuses to convert very long ones
_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Loader(yaml.SafeLoader):
    """Composes nodes with the tags of the core schema, to a limited depth."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own class attribute
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ComposerError(None, None, f"nested deeper than {MAX_DEPTH} levels", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.1 or 1.2 would read as something else."""


for _name, _pattern, _first in _CORE_SCHEMA:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            f"{_PREFIX}{_name}", re.compile(rf"(?:{_pattern})$"), ["" if c == "\0" else c for c in _first]
        )


@dataclass
class Document:
    """A YAML text as plain values.

    Attributes:
        values: dicts with text as keys, lists, text, numbers, booleans, None.
        lines: the line of each value, from 1.
    """

    values: Any
    lines: dict[Path, int] = field(default_factory=dict)


def parse(text: str, where: str) -> Document:
    """Return the values of a YAML text.

    Raises:
        InputError: it is not YAML, names a setting twice, or is too large; the message has the line.
    """
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"{where} is too large for a recipe: over {MAX_CHARACTERS:,} characters", "name a recipe, not data")
    text = text.removeprefix("\ufeff")
    if found := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise InputError(
            f"{where}, line {line}: control character U+{ord(found[0]):04X}", "remove it, or save the file as UTF-8 text"
        )
    try:
        node = _Loader(text).get_single_node()
        return _Builder(where).document(node)
    except yaml.YAMLError as error:
        raise _explained(error, text, where) from None
    except (ValueError, OverflowError):  # PyYAML: an escape such as "\U00110000"
        raise InputError(f"{where}: an escape in quotes stands for no character", "fix the `\\u…` or `\\U…`") from None


def dump(values: Any, width: int = 130) -> str:
    """Return plain values as YAML text, which `parse` and readers of YAML 1.1 read alike."""
    return yaml.dump(values, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=width)


class _Builder:
    """Makes plain values of composed nodes, and counts them: aliases can stand for more values than fit into memory."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._count = 0
        self._lines: dict[Path, int] = {}

    def document(self, node: yaml.Node | None) -> Document:
        return Document(None if node is None else self._value(node, ()), self._lines)

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._count += 1
        self._lines.setdefault(path, node.start_mark.line + 1)
        if self._count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise self._error(node, "an alias stands for itself or for too many values", "write the values out")
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_PREFIX}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_PREFIX}seq":
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        raise self._error(node, f"the tag {_shown(node.tag)} is not allowed", "remove the tag")

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        values, lines = dict[str, Any](), dict[str, int]()
        merged: list[yaml.MappingNode] = []
        for key_node, item in node.value:
            if key_node.tag == _MERGE:
                merged += self._merged(key_node, item)
                continue
            name, line = self._name(key_node), key_node.start_mark.line + 1
            if name in values:
                twice = ".".join(map(str, (*path, name)))
                raise self._error(key_node, f"{twice} is set twice (first in line {lines[name]})", "remove one of the two")
            lines[name] = line
            self._lines.setdefault((*path, name), line)
            values[name] = self._value(item, (*path, name))
        for section in merged:  # what the mapping has wins over all, then the first one
            values = {**self._mapping(section, path), **values}
        return values

    def _merged(self, key: yaml.Node, node: yaml.Node) -> list[yaml.MappingNode]:
        nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
        self._count += 1
        if self._count > MAX_VALUES or not all(isinstance(item, yaml.MappingNode) for item in nodes):
            raise self._error(key, "`<<` merges sections only", "name one or more aliases of sections: `<<: *name`")
        return list(nodes)

    def _name(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, "the name of a setting is not text", "write `name: value`; quote text that contains braces")
        return str(node.value)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text, kind = node.value, node.tag.removeprefix(_PREFIX)
        try:
            match kind:
                case "str" | "merge":
                    return text
                case "null":
                    return None
                case "bool":
                    return {"true": True, "false": False}[text.lower()]
                case "int":
                    digits = text.removeprefix("0o") if text.startswith("0o") else text
                    base = 16 if text.startswith("0x") else 8 if text.startswith("0o") else 10
                    return int(digits, base) if len(text) <= _LONGEST_INTEGER else text
                case "float":
                    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except (KeyError, ValueError):  # by an explicit tag: !!int many
            raise self._error(node, f"{text!r} is not of type {kind}", "remove the tag or fix the value") from None
        raise self._error(node, f"the tag {_shown(node.tag)} is not allowed", "remove the tag")

    def _error(self, node: yaml.Node, problem: str, remedy: str) -> InputError:
        return InputError(f"{self._where}, line {node.start_mark.line + 1}: {problem}", remedy)


def _shown(tag: str) -> str:
    return tag.replace(_PREFIX, "!!")


def _explained(error: yaml.YAMLError, text: str, where: str) -> InputError:
    """Return PyYAML's error in one line, with the line of the text that has to be fixed."""
    marks: list[Mark | None] = [getattr(error, "problem_mark", None), getattr(error, "context_mark", None)]
    reason = str(getattr(error, "problem", None) or getattr(error, "context", None) or str(error).partition("\n")[0])
    if any(noticed_late in reason for noticed_late in ("end of stream", "expected ':'")):
        marks.reverse()
    line = next((mark.line + 1 for mark in marks if mark), 1)
    lines = text.splitlines()
    if line <= len(lines) and re.match(r" *\t", lines[line - 1]):
        return InputError(f"{where}, line {line}: a tab is used for indentation", "indent with spaces")
    if "expected a single document" in str(getattr(error, "context", "")):
        return InputError(f"{where}, line {line}: a second document starts (`---`)", "keep one recipe in a file")
    remedy = "fix that line: `name: value`, sections indented with spaces, text that contains `: `, `#` or brackets in quotes"
    return InputError(f"{where}, line {line}: not valid YAML: {reason}", remedy)
