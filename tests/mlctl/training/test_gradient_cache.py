"""One step's loss and gradients are the same in one go, micro_batch by micro_batch, and shared out over processes.

Run as a program it takes the steps in one, two and three processes, and writes what came out.
"""

import itertools
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import setuptools  # noqa: F401 - torch.compile needs it, and imports it too late where a test has imported distutils
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed
from transformers import BertConfig, BertForMaskedLM

from mlctl.config import Train, resolve_train
from mlctl.training.collator import Batch, Collator
from mlctl.training.dataset import Rows
from mlctl.training.distributed import SINGLE, ProcessGroup
from mlctl.training.gradient_cache import forward_backward
from mlctl.training.gradient_reducer import GradientReducer
from mlctl.training.masking import MaskingRule
from mlctl.training.objective import Objective
from mlctl.training.ragged_array import RaggedArray
from mlctl.training.translation_lm import PairTemplate, TranslationLm

TYPES, PAD = 60, 1
RULE = MaskingRule(0.3, 4, np.arange(TYPES) < 5)
#: [CLS] x [SEP] y [SEP], as BERT joins a pair.
TEMPLATE = PairTemplate((1, 1), (np.array([[2, 2, 0, 0]]), np.array([[3, 3, 0, 0]]), np.array([[3, 3, 0, 1]])), (0, 1))
CASES: list[dict[str, Any]] = [
    {
        "objective": objective,
        "mlm_weight": mlm,
        "contrast_on_masked": masked,
        "word_pairs": 2,
        "micro_batch_tokens": 30,
        "word_weight": 0.3,
    }
    for objective, mlm, masked in itertools.product(("joint", "sentence", "separate"), (0.0, 0.4), (False, True))
]
CASES += [
    {**CASES[10], "temperature_mode": "learned", "word_loss": "info-nce"},
    {**CASES[11], "anchor_weight": 0.7, "layers": [2]},
    {
        **CASES[0],
        "anchor_weight": 0.7,
        "false_negative_similarity": 0.9,
        "hard_word_negatives": False,
        "same_word_negatives": False,
    },
    {**CASES[10], "tlm_share": 0.5},
    {**CASES[10], "weight_by": "quality"},
    {**CASES[2], "weight_by": "quality"},
    {**CASES[8], "objective": "words", "projection": "mlp", "layers": [1]},  # the layers above have no gradient
]


def ragged(rows: list[Any], empty: tuple[int, ...] = (0,)) -> RaggedArray:
    lengths = np.array([len(row) for row in rows])
    values = np.concatenate([np.asarray(row, dtype=np.int64).reshape(-1, *empty[1:]) for row in rows])
    return RaggedArray(values, np.cumsum(lengths) - lengths, lengths)


def rows_of(count: int) -> Rows:
    """Random pairs, some without word pairs; the last three repeat the first three's source side, words included."""
    rng = np.random.default_rng(0)
    sides = [[[2, *rng.integers(5, TYPES, rng.integers(7, 14)), 3] for _ in range(count)] for _ in range(2)]
    word_pairs = [[(a, a + 2, b, b + 1) for a, b in rng.integers(1, 6, (row % 4, 2))] for row in range(count)]
    identities = np.arange(count), np.arange(count) + 1000
    for row in range(3):
        sides[0][row - 3], word_pairs[row - 3], identities[0][row - 3] = sides[0][row], word_pairs[row], row
    return Rows(np.arange(count) + 1000, (ragged(sides[0]), ragged(sides[1])), ragged(word_pairs, (0, 4)), identities)


def objective_of(settings: Train, dropout: float) -> Objective:
    torch.manual_seed(0)
    geometry = {"vocab_size": TYPES, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
    drop = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    model = BertForMaskedLM(BertConfig(**geometry, **drop, pad_token_id=PAD, initializer_range=0.2))
    return Objective(model, settings, seed=1).to(torch.float64).train()


def step(case: dict[str, Any], group: ProcessGroup, cached: bool, dropout: float = 0.0, rows: int = 7) -> dict[str, Tensor]:
    """Return the losses and the gradient of every parameter."""
    settings = resolve_train(Train.model_validate(case), "scratch")
    tlm = TranslationLm(settings.tlm_share, 24, TEMPLATE, True, RULE, PAD, 5) if settings.tlm_share else None
    collator = Collator(settings, 5, PAD, None if tlm else RULE, group, tlm)
    visited = rows_of(rows)
    if settings.weight_by:
        visited = replace(visited, weights=np.linspace(0.1, 1.9, rows))
    objective, batch = objective_of(settings, dropout), collator.collate(visited, 2)
    reducer = GradientReducer(objective.model.parameters(), objective.contrastive.parameters(), group, bucket_size=1000)
    for _ in range(1 if group.size == 1 else 2):  # the sums of the second step begin in the backward pass
        objective.zero_grad()
        torch.manual_seed(9)
        losses = forward_backward(objective, batch, group, cached, reducer)
    figures = {name: value.detach().clone() for name, value in losses._asdict().items() if value is not None}
    return figures | {name: weight.grad for name, weight in objective.named_parameters() if weight.grad is not None}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-10, atol=1e-11, msg=lambda text, name=name: f"{name}: {text}")


def label(case: dict[str, Any]) -> str:
    more = [name for name in case if name not in CASES[0]]
    return "-".join(str(part) for part in (case["objective"], case["mlm_weight"], case["contrast_on_masked"], *more))


