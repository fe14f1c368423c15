"""Features of fine-tuning: examples as token ids with label ids, and batches of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from mlctl.evaluation.finetuning.examples import Pair, TaggedSentence
from mlctl.modeling.pooling import pad, pad_batch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # label of a subword without one, as in PyTorch's cross entropy


class Row(NamedTuple):
    """One input sequence.

    Attributes:
        input_ids: (T,) token ids.
        token_type_ids: (T,) number of the sentence that each token belongs to.
        labels: of a pair its label, (1,); of tags one a subword (T,), IGNORED but for the first subword of a word.
        example: number of the example that it is a part of.
    """

    input_ids: Sequence[int]
    token_type_ids: Sequence[int]
    labels: Sequence[int]
    example: int


class Batch(NamedTuple):
    """Rows padded to one length: ids, mask and token types (B, T); `labels` (B,) of pairs, (B, T) of tags."""

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


def rows_of_tags(
    sentences: Sequence[TaggedSentence], tokenizer: PreTrainedTokenizerBase, label_ids: Mapping[str, int], max_length: int
) -> list[Row]:
    """Return rows of at most `max_length` subwords; a longer sentence is split between words into several, so that no word is lost.

    A word without subwords is replaced by the unknown token, as each word has to be predicted.
    """
    all_words = [word for sentence in sentences for word in sentence.words]
    pieces = tokenizer(all_words, add_special_tokens=False)["input_ids"] if all_words else []
    sizes = iter([len(word_pieces) for word_pieces in pieces])
    words, tags, examples = [], [], []
    for number, sentence in enumerate(sentences):
        lengths = list(itertools.islice(sizes, len(sentence.words)))
        readable = [word if size else tokenizer.unk_token for word, size in zip(sentence.words, lengths, strict=True)]
        for window in _windows([max(1, size) for size in lengths], max_length - tokenizer.num_special_tokens_to_add()):
            words.append(readable[window.start : window.stop])
            tags.append([label_ids[tag] for tag in sentence.tags[window.start : window.stop]])
            examples.append(number)
    encoded = tokenizer(words, is_split_into_words=True, truncation=True, max_length=max_length, return_token_type_ids=True)
    columns = zip(encoded["input_ids"], encoded["token_type_ids"], tags, examples, strict=True)
    return [
        Row(ids, types, _label_first_subwords(encoded.word_ids(row), row_tags), example)
        for row, (ids, types, row_tags, example) in enumerate(columns)
    ]


def _windows(sizes: Sequence[int], limit: int) -> Iterator[range]:
    """Yield ranges of words of at most `limit` subwords; a longer word has a range of its own."""
    first, used = 0, 0
    for index, size in enumerate(sizes):
        if used and used + size > limit:
            yield range(first, index)
            first, used = index, 0
        used += size
    yield range(first, len(sizes))


def _label_first_subwords(word_ids: Sequence[int | None], tags: Sequence[int]) -> list[int]:
    previous = [None, *word_ids[:-1]]
    return [IGNORED if word is None or word == last else tags[word] for word, last in zip(word_ids, previous, strict=True)]


def collate(rows: Sequence[Row], padding: int, token_labels: bool) -> Batch:
    """Pad rows to the longest of them; `token_labels`: they have a label for each subword."""
    input_ids, mask = pad_batch([row.input_ids for row in rows], padding)
    labels = pad([row.labels for row in rows], IGNORED) if token_labels else torch.tensor([row.labels[0] for row in rows])
    token_types = pad([row.token_type_ids for row in rows], 0)
    return Batch(input_ids, mask, token_types, labels)


def autocast(device: torch.device, bf16: bool) -> torch.autocast:
    """Return the autocast context of a fine-tuned encoder: bf16 if the recipe sets it, and always on a GPU."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16 or device.type == "cuda")
