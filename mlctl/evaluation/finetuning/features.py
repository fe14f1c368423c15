"""Features of fine-tuning: examples as token ids with label ids, and batches of them."""

from __future__ import annotations

import itertools
import logging
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from tokenizers import Encoding, Tokenizer
from torch import Tensor

from mlctl.errors import InputError
from mlctl.evaluation.finetuning.examples import NO_TAG, Choices, LabelledText, Pair, TaggedSentence
from mlctl.modeling.architectures import Head
from mlctl.modeling.pooling import pad, pad_batch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_log = logging.getLogger(__name__)

IGNORED = -100  # label of a subword without one, as in PyTorch's cross entropy


class Row(NamedTuple):
    """One input sequence.

    Attributes:
        input_ids: (T,) token ids.
        token_type_ids: (T,) number of the sentence that each token belongs to.
        labels: of a pair its label, (1,); of a question the positions of the answer's first and last token, (2,); of tags one a subword (T,), IGNORED but for the first subword of a word that has a tag.
        example: number of the example that it is a part of.
        offsets: of a question's row to predict, for each token its character range in the context; (0, 0) for other tokens.
        choices: of a row with several answers to choose from, which follow one another in `input_ids`, the length of each in tokens.
    """

    input_ids: Sequence[int]
    token_type_ids: Sequence[int]
    labels: Sequence[int]
    example: int
    offsets: Sequence[tuple[int, int]] = ()
    choices: Sequence[int] = ()


class Batch(NamedTuple):
    """Rows padded to one length: ids, mask and token types (B, T), with C choices (B, C, T); `labels` (B,) of pairs and choices, (B, 2) of
    questions, (B, T) of tags."""

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    labels: Tensor


def rows_of_pairs(
    pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase, label_ids: Mapping[str, int], max_length: int
) -> list[Row]:
    """Return a row for each pair: [CLS] first [SEP] second [SEP], the longer sentence truncated until `max_length` subwords are left."""
    encoded = tokenizer(
        [pair.first for pair in pairs],
        [pair.second for pair in pairs],
        truncation="longest_first",
        max_length=max_length,
        return_token_type_ids=True,
    )
    columns = zip(encoded["input_ids"], encoded["token_type_ids"], pairs, strict=True)
    return [Row(ids, types, [label_ids[pair.label]], number) for number, (ids, types, pair) in enumerate(columns)]


def rows_of_texts(
    texts: Sequence[LabelledText], tokenizer: PreTrainedTokenizerBase, label_ids: Mapping[str, int], max_length: int
) -> list[Row]:
    """Return a row for each text, truncated to `max_length` subwords."""
    encoded = tokenizer([text.text for text in texts], truncation=True, max_length=max_length, return_token_type_ids=True)
    columns = zip(encoded["input_ids"], encoded["token_type_ids"], texts, strict=True)
    return [Row(ids, types, [label_ids[text.label]], number) for number, (ids, types, text) in enumerate(columns)]


def rows_of_choices(
    questions: Sequence[Choices], tokenizer: PreTrainedTokenizerBase, label_ids: Mapping[str, int], max_length: int
) -> list[Row]:
    """Return a row for each question: [CLS] passage [SEP] question answer [SEP] for each answer, the passage truncated."""
    pairs = [
        Pair(question.passage, f"{question.question} {answer}", question.label)
        for question in questions
        for answer in question.answers
    ]
    encoded, rows, first = rows_of_pairs(pairs, tokenizer, label_ids, max_length), list[Row](), 0
    for number, question in enumerate(questions):
        choices = encoded[first : first + len(question.answers)]
        first += len(choices)
        ids = [token for choice in choices for token in choice.input_ids]
        types = [kind for choice in choices for kind in choice.token_type_ids]
        rows.append(Row(ids, types, choices[0].labels, number, choices=[len(choice.input_ids) for choice in choices]))
    return rows


