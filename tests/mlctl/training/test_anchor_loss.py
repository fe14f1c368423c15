from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor

from mlctl.config import Model, Train, resolve_train
from mlctl.core.hashing import file_digest
from mlctl.core.workspace import Workspace
from mlctl.modeling.encoders import load_encoder, scratch_model
from mlctl.training import train
from mlctl.training.anchor_loss import distance_sum
from mlctl.training.collator import Batch, Collator
from mlctl.training.dataset import Rows, ShardReader
from mlctl.training.objective import Objective
from mlctl.training.sampler import ShardSlice

QUICK: dict[str, Any] = {"steps": 8, "batch_size": 8, "learning_rate": 3e-3, "threads": 1, "devices": "cpu", "word_pairs": 2}


@given(rows=st.integers(1, 6), seed=st.integers(0, 99))
def test_distance_is_two_minus_twice_the_cosine(rows: int, seed: int) -> None:
    now, then = torch.randn(2, rows, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).unbind(0)
    cosines = [float(a @ b) / float(a.norm() * b.norm()) for a, b in zip(now, then, strict=True)]
    held = torch.tensor([row % 3 < 2 for row in range(rows)])
    expected = sum(2 - 2 * cosine for cosine, is_held in zip(cosines, held.tolist(), strict=True) if is_held)
    assert distance_sum(now, then, held).item() == pytest.approx(expected)


@pytest.fixture(scope="module")
def shards(make_shards: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), [20, 12])


def objective_of(shards: Path, model: Model, **changes: Any) -> tuple[Objective, Batch, Rows]:
    settings = resolve_train(Train.model_validate({"mlm_weight": 0, "micro_batch_tokens": 30, **changes}), "scratch")
    network = scratch_model(model.scratch, shards / "tokenizer", 0, seed=0)
    rows = ShardReader(shards).read([ShardSlice(0, np.arange(7), np.zeros(7, np.int64))])
    return Objective(network, settings, 0).double().train(), Collator(settings, 0, 0, None).collate(rows, 0), rows


def mean_state(encoder: Any, ids: list[int], layers: list[int]) -> Tensor:
    """A sentence by itself, without padding."""
    hidden = encoder(input_ids=torch.tensor([ids]), output_hidden_states=True).hidden_states
    return sum((hidden[layer][0] for layer in layers), torch.zeros(())).mean(0)


