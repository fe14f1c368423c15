"""The shards as PyTorch datasets, for any training loop: plain PyTorch, Hugging Face Trainer, Lightning, Accelerate.

`ParallelDataset` is map style. `ParallelIterableDataset` yields the rows in the order of mlctl's own training, where the batch of a step is a
pure function of the seed and the step, and resumes at any step. `ParallelCollator` pads examples to a dict of tensors, all with one
row per sentence pair, so that they can be sliced, gathered and scattered along the first axis.

Symbols: B sentence pairs, T padded length in subwords, W word pairs of a sentence pair at most. Axis 1 of size 2 is source, target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from mlctl.config.train import SampleUnit
from mlctl.errors import InputError
from mlctl.modeling.pooling import pad
from mlctl.training.counter_rng import Stream, keys
from mlctl.training.dataset import Rows, ShardReader
from mlctl.training.masking import MaskingRule, mask_tokens
from mlctl.training.ragged_array import RaggedArray
from mlctl.training.sampler import Sampler, ShardSlice

#: Label of a token that is not to be predicted, as in transformers and torch.nn.functional.cross_entropy.
IGNORE_INDEX = -100


class ParallelExample(NamedTuple):
    """One sentence pair.

    Attributes:
        pair_id: number of the row, from which the collator's random numbers follow.
        epoch: the epoch that visits it.
        input_ids: token ids of the source and of the target side, special tokens included.
        word_pairs: (n, 4) source start and end, target start and end, in subwords, half-open.
        text_ids: of the source and of the target side; equal for sentences with the same text, which must not be each other's negatives.
        languages: indices in `languages` of the dataset, of the source and of the target side.
        weight: of the pair's contrastive losses, as `train.weight_by`, with a mean of 1 over the training text; None: all weigh the same.
    """

    pair_id: int
    epoch: int
    input_ids: tuple[NDArray[np.int32], NDArray[np.int32]]
    word_pairs: NDArray[np.int32]
    text_ids: tuple[int, int]
    languages: tuple[int, int]
    weight: float | None = None


class _Shards:
    """Reads examples from shards. It pickles as its arguments, for DataLoader workers that are spawned."""

    def __init__(
        self, sharded: Path, cached_shards: int | None, weight_by: str, sample_unit: SampleUnit = "sentence-pair"
    ) -> None:
        self._arguments = (sharded, cached_shards, weight_by, sample_unit)
        self.reader = ShardReader(sharded, cached_shards, sample_unit, weight_by)
        self.languages = self.reader.languages()
        self._cached_languages = lru_cache(maxsize=cached_shards)(self._languages)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Shards, self._arguments

    def examples(self, slices: Sequence[ShardSlice], epoch: int) -> list[ParallelExample]:
        languages = np.concatenate([self._cached_languages(part.shard)[part.rows] for part in slices]).tolist()
        rows = self.reader.read(slices)
        return [_example(rows, row, epoch, tuple(pair)) for row, pair in enumerate(languages)]

    def _languages(self, shard: int) -> NDArray[np.int64]:
        """Return the indices of the languages of a shard's samples, (samples, 2)."""
        sides = [self.reader.language_indices(shard, side, self.languages) for side in ("source", "target")]
        return np.stack(sides, axis=1)


def _example(rows: Rows, row: int, epoch: int, languages: Any) -> ParallelExample:
    source, target = rows.token_ids
    text_ids = (int(rows.identities[0][row]), int(rows.identities[1][row]))
    word_pairs = rows.word_pairs[row]
    weight = None if rows.weights is None else float(rows.weights[row])
    return ParallelExample(int(rows.row_ids[row]), epoch, (source[row], target[row]), word_pairs, text_ids, languages, weight)


class ParallelDataset(Dataset[ParallelExample]):
    """Map-style dataset of the sentence pairs of a shard result, in the order of the shards.

    Shuffle with a sampler (`shuffle=True`, `DistributedSampler`), and call `set_epoch` before each epoch to draw other word pairs and
    masks in it. Shards that have been read stay in memory; for a corpus that does not fit, use `ParallelIterableDataset`.

    Args:
        sharded: result folder of the shard stage.
        cached_shards: number of shards kept in memory; None: all that have been read.
        weight_by: the quality score by whose rank the examples are weighed, as `train.weight_by`; empty: they have no weights.

    Attributes:
        languages: the languages, to which the examples' indices refer.

    Raises:
        InputError: the folder has no shard, one cannot be read, or no row has the score `weight_by`.
    """

    def __init__(self, sharded: str | Path, cached_shards: int | None = None, weight_by: str = "") -> None:
        self._shards = _Shards(Path(sharded), cached_shards, weight_by)
        self._first_rows = np.cumsum([0, *self._shards.reader.shard_rows])
        self._epoch = 0
        self.languages = self._shards.languages

    def __len__(self) -> int:
        return self._shards.reader.num_rows

    def __getitem__(self, index: int) -> ParallelExample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of a dataset with {len(self)} rows")
        row = index % len(self)
        shard = int(np.searchsorted(self._first_rows, row, side="right")) - 1
        shard_slice = ShardSlice(shard, np.array([row - self._first_rows[shard]]), np.zeros(1, np.int64))
        return self._shards.examples([shard_slice], self._epoch)[0]

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the collator's draws depend on."""
        self._epoch = epoch


