"""Translation language modelling (TLM): a masked-LM input in which both sides of a sentence pair are one sequence.

A masked token can then be predicted from the other side, where its translation is (Conneau and Lample 2019, arXiv 1901.07291, section
3.3). Symbols: T tokens of a sequence, B sentence pairs.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlctl.config import ResolvedTrain
from mlctl.modeling.encoders import max_positions
from mlctl.training.counter_rng import Stream, keys, uniform
from mlctl.training.dataset import ShardReader
from mlctl.training.distributed import ProcessGroup
from mlctl.training.masking import MaskingRule, mask_keys, mask_tokens
from mlctl.training.ragged_array import RaggedArray
from mlctl.training.sampler import ShardSlice

_log = logging.getLogger(__name__)

Integers = NDArray[np.int64]

_FEW_LONG = 0.9  # share of pairs that fit, below which their number is a warning

#: Columns of a masked sequence, (T, 4): token id, id after masking, whether it is predicted (0 or 1), token type.
_ID, _MASKED, _PREDICTED, _TYPE = range(4)


class MaskedSequences(NamedTuple):
    """Masked sequences padded to one length, all (N, T), the shortest first.

    Attributes:
        ids: token ids before masking.
        attention_mask: true for tokens, false for padding.
        masked_ids: token ids after masking.
        is_masked: the tokens to predict.
        token_types: token type (segment) ids; None where the model has none, or all are 0.
    """

    ids: Integers
    attention_mask: NDArray[np.bool_]
    masked_ids: Integers
    is_masked: NDArray[np.bool_]
    token_types: Integers | None


@dataclass(frozen=True)
class PairTemplate:
    """The special tokens and token types that a tokenizer gives to a text pair: BERT `[CLS] x [SEP] y [SEP]`, XLM-R `<s> x </s></s> y </s>`.

    Attributes:
        single: number of special tokens before and after a text that stands alone.
        special: special tokens before the first text, between the texts, and after the second, as sequences (n, 4) of `_ID` … `_TYPE`.
        types: token type of the tokens of the first and of the second text.
    """

    single: tuple[int, int]
    special: tuple[Integers, Integers, Integers]
    types: tuple[int, int]

    @classmethod
    def from_tokenizer(cls, tokenizer: Any) -> PairTemplate:
        """Read the template off a text and a pair that a fast Hugging Face tokenizer encodes."""
        text = next(text for text in ("a", *tokenizer.get_vocab()) if tokenizer(text, add_special_tokens=False)["input_ids"])
        single, pair = tokenizer(text), tokenizer(text, text)
        (start, end), length = _token_range(single, 0), len(single["input_ids"])
        first, second, ids = _token_range(pair, 0), _token_range(pair, 1), pair["input_ids"]
        types = pair.get("token_type_ids") or [0] * len(ids)  # left out where the tokenizer's model reads none
        special = np.array([[token, token, 0, type_] for token, type_ in zip(ids, types, strict=True)])
        return cls(
            (start, length - end),
            (special[: first[0]], special[first[1] : second[0]], special[second[1] :]),
            (types[first[0]], types[second[0]]),
        )

    @property
    def max_type(self) -> int:
        """The largest token type of a pair; 0: the tokenizer does not tell the texts apart by type."""
        return max(*self.types, *(int(part[:, _TYPE].max(initial=0)) for part in self.special))

    def joined_lengths(self, source_lengths: Integers, target_lengths: Integers) -> Integers:
        """Return the lengths (B,) of the joined sequences, for the lengths of both sides with the special tokens of a text alone."""
        return source_lengths + target_lengths - 2 * sum(self.single) + sum(map(len, self.special))

    def join(self, source: Integers, target: Integers) -> Integers:
        """Return the joined sequence (T, 4) of two sequences that stand alone, (T1, 4) and (T2, 4)."""
        start, end = self.single
        first, second = (
            side[start : len(side) - end] + np.array([0, 0, 0, type_])
            for side, type_ in zip((source, target), self.types, strict=True)
        )
        before, between, after = self.special
        return np.concatenate([before, first, between, second, after])


@dataclass(frozen=True)
class TranslationLm:
    """Makes the masked-LM input of a batch, of joined pairs and of sentences.

    The tokens of a row are masked as without TLM, whether its sides are joined or not: joining changes their context alone. Like masks, it
    is a pure function of (seed, epoch, row) whether a pair is joined.

    Attributes:
        share: share of the sentence pairs that are joined, each independently at each visit.
        max_length: longest sequence of the encoder; the sides of a pair that is longer stay sentences.
        template: how the tokenizer joins a pair.
        has_types: whether the encoder distinguishes the token types of the template.
        masking: how tokens are masked.
        pad_id: id of the padding token.
        seed: seed of the draws.
    """

    share: float
    max_length: int
    template: PairTemplate
    has_types: bool
    masking: MaskingRule
    pad_id: int
    seed: int

    def fits(self, source_lengths: Integers, target_lengths: Integers) -> NDArray[np.bool_]:
        """Return which pairs (B,) with these lengths can be joined."""
        return self.template.joined_lengths(source_lengths, target_lengths) <= self.max_length

    def masked_sequences(
        self, row_ids: Integers, token_ids: tuple[RaggedArray, RaggedArray], epoch: int, group: ProcessGroup
    ) -> MaskedSequences:
        """Return the masked sequences of rows that an epoch visits, those of one process of a group.

        They are distributed round-robin from the shortest on.

        Args:
            row_ids: (B,) ids of the rows.
            token_ids: token ids of the source and of the target side.
            epoch: the epoch.
            group: the processes.
        """
        fits = self.fits(token_ids[0].lengths, token_ids[1].lengths)
        is_joined = fits & (uniform(keys(self.seed, Stream.TLM, epoch, row_ids), np.zeros(1, np.int64)) < self.share)
        sentences = self._mask(row_ids, token_ids, epoch)
        sequences: list[Integers] = []
        for row, joined in enumerate(is_joined.tolist()):
            source, target = sentences[row], sentences[row + len(row_ids)]
            sequences += [self.template.join(source, target)] if joined else [source, target]
        order = np.argsort([len(sequence) for sequence in sequences], kind="stable")[group.rank :: group.size]
        return self._pad([sequences[index] for index in order])

    def _mask(self, row_ids: Integers, token_ids: tuple[RaggedArray, RaggedArray], epoch: int) -> RaggedArray:
        """Return the masked sentences (T, 4), the sources and then the targets."""
        sentences = RaggedArray.concatenate(token_ids)
        ids, attention_mask = sentences.to_padded(int(sentences.lengths.max()), self.pad_id)
        masked_ids, is_masked = mask_tokens(ids, attention_mask, mask_keys(self.seed, epoch, row_ids), self.masking)
        columns = np.stack([ids, masked_ids, is_masked, np.zeros_like(ids)], axis=2)[attention_mask]
        return RaggedArray(columns, np.cumsum(sentences.lengths) - sentences.lengths, sentences.lengths)

    def _pad(self, sequences: Sequence[Integers]) -> MaskedSequences:
        lengths = np.array([len(sequence) for sequence in sequences])
        values, starts = np.concatenate(sequences), np.cumsum(lengths) - lengths

        def padded(column: int, fill: int) -> Integers:
            return RaggedArray(values[:, column], starts, lengths).to_padded(int(lengths[-1]), fill)[0]

        ids, attention_mask = RaggedArray(values[:, _ID], starts, lengths).to_padded(int(lengths[-1]), self.pad_id)
        masked_ids, is_masked = padded(_MASKED, self.pad_id), padded(_PREDICTED, 0).astype(bool)
        return MaskedSequences(ids, attention_mask, masked_ids, is_masked, padded(_TYPE, 0) if self.has_types else None)


def translation_lm(settings: ResolvedTrain, model: Any, tokenizer: Any, masking: MaskingRule, seed: int) -> TranslationLm | None:
    """Return the translation language modelling of a training; None: its masked-LM loss reads sentences alone, or it has none."""
    if not settings.tlm_share:
        return None
    if not settings.mlm_weight:
        _log.warning("train.tlm_share has no effect: train.mlm_weight is 0, so there is no masked-LM loss")
        return None
    template = PairTemplate.from_tokenizer(tokenizer)
    has_types = 0 < template.max_type < int(getattr(model.config, "type_vocab_size", 0))
    return TranslationLm(settings.tlm_share, max_positions(model), template, has_types, masking, tokenizer.pad_token_id, seed)


def report_joined(tlm: TranslationLm, shards: ShardReader) -> None:
    """Log how many sentence pairs can be joined: those of the first shard, which is a random sample of the corpus."""
    count = next(filter(None, shards.shard_samples), 0)
    rows = shards.read([ShardSlice(shards.shard_samples.index(count), np.arange(count), np.zeros(count, np.int64))])
    share = float(np.mean(tlm.fits(rows.token_ids[0].lengths, rows.token_ids[1].lengths)))
    level = logging.INFO if share >= _FEW_LONG else logging.WARNING
    _log.log(level, "%.1f%% of the sentence pairs fit into %d tokens and can be joined (TLM)", 100 * share, tlm.max_length)


def _token_range(encoding: Any, text: int) -> tuple[int, int]:
    """Return the first token of a text of an encoding, and one behind the last."""
    tokens = [index for index, number in enumerate(encoding.sequence_ids()) if number == text]
    return tokens[0], tokens[-1] + 1
