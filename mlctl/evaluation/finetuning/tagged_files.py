"""Tagged sentences: XTREME's two columns with a blank line between sentences, and CoNLL-U."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError
from mlctl.evaluation.data.sources import data_remedy
from mlctl.evaluation.finetuning.examples import TaggedSentence

_COLUMNS = 10  # of CoNLL-U
_FORM, _UPOS = 1, 3
_NO_WORD = re.compile(r"[0-9]+[-.][0-9]+")


def read_tagged(file: Path, labels: Path | None, known: Collection[str], title: str) -> list[TaggedSentence]:
    """Return the sentences of a file; one named .conllu is CoNLL-U, others are `word TAB tag`.

    Args:
        file: words and tags.
        labels: not used: the tags are in the file.
        known: the benchmark's tags.
        title: of the benchmark, for messages.

    Raises:
        InputError: a line does not have the format, a tag is unknown, or there is no sentence; the message names the file.
    """
    del labels
    is_conllu = file.name.removesuffix(".gz").endswith(".conllu")
    tags = frozenset(known)
    sentences = [TaggedSentence(*zip(*block, strict=True)) for block in _blocks(file, title, is_conllu, tags)]
    if not sentences:
        raise InputError(f"{file} holds no sentence", data_remedy(title))
    return sentences


def tagged_of_row(row: dict[str, Any], known: Collection[str], title: str) -> TaggedSentence | None:
    """Return the sentence of a row of a data set (google/xtreme, wikiann); None if it has no word.

    Raises:
        InputError: columns are missing, or a tag is unknown.
    """
    words, tags = row.get("tokens"), row.get("ner_tags", row.get("pos_tags"))
    if words is None or tags is None or len(words) != len(tags) or not set(tags) <= set(known):
        problem = f"{title}: a row has no words with tags ({', '.join(known)}): {str(row)[:120]}"
        raise InputError(problem, data_remedy(title))
    return TaggedSentence(tuple(words), tuple(tags)) if words else None


def _blocks(file: Path, title: str, is_conllu: bool, tags: Collection[str]) -> Iterator[list[tuple[str, str]]]:
    """Yield the words with their tags of each sentence."""
    block: list[tuple[str, str]] = []
    for number, line in numbered_lines(file):
        if line.strip():
            words = _parse_conllu(line) if is_conllu else _parse(line)
            if words is None:
                raise InputError(f"{file}, line {number}: {line[:60]!r} is not a word with a tag", data_remedy(title))
            if unknown := [tag for _, tag in words if tag not in tags]:
                problem = (
                    f"{file}, line {number} has tags that {title} does not have: {unknown[0][:60]!r} ({', '.join(sorted(tags))})"
                )
                raise InputError(problem, data_remedy(title))
            block += words
        elif block:
            yield block
            block = []
    if block:
        yield block


def _parse(line: str) -> list[tuple[str, str]] | None:
    word, tab, tag = line.rpartition("\t")
    return [(word, tag.strip())] if tab and word.strip() and tag.strip() else None


def _parse_conllu(line: str) -> list[tuple[str, str]] | None:
    """Parse a line; comments, multi-word tokens (3-4, whose parts follow) and empty nodes (5.1) are not words."""
    if line.startswith("#"):
        return []
    cells = line.split("\t")
    if len(cells) != _COLUMNS:
        return None
    if cells[0].isdigit():
        return [(cells[_FORM], cells[_UPOS])] if cells[_FORM].strip() else None
    return [] if _NO_WORD.fullmatch(cells[0]) else None
