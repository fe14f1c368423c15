"""Features of question answering: a question with windows of its context, and the positions of the answer's tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tokenizers import Encoding

from mlctl.errors import InputError
from mlctl.evaluation.finetuning.features import Row, without_limits
from mlctl.evaluation.finetuning.qa_files import Question

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: Most tokens of a question, as in SQuAD's and XTREME's scripts; the rest is cut off.
MAX_QUESTION_TOKENS = 64
_BATCH = 1000  # contexts that are tokenised at once


class PairTemplate(NamedTuple):
    """Special tokens before, between and after the two texts of a pair, and the token type of each part, in the order of the input."""

    prefix: Sequence[int]
    middle: Sequence[int]
    suffix: Sequence[int]
    types: tuple[int, int, int, int, int]


def rows_of_questions(
    questions: Sequence[Question], tokenizer: PreTrainedTokenizerBase, max_length: int, stride: int, training: bool
) -> list[Row]:
    """Return a row for each window of each question's context, of at most `max_length` subwords.

    Windows begin every `stride` subwords of the context, so that an answer is whole in one of them. A row's `labels` are the positions of
    the first and last subword of the answer; both 0, the first special token, if the window does not contain the whole answer.

    Args:
        questions: N questions.
        tokenizer: of the encoder, with character offsets.
        max_length: of a row, special tokens counted.
        stride: subwords from the beginning of a window to the next one's.
        training: whether the rows are learned from: questions whose answers do not occur in the context are left out.

    Raises:
        InputError: the tokenizer returns no character offsets, or `max_length` has no room for a context.
    """
    if not tokenizer.is_fast:
        raise InputError(f"the tokenizer of {tokenizer.name_or_path} returns no character offsets", "add its tokenizer.json")
    template, plain = pair_template(tokenizer), without_limits(tokenizer)
    rows: list[Row] = []
    numbered = [(n, q) for n, q in enumerate(questions) if not training or any(answer.start >= 0 for answer in q.answers)]
    for batch in _batched(numbered):
        asked = plain.encode_batch([question.question for _, question in batch], add_special_tokens=False)
        contexts = plain.encode_batch([question.context for _, question in batch], add_special_tokens=False)
        for (number, question), of_question, of_context in zip(batch, asked, contexts, strict=True):
            ids = of_question.ids[:MAX_QUESTION_TOKENS]
            room = max_length - len(ids) - sum(map(len, template[:3]))
            if room < 1:
                raise InputError(
                    f"max_length {max_length} has no room for the context of question {question.name!r}", "raise max_length"
                )
            rows += [
                _row(number, question, ids, of_context, window, template, training)
                for window in _windows(len(of_context.ids), room, stride)
            ]
    return rows


def pair_template(tokenizer: PreTrainedTokenizerBase) -> PairTemplate:
    """Return how a tokenizer puts two texts together."""
    encoded = tokenizer("a", "a", return_special_tokens_mask=True, return_token_type_ids=True)
    ids, mask = encoded["input_ids"], encoded["special_tokens_mask"]
    types = encoded.get("token_type_ids") or [0] * len(ids)
    texts = [index for index, special in enumerate(mask) if not special]
    # The texts are equal: they have equally many subwords.
    half = len(texts) // 2
    first, second = texts[:half], texts[half:]
    middle, after = range(first[-1] + 1, second[0]), range(second[-1] + 1, len(ids))
    kinds = (types[0], types[first[0]], types[middle[0]] if middle else types[first[0]], types[second[0]], types[-1])
    return PairTemplate(ids[: first[0]], [ids[i] for i in middle], [ids[i] for i in after], kinds)


def _row(
    number: int,
    question: Question,
    asked: Sequence[int],
    context: Encoding,
    window: range,
    template: PairTemplate,
    training: bool,
) -> Row:
    ids, offsets = context.ids[window.start : window.stop], context.offsets[window.start : window.stop]
    parts = (template.prefix, asked, template.middle, ids, template.suffix)
    before = sum(map(len, parts[:3]))
    types = [kind for part, kind in zip(parts, template.types, strict=True) for _ in part]
    ranges = () if training else (*[(0, 0)] * before, *offsets, *[(0, 0)] * len(template.suffix))  # many rows are learned from
    return Row([token for part in parts for token in part], types, _label(question, offsets, before), number, ranges)


def _label(question: Question, offsets: Sequence[tuple[int, int]], before: int) -> list[int]:
    """Return the positions of the first answer that occurs in the context; [0, 0] if it is not whole in the window."""
    answer = next((answer for answer in question.answers if answer.start >= 0), None)
    if answer is None or not offsets:
        return [0, 0]
    start, end = answer.start, answer.start + len(answer.text)
    touched = [index for index, (first, last) in enumerate(offsets) if first < end and last > start]
    if not touched or offsets[0][0] > start or offsets[-1][1] < end:
        return [0, 0]
    return [before + touched[0], before + touched[-1]]


def _windows(length: int, room: int, stride: int) -> Iterator[range]:
    """Yield ranges of at most `room` of `length` subwords; one empty range for an empty context."""
    start = 0
    while True:
        yield range(start, min(start + room, length))
        if start + room >= length:
            return
        start += min(stride, room)


def _batched(items: Sequence[tuple[int, Question]]) -> Iterator[Sequence[tuple[int, Question]]]:
    for first in range(0, len(items), _BATCH):
        yield items[first : first + _BATCH]