class ParallelIterableDataset(IterableDataset[ParallelExample]):
    """Iterable dataset that yields, step after step, the sentence pairs on which `mlctl.training.train` trains at that step.

    With `DataLoader(dataset, batch_size=batch_size // world_size)` and any number of workers, batch i is that of step i. Iteration
    starts at the step of `load_state_dict`, or at 0, and runs through as many epochs as `steps` takes. One or two shards are in memory.

    Args:
        sharded: result folder of the shard stage.
        batch_size: sentence pairs of a step, over all processes.
        seed: seed of the order, as in the recipe.
        steps: number of the last step plus one; None: without end.
        language_alpha: rows of a language with n rows are visited in proportion to n to this power, as `train.language_alpha`.
        sample_unit: sentence-pair, or word-pair to yield each word pair as an example with its sentences, as `train.sample_unit`.
        rank: of this process; it yields the pairs rank, rank + world_size, … of each step.
        world_size: number of processes.
        weight_by: the quality score by whose rank the examples are weighed, as `train.weight_by`; empty: they have no weights.

    Attributes:
        languages: the languages, to which the examples' indices refer.

    Raises:
        InputError: the folder has no shard, one cannot be read, there are fewer rows than `batch_size`, world_size does not divide
            batch_size, or no row has the score `weight_by`.
    """

    def __init__(
        self,
        sharded: str | Path,
        batch_size: int,
        seed: int = 0,
        steps: int | None = None,
        language_alpha: float = 1.0,
        rank: int = 0,
        world_size: int = 1,
        sample_unit: SampleUnit = "sentence-pair",
        weight_by: str = "",
    ) -> None:
        if batch_size % world_size:
            raise InputError(
                f"batch_size is {batch_size}, which {world_size} processes cannot share equally", "change batch_size"
            )
        self._shards = _Shards(Path(sharded), 2, weight_by, sample_unit)
        reader = self._shards.reader
        self._order = (reader.shard_samples, batch_size, seed)
        self._language_alpha = language_alpha
        self._steps, self._rank, self._world_size = steps, rank, world_size
        self._start = self._position = (0, 0)
        self._sampler: Sampler | None = self._make_sampler()
        self.languages = self._shards.languages

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sampler": None}  # its caches do not pickle

    def __iter__(self) -> Iterator[ParallelExample]:
        worker = get_worker_info()
        # A DataLoader takes one batch from each worker in turn: worker w yields every num_workers-th step, from w on.
        offset, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        step, row = self._start
        while self._steps is None or step + offset < self._steps:
            examples = self._examples(step + offset)
            step += stride
            for index in range(row, len(examples)):
                is_last = index + 1 == len(examples)
                self._position = (step, 0) if is_last else (step - stride, index + 1)
                yield examples[index]
            row = 0

    def state_dict(self) -> dict[str, int]:
        """Return the position after the last example: `step`, and `row` of that step.

        In a worker of a DataLoader `step` is the number of steps that all workers have done when each has done as many as this one.
        `StatefulDataLoader` of torchdata saves and restores it for each worker.
        """
        step, row = self._position
        return {"step": step, "row": row}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Start the next iteration at a position of `state_dict`; {"step": n} is enough to start at step n."""
        self._start = self._position = (state["step"], state.get("row", 0))

    def _examples(self, step: int) -> list[ParallelExample]:
        self._sampler = sampler = self._sampler or self._make_sampler()
        epoch, _ = sampler.position(step)
        return self._shards.examples(sampler.batch(step), epoch)[self._rank :: self._world_size]

    def _make_sampler(self) -> Sampler:
        shard_rows, batch_size, seed = self._order
        alpha = self._language_alpha
        language_sampler = self._shards.reader.language_sampler(alpha, seed) if alpha < 1 else None
        return Sampler(shard_rows, batch_size, seed, language_sampler)


class ParallelCollator:
    """Collates examples into a dict of tensors. Its random draws are those of mlctl's training with the same seed.

    Returns:
        input_ids: (B, 2, T) token ids, padded on the right.
        attention_mask: (B, 2, T) 1 for tokens, 0 for padding.
        word_spans: (B, W, 2, 2) start and end (half-open, in subwords) of each word of a word pair on each side; 0 where there is none.
        word_pair_mask: (B, W) bool, which word pairs exist.
        pair_ids: (B,) row numbers.
        text_ids: (B, 2) equal for equal sentences.
        languages: (B, 2) indices in `languages` of the dataset.
        weights: (B,) of the pairs' contrastive losses, with a `weight_by` of the dataset only; mlctl divides them by their mean in a step.
        masked_input_ids, labels: (B, 2, T), with mlm_probability above 0 only: tokens masked, and the ids to predict, −100 elsewhere.

    Args:
        tokenizer: the Hugging Face tokenizer in `tokenizer/` of the shard result.
        word_pairs: word pairs drawn from a sentence pair, anew in each epoch; it has all of them where there are fewer.
        mlm_probability: share of ordinary tokens that are masked; 0: none.
        seed: seed of the draws, as in the recipe.

    Raises:
        InputError: mlm_probability is above 0, but the tokenizer has no mask token.
    """

    def __init__(self, tokenizer: Any, word_pairs: int = 3, mlm_probability: float = 0.0, seed: int = 0) -> None:
        self._pad_id, self._word_pairs, self._seed = int(tokenizer.pad_token_id), word_pairs, seed
        self._masking = MaskingRule.from_tokenizer(tokenizer, mlm_probability) if mlm_probability else None

    def __call__(self, examples: Sequence[ParallelExample]) -> dict[str, Tensor]:
        """Return the batch of B ≥ 1 examples."""
        sequences = [ids for example in examples for ids in example.input_ids]
        input_ids = pad(sequences, self._pad_id)
        attention_mask = pad([np.ones(len(ids), np.int64) for ids in sequences], 0)
        word_spans, word_pair_mask = self._sample_word_pairs(examples)
        batch = {
            "input_ids": _by_pair(input_ids),
            "attention_mask": _by_pair(attention_mask),
            "word_spans": word_spans,
            "word_pair_mask": word_pair_mask,
            "pair_ids": torch.tensor([example.pair_id for example in examples]),
            "text_ids": torch.tensor([example.text_ids for example in examples]),
            "languages": torch.tensor([example.languages for example in examples]),
        }
        if weights := [example.weight for example in examples if example.weight is not None]:
            batch["weights"] = torch.tensor(weights)
        return batch if self._masking is None else {**batch, **self._mask(examples, input_ids, attention_mask, self._masking)}

    def _sample_word_pairs(self, examples: Sequence[ParallelExample]) -> tuple[Tensor, Tensor]:
        lengths = np.array([len(example.word_pairs) for example in examples])
        values = np.concatenate([example.word_pairs for example in examples])
        word_pairs = RaggedArray(values, np.cumsum(lengths) - lengths, lengths)
        drawn = word_pairs.sample(self._keys(Stream.WORD_PAIRS, examples), self._word_pairs)
        rows = word_pairs.row_indices()[drawn]
        counts = np.bincount(rows, minlength=len(examples))
        columns = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        word_spans = np.zeros((len(examples), self._word_pairs, 4), np.int64)
        word_spans[rows, columns] = values[drawn]
        mask = np.arange(self._word_pairs) < counts[:, None]
        return torch.from_numpy(word_spans).view(*word_spans.shape[:2], 2, 2), torch.from_numpy(mask)

    def _mask(
        self, examples: Sequence[ParallelExample], input_ids: Tensor, attention_mask: Tensor, masking: MaskingRule
    ) -> dict[str, Tensor]:
        sides = [self._keys(stream, examples) for stream in (Stream.SOURCE_MASK, Stream.TARGET_MASK)]
        row_keys = np.stack(sides, axis=1).reshape(-1)
        masked_ids, is_masked = mask_tokens(input_ids.numpy(), attention_mask.numpy().astype(bool), row_keys, masking)
        labels = torch.where(torch.from_numpy(is_masked), input_ids, IGNORE_INDEX)
        return {
            "masked_input_ids": _by_pair(torch.from_numpy(masked_ids)),
            "labels": _by_pair(labels),
        }

    def _keys(self, stream: Stream, examples: Sequence[ParallelExample]) -> NDArray[np.uint64]:
        """Return the key of each example, (B,); examples of two epochs may meet in a batch."""
        return np.concatenate([keys(self._seed, stream, example.epoch, np.array([example.pair_id])) for example in examples])


def _by_pair(sequences: Tensor) -> Tensor:
    """Return (B, 2, T) from the sequences (2B, T) source, target, source, …."""
    return sequences.view(-1, 2, sequences.shape[1])
