"""Questions with answers in a text: files in the published form of SQuAD v1.1, and rows of data sets."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mlctl.errors import InputError
from mlctl.evaluation.data.json_files import describe, read_json, text_of
from mlctl.evaluation.data.sources import data_remedy

_log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """An answer: its text, and where it begins in the context (characters); -1: it does not occur there."""

    text: str
    start: int


class Question(NamedTuple):
    """A question about a context, and its gold answers: any of them is right."""

    name: str
    question: str
    context: str
    answers: tuple[Answer, ...]


def read_questions(file: Path, title: str) -> list[Question]:
    """Return the questions of a file in the form of SQuAD v1.1.

    An answer that is not at its offset is looked for in the context: the nearest place counts. Without any it stays a gold answer, but
    nothing can be learned from it; a warning counts these.

    Raises:
        InputError: the file is not JSON of that form, a question has no answer, or two have the same id; the message names the file and
            the question.
    """
    return list(_checked(_questions(read_json(file, title), file, title), str(file), title))


def question_of_row(row: dict[str, Any], title: str) -> Question:
    """Return the question of a row of a data set (google/xtreme, squad, xquad, mlqa).

    Raises:
        InputError: columns are missing.
    """
    try:
        answers = zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True)
        return Question(
            str(row["id"]),
            row["question"],
            row["context"],
            _answers(row["context"], ((text, int(start)) for text, start in answers)),
        )
    except (KeyError, TypeError, ValueError):
        problem = f"{title}: a row has no id, question, context and answers: {str(row)[:120]}"
        raise InputError(problem, data_remedy(title)) from None


def _questions(content: Any, file: Path, title: str) -> Iterator[Question]:
    name = ""
    try:
        for article in content["data"]:
            for paragraph in article["paragraphs"]:
                context = text_of(paragraph["context"])
                for entry in paragraph["qas"]:
                    name = str(entry["id"])
                    given = ((text_of(answer["text"]), int(answer["answer_start"])) for answer in entry["answers"])
                    yield Question(name, text_of(entry["question"]), context, _answers(context, given))
    except (KeyError, TypeError, ValueError) as error:
        after = f" after question {name!r}" if name else ""
        raise InputError(f"{file} is not in the form of SQuAD v1.1{after}: {describe(error)}", data_remedy(title)) from None


def _checked(questions: Iterable[Question], where: str, title: str) -> Iterator[Question]:
    names, missing, count = set[str](), 0, 0
    for question in questions:
        if question.name in names:
            raise InputError(f"{where} has two questions with the id {question.name!r}", data_remedy(title))
        if not question.answers:
            raise InputError(f"{where}: question {question.name!r} has no answer", data_remedy(title))
        names.add(question.name)
        missing += all(answer.start < 0 for answer in question.answers)
        count += 1
        yield question
    if not count:
        raise InputError(f"{where} has no question", data_remedy(title))
    if missing:
        _log.warning("%s: the answers of %d of %d questions do not occur in their contexts", where, missing, count)


def _answers(context: str, given: Iterable[tuple[str, int]]) -> tuple[Answer, ...]:
    return tuple(dict.fromkeys(Answer(text, _find(context, text, start)) for text, start in given))


def _find(context: str, text: str, start: int) -> int:
    """Return where an answer begins: at `start`, else at the nearest place with its text; -1: nowhere."""
    if text and context.startswith(text, max(start, 0)):
        return max(start, 0)
    places, place = list[int](), context.find(text) if text else -1
    while place >= 0:
        places.append(place)
        place = context.find(text, place + 1)
    return min(places, key=lambda found: abs(found - start)) if places else -1
