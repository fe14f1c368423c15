"""Examples as the encoder reads them: subwords, and labels as numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from mlctl.evaluation.finetuning.examples import Pair, Tagged

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # label of a subword that is not asked for


class Row(NamedTuple):
    """One sequence of the encoder.

    Attributes:
        ids: (T,) subwords.
        kinds: (T,) which sentence each belongs to.
        labels: of a pair its label, (1,); of tags one a subword (T,), IGNORED but for the first subword of a word.
        example: number of the example that it is a piece of.
    """

    ids: Sequence[int]
    kinds: Sequence[int]
    labels: Sequence[int]
    example: int


class Batch(NamedTuple):
    """Rows padded to one length: `ids`, `there` and `kinds` (B, T); `labels` (B,) of pairs, (B, T) of tags."""

    ids: Tensor
    there: Tensor
    kinds: Tensor
    labels: Tensor


def rows_of_pairs(
    pairs: Sequence[Pair], tokenizer: PreTrainedTokenizerBase, labels: Mapping[str, int], longest: int
) -> list[Row]:
    """Return a row a pair: [CLS] first [SEP] second [SEP], the longer sentence cut until `longest` subwords are left."""
    found = tokenizer(
        [pair.first for pair in pairs],
        [pair.second for pair in pairs],
        truncation="longest_first",
        max_length=longest,
        return_token_type_ids=True,
    )
    columns = zip(found["input_ids"], found["token_type_ids"], pairs, strict=True)
    return [Row(ids, kinds, [labels[pair.label]], number) for number, (ids, kinds, pair) in enumerate(columns)]


def rows_of_tags(
    sentences: Sequence[Tagged], tokenizer: PreTrainedTokenizerBase, labels: Mapping[str, int], longest: int
) -> list[Row]:
    """Return rows of at most `longest` subwords; a longer sentence becomes several, cut between words, so that no word is lost.

    A word without subwords is read as the unknown token: each word is asked for.
    """
    every = [word for sentence in sentences for word in sentence.words]
    sizes = iter([len(pieces) for pieces in tokenizer(every, add_special_tokens=False)["input_ids"]] if every else [])
    words, tags, numbers = [], [], []
    for number, sentence in enumerate(sentences):
        lengths = list(itertools.islice(sizes, len(sentence.words)))
        readable = [word if size else tokenizer.unk_token for word, size in zip(sentence.words, lengths, strict=True)]
        for window in _windows([max(1, size) for size in lengths], longest - tokenizer.num_special_tokens_to_add()):
            words.append(readable[window.start : window.stop])
            tags.append([labels[tag] for tag in sentence.tags[window.start : window.stop]])
            numbers.append(number)
    found = tokenizer(words, is_split_into_words=True, truncation=True, max_length=longest, return_token_type_ids=True)
    columns = zip(found["input_ids"], found["token_type_ids"], tags, numbers, strict=True)
    return [
        Row(ids, kinds, _on_first(found.word_ids(place), own), number) for place, (ids, kinds, own, number) in enumerate(columns)
    ]


def _windows(sizes: Sequence[int], room: int) -> Iterator[range]:
    """Part words into runs of at most `room` subwords; a word that is longer is a run of its own."""
    first, used = 0, 0
    for place, size in enumerate(sizes):
        if used and used + size > room:
            yield range(first, place)
            first, used = place, 0
        used += size
    yield range(first, len(sizes))


def _on_first(words: Sequence[int | None], tags: Sequence[int]) -> list[int]:
    """Give each word's tag to its first subword."""
    before = [None, *words[:-1]]
    return [IGNORED if word is None or word == last else tags[word] for word, last in zip(words, before, strict=True)]


def laid(rows: Sequence[Row], padding: int, tagged: bool) -> Batch:
    """Pad rows to the longest of them; `tagged`: they have a label a subword."""
    width = max(len(row.ids) for row in rows)

    def padded(column: Sequence[Sequence[int]], fill: int) -> Tensor:
        return torch.tensor([[*values, *[fill] * (width - len(values))] for values in column])

    there = padded([[1] * len(row.ids) for row in rows], 0)
    labels = padded([row.labels for row in rows], IGNORED) if tagged else torch.tensor([row.labels[0] for row in rows])
    return Batch(padded([row.ids for row in rows], padding), there, padded([row.kinds for row in rows], 0), labels)


def autocast(device: torch.device, bf16: bool) -> torch.autocast:
    """Return the arithmetic of a fine-tuned encoder: bf16 where it is asked for, and on a GPU always."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bf16 or device.type == "cuda")
