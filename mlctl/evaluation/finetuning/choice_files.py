"""Questions with four choices: Belebele's files, the training set that its authors assemble, and rows of data sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from mlctl.errors import InputError
from mlctl.evaluation.data.json_files import describe, json_lines, text_of
from mlctl.evaluation.data.sources import data_remedy
from mlctl.evaluation.data.tables import table_rows
from mlctl.evaluation.finetuning.examples import Choices

TITLE = "Belebele"
#: Numbers of the choices, in their order.
LABELS = ("1", "2", "3", "4")

_TRAINING_COLUMNS = ("split", "passage", "question", "correct_answer_num", *(f"answer{number}" for number in LABELS))
_LETTERS = dict(zip("ABCD", LABELS, strict=True))


def read_choices(file: Path) -> list[Choices]:
    """Return the questions of a file of Belebele: a JSON object a line.

    Raises:
        InputError: a line has another form or another language than the file, the right answer is none of the choices, or a question occurs
            twice; the message names file and line.
    """
    questions, names = list[Choices](), set[str]()
    for where, row in json_lines(file, TITLE):
        question = _choices(row, where)
        if row.get("dialect") not in (None, file.name.partition(".")[0]):
            raise _malformed(f"{where} is in {row['dialect']!r}, not in the file's language")
        if question.name in names:
            raise _malformed(f"{where}: the question {question.name} occurs twice")
        names.add(question.name)
        questions.append(question)
    if not questions:
        raise _malformed(f"{file} has no questions")
    return questions


def choices_of_row(row: dict[str, Any]) -> Choices:
    """Return the question of a row of a data set (facebook/belebele).

    Raises:
        InputError: columns are missing, or the right answer is none of the choices.
    """
    return _choices(row, f"{TITLE}, row {str(row)[:120]}")


def read_training(file: Path, split: Literal["train", "dev"]) -> list[Choices]:
    """Return the questions of a split of the training set that Belebele's authors assemble (`belebele_training_set.tsv`).

    Raises:
        InputError: the table is malformed, or the right answer is none of the choices; the message names file and line.
    """
    return [
        _question(row["passage"], row["question"], [row[f"answer{label}"] for label in LABELS], _number(row), where)
        for where, row in table_rows(file, TITLE, _TRAINING_COLUMNS, "\t")
        if row["split"] == split
    ]


def learned_of_row(row: dict[str, Any]) -> Choices:
    """Return the question of a row of a data set to learn from: with the columns of the assembled training set, or those of RACE.

    Raises:
        InputError: columns are missing, or the right answer is none of the choices.
    """
    where = f"{TITLE}, training row {str(row)[:120]}"
    try:
        if "article" in row:
            return _question(row["article"], row["question"], list(row["options"]), _LETTERS.get(row["answer"], ""), where)
        return _question(row["passage"], row["question"], [row[f"answer{label}"] for label in LABELS], _number(row), where)
    except (KeyError, TypeError) as error:
        raise _malformed(f"{where}: {describe(error)}") from None


def _choices(row: Mapping[str, Any], where: str) -> Choices:
    try:
        name = f"{text_of(row['link'])} {row['question_number']}"
        answers = [text_of(row[f"mc_answer{label}"]) for label in LABELS]
        passage, question = text_of(row["flores_passage"]), text_of(row["question"])
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed(f"{where}: {describe(error)}") from None
    return _question(passage, question, answers, str(row.get("correct_answer_num", "")), where)._replace(name=name)


def _question(passage: Any, question: Any, answers: list[Any], label: str, where: str) -> Choices:
    texts = [passage, question, *answers]
    if len(answers) != len(LABELS) or not all(isinstance(text, str) and text.strip() for text in texts):
        raise _malformed(f"{where} is not a passage, a question and four answers")
    if label not in LABELS:
        raise _malformed(f"{where}: the right answer is {label!r}, not one of {', '.join(LABELS)}")
    return Choices("", passage, question, tuple(answers), label)


def _number(row: Mapping[str, Any]) -> str:
    """Return the number of the right answer; pandas writes numbers of a column with gaps as 3.0."""
    return str(row["correct_answer_num"]).removesuffix(".0")


def _malformed(problem: str) -> InputError:
    return InputError(problem, data_remedy(TITLE))
