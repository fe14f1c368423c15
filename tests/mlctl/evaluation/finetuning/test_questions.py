"""Questions from file to windows of subwords and back: offsets, windows, broken files."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from mlctl.errors import InputError
from mlctl.evaluation.finetuning.predict import _best_span
from mlctl.evaluation.finetuning.qa_features import MAX_QUESTION_TOKENS, rows_of_questions
from mlctl.evaluation.finetuning.qa_files import Answer, Question, question_of_row, read_questions

CONTEXT = "中国的首都是北京。 The capital is Peking, ok"


def characters(separators: int = 1) -> PreTrainedTokenizerFast:
    """A tokenizer with a token for each character; BERT's form of pairs, or RoBERTa's with two separators between them."""
    vocabulary = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\S"), "isolated")  # spaces stay tokens of their own
    between = " ".join(["[SEP]:0"] * separators)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=f"[CLS]:0 $A:0 {between} $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")


def question(answer: str, context: str = CONTEXT, text: str = "a?") -> Question:
    return Question("1", text, context, (Answer(answer, context.find(answer)),))


@given(st.integers(0, len(CONTEXT) - 1), st.integers(1, 12), st.integers(8, 40), st.integers(1, 20), st.sampled_from([1, 2]))
@settings(max_examples=60)
def test_an_answers_tokens_are_at_its_labels_in_each_window_that_has_it_whole(
    start: int, length: int, max_length: int, stride: int, separators: int
) -> None:
    answer = CONTEXT[start : start + length].strip()
    asked = question(answer)
    tokenizer = characters(separators)
    rows = rows_of_questions([asked], tokenizer, max_length, stride, training=False)
    room = max_length - 2 - 2 - separators
    whole = 0
    for row in rows:
        assert len(row.input_ids) == len(row.offsets) == len(row.token_type_ids) <= max_length
        assert list(row.input_ids[: 3 + separators]) == [2, 4, 1, *[3] * separators]
        assert row.token_type_ids[0] == 0
        assert row.token_type_ids[-1] == 1
        first, last = row.labels
        if (first, last) != (0, 0):
            whole += 1
            assert CONTEXT[row.offsets[first][0] : row.offsets[last][1]] == answer
    covered = {position for row in rows for low, high in row.offsets for position in range(low, high)}
    assert covered == set(range(len(CONTEXT))), "no part of the context is lost"
    if answer and room >= len(answer) + min(stride, room):
        assert whole, "an answer that fits is whole in a window"


def test_rows_to_learn_from_leave_out_answers_that_are_nowhere_and_offsets() -> None:
    asked = [Question("1", "a", CONTEXT, (Answer("Rome", -1),)), question("Peking")]
    (row,) = rows_of_questions(asked, characters(), 100, 50, training=True)
    assert row.example == 1
    assert row.offsets == ()
    assert len(rows_of_questions(asked, characters(), 100, 50, training=False)) == 2


def test_a_long_question_is_cut_and_one_without_room_is_an_error() -> None:
    (row,) = rows_of_questions([question("Peking", text="a" * 500)], characters(), 384, 128, training=True)
    assert list(row.input_ids).count(4) == MAX_QUESTION_TOKENS + CONTEXT.count("a")
    with pytest.raises(InputError, match="no room for the context of question '1'"):
        rows_of_questions([question("Peking", text="a" * 500)], characters(), 67, 10, training=True)


def test_no_answer_is_outside_of_the_context_or_too_long() -> None:
    offsets = [(0, 0), (0, 0), (0, 2), (2, 3), (3, 6), (0, 0)]
    starts, ends = torch.zeros(6), torch.zeros(6)
    starts[0] = ends[1] = ends[5] = 100.0  # special tokens and the question
    starts[3] = ends[4] = 1.0
    assert _best_span(starts, ends, offsets, 30) == (2.0, 3, 4)
    assert _best_span(starts, ends, offsets, 1) == (1.0, 3, 3)
    ends[2] = 5.0
    assert _best_span(starts, ends, offsets, 30) == (5.0, 2, 2), "an end is never before its start"
    assert _best_span(starts, ends, [(0, 0)] * 6, 30) is None


def squad(*entries: dict[str, Any], context: str = CONTEXT) -> dict[str, Any]:
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": list(entries)}]}]}


def qa(name: str, *answers: tuple[str, int]) -> dict[str, Any]:
    return {"id": name, "question": "What?", "answers": [{"text": text, "answer_start": start} for text, start in answers]}


def test_answers_are_where_they_say_or_at_the_nearest_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "xquad.zh.json.gz"
    entries = qa("1", ("北京", 6), ("北京", 6)), qa("2", ("Peking", 10)), qa("3", ("Rome", 2)), qa("4", ("a", 30), ("a", 12))
    file.write_bytes(gzip.compress(json.dumps(squad(*entries), ensure_ascii=False).encode()))
    with caplog.at_level(logging.WARNING):
        read = read_questions(file, "XQuAD")
    assert [question.answers for question in read[:3]] == [
        (Answer("北京", 6),),
        (Answer("Peking", CONTEXT.find("Peking")),),
        (Answer("Rome", -1),),
    ]
    places = [place for place, character in enumerate(CONTEXT) if character == "a"]
    assert [answer.start for answer in read[3].answers] == [min(places, key=lambda p: abs(p - start)) for start in (30, 12)]
    assert "the answers of 1 of 4 questions do not occur in their contexts" in caplog.text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[", "is not JSON"),
        (json.dumps({"data": [{}]}), "no 'paragraphs'"),
        (json.dumps(squad(qa("1", ("a", 1)), qa("1", ("a", 1)))), "two questions with the id '1'"),
        (json.dumps(squad(qa("1"))), "question '1' has no answer"),
        (
            json.dumps(squad(qa("1", ("a", 1)), {"id": "2", "question": "?", "answers": [{"text": "a"}]})),
            "after question '2': no 'answer_start'",
        ),
        (json.dumps(squad(qa("7", ("a", 1)), context="\ud800")), "form of SQuAD"),
        (json.dumps(squad({"id": "1", "question": 5, "answers": []})), "'5' is not text"),
        (json.dumps({"data": []}), "has no question"),
        (json.dumps([1]), "form of SQuAD"),
    ],
)
def test_a_broken_file_is_named_with_the_question(tmp_path: Path, content: str, problem: str) -> None:
    file = tmp_path / "xquad.de.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=problem) as caught:
        read_questions(file, "XQuAD")
    assert str(file) in caught.value.problem


def test_rows_of_data_sets() -> None:
    row = {"id": 5, "question": "Where?", "context": CONTEXT, "answers": {"text": ["北京"], "answer_start": [6]}}
    assert question_of_row(row, "MLQA") == Question("5", "Where?", CONTEXT, (Answer("北京", 6),))
    with pytest.raises(InputError, match="MLQA: a row has no id, question, context and answers"):
        question_of_row({**row, "answers": ["北京"]}, "MLQA")
