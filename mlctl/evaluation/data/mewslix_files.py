"""Mewsli-X's files: mentions of entities in news, and entities with descriptions in many languages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlctl import languages as codes
from mlctl.errors import InputError
from mlctl.evaluation.data.json_files import describe, json_lines, text_of
from mlctl.evaluation.data.sources import data_remedy

TITLE = "Mewsli-X"

_MARKED = re.compile(r"\{(.*?)\}")  # braces of the text, which would look like those around the mention


class Mention(NamedTuple):
    """A mention: its id, its language, the text that is encoded, and the id of the entity that it refers to."""

    name: str
    language: str
    text: str
    entity: str


class Entity(NamedTuple):
    """An entity: its id, the language of its description (canonical tag), and the description."""

    name: str
    language: str
    text: str


def read_mentions(files: Iterable[Path]) -> list[Mention]:
    """Return the mentions of files with one JSON object for each context.

    The text of a mention is the mention, a colon, and its sentence with braces around the mention, as in XTREME-R.

    Raises:
        InputError: a line has another form, names no language, a mention is not at its offsets, is in no sentence, or has no entity, or an id
            occurs twice; the message names file and line.
    """
    mentions, names = list[Mention](), set[str]()
    for file in files:
        for where, content in json_lines(file, TITLE):
            for mention in _read(_mentions, content, where):
                if not mention.entity:
                    raise _malformed(f"{where}: mention {mention.name!r} has no entity: the labels of this set were removed")
                _check_new(mention.name, names, where)
                mentions.append(mention)
    return mentions


def read_entities(file: Path) -> list[Entity]:
    """Return the entities of a file with one JSON object a line.

    Raises:
        InputError: a line has another form, or names no language, or an id occurs twice; the message names file and line.
    """
    entities, names = list[Entity](), set[str]()
    for where, content in json_lines(file, TITLE):
        for entity in _read(_entities, content, where):
            _check_new(entity.name, names, where)
            entities.append(entity)
    return entities


def _read(parse: Any, content: Mapping[str, Any], where: str) -> list[Any]:
    try:
        return list(parse(content))
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed(f"{where}: {describe(error)}") from None
    except InputError as error:
        raise _malformed(f"{where}: {error.problem}") from None


def _mentions(content: Mapping[str, Any]) -> Iterator[Mention]:
    context = content["context"]
    text, language = text_of(context["text"]), codes.canonical(text_of(context["language"]))
    sentences = _spans(context["sentence_spans"], text)
    for mention in content["mentions"]:
        name, span = text_of(mention["example_id"]), mention["mention_span"]
        (start, end), named = _spans([span], text)[0], text_of(span["text"])
        if text[start:end] != named:
            raise ValueError(f"mention {name!r}: {named!r} is not at its offsets {start} to {end}")
        sentence = next(((first, last) for first, last in sentences if first <= start and end <= last), None)
        if sentence is None:
            raise ValueError(f"mention {name!r} is in no sentence")
        left, right = (_MARKED.sub(r"(\1)", part) for part in (text[sentence[0] : start], text[end : sentence[1]]))
        yield Mention(name, language, _one_line(f"{named}: {left} {{ {named} }} {right}"), text_of(mention["entity_id"]).strip())


def _entities(content: Mapping[str, Any]) -> Iterator[Entity]:
    description = text_of(content["description"])
    sentences = " ".join(description[start:end] for start, end in _spans(content["sentence_spans"], description))
    language = codes.canonical(text_of(content["description_language"]))
    yield Entity(text_of(content["entity_id"]), language, _one_line(sentences))


def _spans(spans: Sequence[Mapping[str, Any]], text: str) -> list[tuple[int, int]]:
    ranges = [(int(span["start"]), int(span["end"])) for span in spans]
    for start, end in ranges:
        if not 0 <= start < end <= len(text):
            raise ValueError(f"{start} to {end} is no part of a text of {len(text)} characters")
    return ranges


def _one_line(text: str) -> str:
    return " ".join(text.splitlines()).replace("  ", " ").strip()


def _check_new(name: str, names: set[str], where: str) -> None:
    if name in names:
        raise _malformed(f"{where}: the id {name!r} occurs twice")
    names.add(name)


def _malformed(problem: str) -> InputError:
    return InputError(problem, data_remedy(TITLE))