@pytest.mark.parametrize(("layers", "numbers"), [("first-and-last", [1, 2]), ("last", [2]), ([1], [1])])
def test_term_and_gradient_against_the_formula(shards: Path, toy_model: Model, layers: Any, numbers: list[int]) -> None:
    without, batch, rows = objective_of(shards, toy_model, layers=layers)
    objective, _, _ = objective_of(shards, toy_model, anchor_weight=0.7, layers=layers)
    assert without.anchor is None
    assert objective.anchor is not None
    first = objective.anchor.encoder
    for one in (objective, without):
        torch.manual_seed(5)
        with torch.no_grad():
            for weight in one.model.parameters():
                weight.add_(torch.randn_like(weight) * 0.1)
        one.model.eval()  # dropout of the trained one would hide the difference; the anchor has none
    losses, alone = objective(batch), without(batch)
    ids = [side.values[a : a + n].tolist() for side in rows.token_ids for a, n in zip(side.starts, side.lengths, strict=True)]
    distances = []
    for sentence in ids:
        now, then = mean_state(objective.model.bert, sentence, numbers), mean_state(first, sentence, numbers).detach()
        distances.append(2 - 2 * (now @ then) / (now.norm() * then.norm()))
    expected = torch.stack(distances).mean()
    assert losses.anchor.item() == pytest.approx(0.7 * expected.item(), rel=1e-9)
    assert losses.total.item() == pytest.approx(alone.total.item() + 0.7 * expected.item(), rel=1e-9)
    result, usual, more = (
        torch.autograd.grad(loss, list(one.model.bert.encoder.parameters()), allow_unused=True, materialize_grads=True)
        for loss, one in ((losses.total, objective), (alone.total, without), (0.7 * expected, objective))
    )
    for gradient, without_it, pull in zip(result, usual, more, strict=True):
        torch.testing.assert_close(gradient, without_it + pull, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("side", ["both", "source"])
def test_words_and_one_side_against_the_formula(shards: Path, toy_model: Model, side: str) -> None:
    changes: dict[str, Any] = {
        "word_anchor_weight": 0.7,
        "anchor_weight": 0.3,
        "anchor_side": side,
        "layers": "last",
        "word_layers": [1],
    }
    objective, batch, rows = objective_of(shards, toy_model, word_pairs=2, **changes)
    first = objective.anchor.encoder
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in objective.model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    objective.model.eval()
    distances: dict[str, list[Tensor]] = {"sentences": [], "words": []}
    for number, side_rows in enumerate(rows.token_ids[: 1 if side == "source" else 2]):
        ids = [side_rows.values[a : a + n].tolist() for a, n in zip(side_rows.starts, side_rows.lengths, strict=True)]
        for row, sentence in enumerate(ids):
            hidden = [
                encoder(input_ids=torch.tensor([sentence]), output_hidden_states=True).hidden_states
                for encoder in (objective.model.bert, first)
            ]
            spans = batch.word_pair_spans[number][batch.word_pair_rows == row].tolist()
            distances["sentences"].append(distance(*(states[2][0].mean(0) for states in hidden)))
            distances["words"] += [distance(*(states[1][0, start:end].mean(0) for states in hidden)) for start, end in spans]
    expected = 0.3 * torch.stack(distances["sentences"]).mean() + 0.7 * torch.stack(distances["words"]).mean()
    assert objective(batch).anchor.item() == pytest.approx(expected.item(), rel=1e-9)


def distance(now: Tensor, then: Tensor) -> Tensor:
    return 2 - 2 * (now @ then) / (now.norm() * then.norm())


def test_before_the_first_step_there_is_no_distance_and_no_pull(shards: Path, toy_model: Model) -> None:
    objective, batch, _ = objective_of(shards, toy_model, anchor_weight=1.0)
    objective.model.eval()
    anchor = objective(batch).anchor
    assert anchor.item() == pytest.approx(0, abs=1e-12)
    gradients = torch.autograd.grad(anchor, list(objective.model.bert.encoder.parameters()), allow_unused=True)
    assert all(one is None or one.abs().max() < 1e-6 for one in gradients)


class Interrupted(BaseException):
    pass


def trained(shards: Path, model: Model, folder: Path, stop: int = 0, **changes: Any) -> None:
    def progress(done: int, *_: Any, **__: Any) -> None:
        if done == stop:
            raise Interrupted

    train(Train.model_validate({**QUICK, **changes}), model, 0, shards, Workspace(folder), progress)


def test_gone_on_with_it_is_still_the_first_model_and_gives_the_same_bytes(
    shards: Path, toy_model: Model, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"anchor_weight": 2.0, "layers": [1], "false_negative_similarity": 0.9}
    with pytest.raises(Interrupted):
        trained(shards, toy_model, tmp_path / "cut", 5, checkpoint_seconds=0.001, **settings)
    checkpoints = sorted((tmp_path / "cut" / ".scratch" / "checkpoints").glob("step-*"))
    with safe_open(checkpoints[-1] / "tensors.safetensors", "pt") as tensors:
        assert not [name for name in tensors.keys() if "anchor" in name]  # noqa: SIM118 - no mapping
    for name in ("cut", "straight"):
        trained(shards, toy_model, tmp_path / name, **settings)
    for file in ("model/model.safetensors", "steps.parquet"):
        assert file_digest(tmp_path / "cut" / file) == file_digest(tmp_path / "straight" / file)
    steps = pq.read_table(tmp_path / "straight" / "steps.parquet")
    anchor = (np.array(steps["loss"]) - np.array(steps["contrastive"]) - 0.1 * np.array(steps["mlm"])) / 2.0
    assert 0 < anchor[0] < anchor[-1] < 4, "the first step's is dropout alone"


def moved(folder: Path, shards: Path) -> float:
    """How far the sentences of the first shard are from what they were, on average."""
    ids = pq.read_table(shards / "train" / "00000.parquet")["source_ids"].to_pylist()
    before, after = (load_encoder(folder / name) for name in ("base", "model"))
    with torch.no_grad():
        states = [[mean_state(encoder, sentence, [1, 2]) for sentence in ids] for encoder in (after, before)]
    held = torch.ones(len(ids), dtype=torch.bool)
    return float(distance_sum(torch.stack(states[0]), torch.stack(states[1]), held)) / len(ids)


def test_a_heavy_one_keeps_the_model_where_it_was(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    for name, weight in (("free", 0.0), ("held", 100.0)):
        trained(shards, toy_model, tmp_path / name, steps=30, anchor_weight=weight)
    assert moved(tmp_path / "held", shards) < 0.3 * moved(tmp_path / "free", shards)
