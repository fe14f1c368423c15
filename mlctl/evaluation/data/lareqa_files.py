"""LAReQA's files: XQuAD-R, questions and contexts in the form of SQuAD v1.1 with the sentences of each context."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mlctl.errors import InputError
from mlctl.evaluation.data.json_files import describe, read_json, text_of
from mlctl.evaluation.data.sources import data_remedy

TITLE = "LAReQA"


class Candidate(NamedTuple):
    """A sentence of a context, and the whole context."""

    sentence: str
    context: str


class AskedQuestion(NamedTuple):
    """A question.

    Attributes:
        name: id, the same in all languages.
        text: the question.
        answers: rows of the candidates of its language that answer it: sentences of its context with the text of the answer's; empty: the answer
            begins in no sentence.
    """

    name: str
    text: str
    answers: tuple[int, ...]


class LanguageQuestions(NamedTuple):
    """Questions and candidates of a language: the sentences of the contexts in which a question is answered."""

    questions: list[AskedQuestion]
    candidates: list[Candidate]


def read_language(file: Path) -> LanguageQuestions:
    """Return the questions and candidates of a file, `xx.json` of XQuAD-R.

    Raises:
        InputError: the file is not JSON of that form, `sentence_breaks` are not ranges of the context, a question has not one answer, or two have the
            same id; the message names the file and the question.
    """
    found = LanguageQuestions([], [])
    name = ""
    try:
        for article in read_json(file, TITLE)["data"]:
            for paragraph in article["paragraphs"]:
                context = text_of(paragraph["context"])
                ranges = _ranges(paragraph["sentence_breaks"], context)
                first, answered = len(found.candidates), False
                for entry in paragraph["qas"]:
                    name = str(entry["id"])
                    rows = tuple(first + row for row in _answers(entry["answers"], ranges, context))
                    found.questions.append(AskedQuestion(name, text_of(entry["question"]), rows))
                    answered = answered or bool(rows)
                if answered:  # as in the official script
                    found.candidates.extend(Candidate(context[start:end], context) for start, end in ranges)
    except (KeyError, TypeError, ValueError) as error:
        after = f" after question {name!r}" if name else ""
        raise InputError(f"{file} is not in the form of XQuAD-R{after}: {describe(error)}", data_remedy(TITLE)) from None
    _check(found, file)
    return found


def _ranges(breaks: Any, context: str) -> list[tuple[int, int]]:
    ranges = [(int(start), int(end)) for start, end in breaks]
    for start, end in ranges:
        if not 0 <= start < end <= len(context):
            raise ValueError(f"sentence_breaks {start}, {end} are no part of a context of {len(context)} characters")
    return ranges


def _answers(answers: Any, ranges: list[tuple[int, int]], context: str) -> Iterator[int]:
    """Yield the numbers of the sentences that are the answer: where it begins, and others of the context with the same text."""
    if len(answers) != 1:
        raise ValueError(f"a question has {len(answers)} answers, not one")
    start = int(answers[0]["answer_start"])
    sentence = next((context[first:last] for first, last in ranges if first <= start < last), None)
    for number, (first, last) in enumerate(ranges):
        if context[first:last] == sentence:
            yield number


def _check(found: LanguageQuestions, file: Path) -> None:
    names = set[str]()
    for question in found.questions:
        if question.name in names:
            raise InputError(f"{file} has two questions with the id {question.name!r}", data_remedy(TITLE))
        names.add(question.name)
    if not any(question.answers for question in found.questions):
        raise InputError(f"{file} has no question with an answer in its sentences", data_remedy(TITLE))
