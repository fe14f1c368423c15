"""Sentences with a tag a word: XTREME's two columns with a blank line between sentences, and CoNLL-U."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlctl.errors import InputError
from mlctl.evaluation.finetuning.examples import Tagged
from mlctl.evaluation.task import complaint
from mlctl.textfiles import numbered_lines

_COLUMNS = 10  # of CoNLL-U
_FORM, _UPOS = 1, 3


def read_tagged(file: Path, name: str) -> list[Tagged]:
    """Return the sentences of a file; one named .conllu is CoNLL-U, others are `word TAB tag`.

    Raises:
        InputError: a line is not as the form wants it, or there is no sentence; the message names file and line.
    """
    conllu = file.name.removesuffix(".gz").endswith(".conllu")
    found = [Tagged(*zip(*block, strict=True)) for block in _blocks(file, name, conllu)]
    if not found:
        raise InputError(f"{file} holds no sentence", complaint(name))
    return found


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