def take_steps(group: ProcessGroup, folder: Path) -> None:
    """Take every step as one process of a group."""
    torch.set_num_threads(1)
    if group.size > 1:
        meeting = f"file://{folder}/meeting-{group.size}"
        distributed.init_process_group("gloo", init_method=meeting, rank=group.rank, world_size=group.size)
    for case, cached in itertools.product(CASES, (False, True)):
        save_file(step(case, group, cached), folder / f"{label(case)}-{cached}-{group.size}-{group.rank}.safetensors")


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("steps")
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo"}
    subprocess.run([sys.executable, __file__, folder], env=environment, check=True)
    return folder


@pytest.mark.parametrize("case", CASES, ids=label)
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("cached", [False, True])
def test_shared_out_it_is_the_same_step(steps: Path, case: dict[str, Any], size: int, cached: bool) -> None:
    whole = load_file(steps / f"{label(case)}-False-1-0.safetensors")
    assert ("mlm" in whole) == (case["mlm_weight"] > 0)
    for rank in range(size):
        assert_equal(load_file(steps / f"{label(case)}-{cached}-{size}-{rank}.safetensors"), whole)
    first, last = (steps / f"{label(case)}-{cached}-{size}-{rank}.safetensors" for rank in (0, size - 1))
    parameters = {name for name in whole if "." in name}
    assert all(torch.equal(load_file(first)[name], load_file(last)[name]) for name in parameters), "the weights would drift apart"


@pytest.mark.parametrize("case", CASES, ids=label)
def test_chunk_by_chunk_it_is_the_same_step_with_the_same_dropout(case: dict[str, Any]) -> None:
    whole = step(case, SINGLE, cached=False, dropout=0.3)
    assert_equal(step(case, SINGLE, cached=True, dropout=0.3), whole)
    without = step(case, SINGLE, cached=False)
    assert whole["contrastive"] != without["contrastive"]


class Kept:
    """Counts the bytes that graphs keep for their way back."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def pack(self, tensor: Tensor) -> Any:
        box, size = _Box(tensor.detach()), tensor.numel() * tensor.element_size()
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(box, self._drop, size)
        return box

    def _drop(self, size: int) -> None:
        self.now -= size


class _Box:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor  # detached: a graph that is dropped would else hold itself through it


def kept(case: dict[str, Any], rows: int, cached: bool) -> int:
    bytes_kept = Kept()
    with torch.autograd.graph.saved_tensors_hooks(bytes_kept.pack, lambda box: box.tensor):
        step(case, SINGLE, cached, rows=rows)
    assert bytes_kept.now == 0
    return bytes_kept.most


@pytest.mark.parametrize("case", [CASES[3], CASES[6]], ids=label)
def test_chunk_by_chunk_memory_does_not_grow_with_the_batch(case: dict[str, Any]) -> None:
    small, large = (kept(case, rows, cached=True) for rows in (10, 40))
    assert large < 1.3 * small
    assert kept(case, 40, cached=False) > 3 * kept(case, 10, cached=False)
    more = kept({**case, "micro_batch_tokens": 120}, 40, cached=True)
    assert more > 2.5 * large, "it does grow with the micro_batch"


@pytest.mark.slow
def test_with_compiled_layers_it_is_the_same_step() -> None:
    plain, compiled = CASES[8], {**CASES[8], "compile": True}
    assert_equal(step(plain, SINGLE, cached=False), step(compiled, SINGLE, cached=False))
    assert_equal(step(plain, SINGLE, cached=False), step(compiled, SINGLE, cached=True))


@pytest.mark.parametrize("cached", [False, True])
def test_with_activation_checkpointing_it_is_the_same_step_in_less_memory(cached: bool) -> None:
    case = CASES[13]
    checkpointing = {**case, "activation_checkpointing": True}
    assert_equal(step(checkpointing, SINGLE, cached, dropout=0.3), step(case, SINGLE, cached, dropout=0.3))
    if not cached:
        assert kept(checkpointing, 40, cached) < kept(case, 40, cached) / 4


def shares(batches: list[Batch]) -> Iterator[tuple[Batch, list[list[int]]]]:
    for batch in batches:
        yield (
            batch,
            [
                ids.tolist()
                for micro_batch in batch.micro_batches
                for ids in micro_batch.input_ids.split(micro_batch.packing.mask.sum(1).tolist())
            ],
        )


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_every_sequence_is_somebodys_and_shares_are_about_equal(size: int) -> None:
    settings, rows = resolve_train(Train.model_validate(CASES[0]), "scratch"), rows_of(9)
    batches = [Collator(settings, 5, PAD, RULE, ProcessGroup(rank, size)).collate(rows, 2) for rank in range(size)]
    in_order: dict[int, list[int]] = {}
    for batch, sequences in shares(batches):
        in_order |= dict(zip(batch.local_sequences.tolist(), sequences, strict=True))
        assert torch.equal(batch.sequence_positions, batches[0].sequence_positions)
        assert torch.equal(batch.word_pair_spans[1], batches[0].word_pair_spans[1])
    sides = [side.values[a : a + n].tolist() for side in rows.token_ids for a, n in zip(side.starts, side.lengths, strict=True)]
    assert [in_order[index] for index in batches[0].sequence_positions.tolist()] == sides
    words = torch.cat([batch.local_words for batch in batches])
    assert sorted(words.tolist()) == list(range(2 * len(batches[0].word_pair_rows)))
    tokens = [sum(map(len, sequences)) for _, sequences in shares(batches)]
    assert max(tokens) - min(tokens) <= 15, "more than one sentence's"


if __name__ == "__main__":
    children = []
    for processes in (1, 2, 3):  # forked: torch is loaded once
        for number in range(processes):
            children.append(os.fork())
            if not children[-1]:
                take_steps(ProcessGroup(number, processes), Path(sys.argv[1]))
                os._exit(0)
    sys.exit(max(os.waitpid(child, 0)[1] for child in children))