def rows_of_tags(
    sentences: Sequence[TaggedSentence], tokenizer: PreTrainedTokenizerBase, label_ids: Mapping[str, int], max_length: int
) -> list[Row]:
    """Return rows of at most `max_length` subwords; a longer sentence is split between words into several, so that no word is lost.

    A sentence is tokenised as running text, its words with a space between them, in every language: byte-level and SentencePiece
    tokenizers give a word other subwords after a space (`Ġold`) than alone. A word without a subword of its own (characters that the
    normaliser removes, or one subword for two words) is replaced by the unknown token, as each word has to be predicted; their
    number is logged.

    Raises:
        InputError: the tokenizer returns no character offsets.
    """
    if not tokenizer.is_fast:
        raise InputError(f"the tokenizer of {tokenizer.name_or_path} returns no character offsets", "add its tokenizer.json")
    prefix, suffix = _special_tokens(tokenizer)
    limit, rows, replaced = max_length - len(prefix) - len(suffix), list[Row](), 0
    encodings = without_limits(tokenizer).encode_batch([" ".join(s.words) for s in sentences], add_special_tokens=False)
    for number, (sentence, encoding) in enumerate(zip(sentences, encodings, strict=True)):
        pieces = _subwords_of_words(sentence.words, encoding)
        replaced += sum(not ids for ids in pieces)
        pieces = [ids or [_placeholder(tokenizer)] for ids in pieces]
        for window in _windows([len(ids) for ids in pieces], limit):
            ids = [token for word in window for token in pieces[word]][:limit]
            tags = [_label_id(sentence.tags[word], label_ids) for word in window]
            labels = [label for word, tag in zip(window, tags, strict=True) for label in _labels(len(pieces[word]), tag)][:limit]
            input_ids = [*prefix, *ids, *suffix]
            padded = [*[IGNORED] * len(prefix), *labels, *[IGNORED] * len(suffix)]
            rows.append(Row(input_ids, [0] * len(input_ids), padded, number))
    if replaced:
        words = sum(len(sentence.words) for sentence in sentences)
        _log.warning("%d of %d tagged words have no subword of their own; they are read as the unknown token", replaced, words)
    return rows


def without_limits(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """Return a copy of a tokenizer that neither pads nor truncates."""
    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.no_padding()
    copy.no_truncation()
    copy.encode_special_tokens = True  # "[MASK]" in a text is text, not a mask token
    return copy


def _special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Return the special tokens before and after a sequence."""
    encoded = tokenizer("a", return_special_tokens_mask=True)
    ids, mask = encoded["input_ids"], encoded["special_tokens_mask"]
    before = next((index for index, special in enumerate(mask) if not special), len(mask))
    after = next((index for index, special in enumerate(reversed(mask)) if not special), 0)
    return ids[:before], ids[len(ids) - after :]


def _placeholder(tokenizer: PreTrainedTokenizerBase) -> int:
    return int(tokenizer.pad_token_id if tokenizer.unk_token_id is None else tokenizer.unk_token_id)


def _subwords_of_words(words: Sequence[str], encoding: Encoding) -> list[list[int]]:
    """Return the token ids of each word of a text in which a space is between the words.

    A token belongs to the word that it begins in, after white space; a token of white space alone to the word after it.
    """
    text, starts = " ".join(words), list(itertools.accumulate((len(word) + 1 for word in words), initial=0))[:-1]
    pieces: list[list[int]] = [[] for _ in words]
    current = 0
    for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
        spaces = len(text[start:end]) - len(text[start:end].lstrip())
        first = start + spaces
        found = bisect_left(starts, first) if first == end else bisect_right(starts, first) - 1
        current = max(current, min(found, len(words) - 1))
        pieces[current].append(token)
    return pieces


def _label_id(tag: str, label_ids: Mapping[str, int]) -> int:
    return IGNORED if tag == NO_TAG else label_ids[tag]


def _labels(subwords: int, label: int) -> list[int]:
    """Return the labels of a word's subwords: the first has one."""
    return [label, *[IGNORED] * (subwords - 1)]


def _windows(sizes: Sequence[int], limit: int) -> Iterator[range]:
    """Yield ranges of words of at most `limit` subwords; a longer word has a range of its own."""
    first, used = 0, 0
    for index, size in enumerate(sizes):
        if used and used + size > limit:
            yield range(first, index)
            first, used = index, 0
        used += size
    yield range(first, len(sizes))


def collate(rows: Sequence[Row], padding: int, head: Head) -> Batch:
    """Pad rows to the longest of them; their labels are those of a head."""
    one_label = head in ("classifier", "choice")
    labels = torch.tensor([row.labels[0] for row in rows]) if one_label else pad([row.labels for row in rows], IGNORED)
    if head == "choice":
        return _collate_choices(rows, padding, labels)
    input_ids, mask = pad_batch([row.input_ids for row in rows], padding)
    return Batch(input_ids, mask, pad([row.token_type_ids for row in rows], 0), labels)


def _collate_choices(rows: Sequence[Row], padding: int, labels: Tensor) -> Batch:
    input_ids, mask = pad_batch([part for row in rows for part in _split(row.input_ids, row.choices)], padding)
    types = pad([part for row in rows for part in _split(row.token_type_ids, row.choices)], 0)
    shape = (len(rows), len(rows[0].choices), -1)
    return Batch(input_ids.view(shape), mask.view(shape), types.view(shape), labels)


def _split(values: Sequence[int], lengths: Sequence[int]) -> Iterator[Sequence[int]]:
    for start, end in itertools.pairwise(itertools.accumulate(lengths, initial=0)):
        yield values[start:end]


def autocast(device: torch.device, bf16: bool) -> torch.autocast:
    """Return the autocast context of a fine-tuned encoder: bf16 if the recipe sets it, and always on a GPU."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16 or device.type == "cuda")
