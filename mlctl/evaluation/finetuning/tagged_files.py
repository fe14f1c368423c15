"""Sentences with a tag a word: XTREME's two columns with a blank line between sentences, and CoNLL-U."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError
from mlctl.evaluation.finetuning.examples import Tagged
from mlctl.evaluation.tasks.base import complaint

_COLUMNS = 10  # of CoNLL-U
_FORM, _UPOS = 1, 3


def read_tagged(file: Path, labels: Path | None, known: Collection[str], name: str) -> list[Tagged]:
    """Return the sentences of a file; one named .conllu is CoNLL-U, others are `word TAB tag`.

    Args:
        file: words and tags.
        labels: none: the tags are in the file.
        known: the tags there are.
        name: of the benchmark, for messages.

    Raises:
        InputError: a line is not as the form wants it, a tag is unknown, or there is no sentence; the message names the file.
    """
    del labels
    conllu = file.name.removesuffix(".gz").endswith(".conllu")
    found = [Tagged(*zip(*block, strict=True)) for block in _blocks(file, name, conllu)]
    if not found:
        raise InputError(f"{file} holds no sentence", complaint(name))
    if strange := sorted({tag for one in found for tag in one.tags} - set(known)):
        raise InputError(f"{file} has tags that {name} has not: {', '.join(strange[:5])}", complaint(name))
    return found


def tagged_of_row(row: dict[str, Any], known: Collection[str], name: str) -> Tagged | None:
    """Return the sentence of a row of a data set (google/xtreme, wikiann); None where it has no word.

    Raises:
        InputError: columns are missing, or a tag is unknown.
    """
    words, tags = row.get("tokens"), row.get("ner_tags", row.get("pos_tags"))
    if words is None or tags is None or len(words) != len(tags) or not set(tags) <= set(known):
        raise InputError(f"{name}: a row has no words with tags ({', '.join(known)}): {str(row)[:120]}", complaint(name))
    return Tagged(tuple(words), tuple(tags)) if words else None


def _blocks(file: Path, name: str, conllu: bool) -> Iterator[list[tuple[str, str]]]:
    block: list[tuple[str, str]] = []
    for number, line in numbered_lines(file):
        if line.strip():
            row = _conllu_row(line) if conllu else _row(line)
            if row is None:
                raise InputError(f"{file}, line {number}: {line[:60]!r} is no word with a tag", complaint(name))
            block += row
        elif block:
            yield block
            block = []
    if block:
        yield block


def _row(line: str) -> list[tuple[str, str]] | None:
    word, tab, tag = line.rpartition("\t")
    return [(word, tag.strip())] if tab and word.strip() and tag.strip() else None


def _conllu_row(line: str) -> list[tuple[str, str]] | None:
    """Read a line; comments, multi-word tokens (3-4) and empty nodes (5.1) are no words: their parts stand for themselves."""
    if line.startswith("#"):
        return []
    cells = line.split("\t")
    if len(cells) != _COLUMNS:
        return None
    return [(cells[_FORM], cells[_UPOS])] if cells[0].isdigit() else []
