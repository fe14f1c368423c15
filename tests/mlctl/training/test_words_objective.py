"""Words without sentences, states without a projection, and frozen layers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mlctl.config import Model, Train, resolve_train
from mlctl.core.hashing import file_digest
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.modeling.encoders import scratch_model
from mlctl.modeling.pooling import Spans
from mlctl.training import train
from mlctl.training.collator import Batch, Collator
from mlctl.training.dataset import ShardReader
from mlctl.training.objective import Objective
from mlctl.training.sampler import ShardSlice

QUICK: dict[str, Any] = {"steps": 6, "batch_size": 8, "learning_rate": 3e-3, "threads": 1, "devices": "cpu", "word_pairs": 2}


@pytest.fixture(scope="module")
def shards(make_shards: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), [20, 12])


def objective_of(shards: Path, model: Model, **changes: Any) -> tuple[Objective, Batch]:
    settings = resolve_train(Train.model_validate({"mlm_weight": 0, "micro_batch_tokens": 30, **changes}), "scratch")
    network = scratch_model(model.scratch, shards / "tokenizer", 0, seed=0)
    rows = ShardReader(shards).read([ShardSlice(0, np.arange(7), np.zeros(7, np.int64))])
    return Objective(network, settings, 0).double().eval(), Collator(settings, 0, 0, None).collate(rows, 0)


def word_states(objective: Objective, batch: Batch, layer: int) -> tuple[list[Tensor], list[Tensor]]:
    """The mean state of each word of the batch, source and target, encoded sentence by sentence."""
    sequences = [ids for item in batch.micro_batches for ids in item.input_ids.split(item.packing.mask.sum(1).tolist())]
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for side in (0, 1):
        for row, (start, end) in zip(batch.word_pair_rows.tolist(), batch.word_pair_spans[side].tolist(), strict=True):
            ids = sequences[int(batch.sequence_positions[side * batch.pairs + row])]
            hidden = objective.model.bert(input_ids=ids[None], output_hidden_states=True).hidden_states
            sides[side].append(hidden[layer][0, start:end].mean(0))
    return sides


@pytest.mark.parametrize("layers", [{"word_layers": [1]}, {"layers": [1]}])
def test_without_projection_the_loss_is_info_nce_of_the_cosines_of_the_states(
    shards: Path, toy_model: Model, layers: dict[str, Any]
) -> None:
    objective, batch = objective_of(
        shards, toy_model, objective="words", loss="info-nce", temperature=0.1, word_pairs=2, **layers
    )
    sources, targets = word_states(objective, batch, 1)
    both, count = [*sources, *targets], len(sources)
    spans = [
        (int(row), *span)
        for side in (0, 1)
        for row, span in zip(batch.word_pair_rows, batch.word_pair_spans[side].tolist(), strict=True)
    ]
    identities = [int(batch.identities[side][row]) for side in (0, 1) for row in batch.word_pair_rows.tolist()]
    losses = []
    for i in range(2 * count):
        similarity = [float(torch.cosine_similarity(both[i].detach(), other.detach(), dim=0)) / 0.1 for other in both]
        positive = similarity[(i + count) % (2 * count)]
        negatives = [
            similarity[j]
            for j in range(2 * count)
            if j % count != i % count and not same(i % count, j % count, count, identities, spans)
        ]
        losses.append(math.log(sum(map(math.exp, [positive, *negatives]))) - positive)
    assert objective(batch).contrastive.item() == pytest.approx(np.mean(losses), rel=1e-9)
    assert not list(objective.contrastive.parameters()), "nothing but the encoder is trained"


def test_word_pooling_first_is_the_state_of_the_first_subword(shards: Path, toy_model: Model) -> None:
    batches = {}
    for pooling in ("mean", "first"):
        objective, batches[pooling] = objective_of(shards, toy_model, objective="words", word_pooling=pooling, layers="last")
    whole, first = (batches[pooling].micro_batches[-1].words for pooling in ("mean", "first"))
    assert torch.equal(first.tokens, whole.tokens[whole.lengths.cumsum(0) - whole.lengths])
    assert set(first.lengths.tolist()) == {1}
    micro_batch = batches["mean"].micro_batches[-1]
    starts = first.tokens.numpy()
    longer = dataclasses.replace(micro_batch, words=Spans.of_ranges(starts, starts + 2))
    states = torch.cat(
        [
            objective.model.bert(ids[None]).last_hidden_state[0]
            for ids in micro_batch.input_ids.split(micro_batch.packing.mask.sum(1).tolist())
        ]
    )
    torch.testing.assert_close(objective.encode(longer).words, (states[starts] + states[starts + 1]) / 2, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(objective.encode(batches["first"].micro_batches[-1]).words, states[starts], rtol=1e-9, atol=1e-12)


def same(i: int, j: int, count: int, identities: list[int], spans: list[tuple[int, ...]]) -> bool:
    """Whether two word pairs share a word of equal sentences, on any side."""
    return any(
        identities[a] == identities[b] and spans[a][1] < spans[b][2] and spans[b][1] < spans[a][2]
        for a in (i, i + count)
        for b in (j, j + count)
    )


@pytest.mark.parametrize("objective", ["joint", "sentence", "words", "separate"])
def test_projection_is_a_setting_of_every_objective(shards: Path, toy_model: Model, objective: str) -> None:
    heads: dict[str | None, int] = {}
    for projection in ("none", "mlp", None):
        made, _ = objective_of(shards, toy_model, objective=objective, projection=projection)
        heads[projection] = len(list(made.contrastive.parameters()))
    assert heads["none"] == 0 < heads["mlp"]
    assert heads[None] == heads["none" if objective == "words" else "mlp"]


def trained(shards: Path, model: Model, folder: Path, **changes: Any) -> dict[str, Tensor]:
    train(Train.model_validate({**QUICK, **changes}), model, 0, shards, Workspace(folder))
    return load_file(folder / "model" / "model.safetensors")


@pytest.mark.parametrize("embeddings", [False, True])
def test_frozen_weights_stay_to_the_byte_and_the_others_move(
    shards: Path, toy_model: Model, tmp_path: Path, embeddings: bool
) -> None:
    weights = trained(shards, toy_model, tmp_path, objective="words", mlm_weight=0, frozen_layers=1, frozen_embeddings=embeddings)
    base = load_file(tmp_path / "base" / "model.safetensors")
    moved = {name for name in weights if not torch.equal(weights[name], base[name])}
    assert not [name for name in moved if "layer.0." in name]
    assert [name for name in moved if "layer.1." in name]
    assert any("embeddings" in name for name in moved) is not embeddings


def test_frozen_layers_get_no_gradient(shards: Path, toy_model: Model) -> None:
    objective, batch = objective_of(shards, toy_model, frozen_layers=1, frozen_embeddings=True)
    objective(batch).total.backward()
    gradients = {name: weight.grad is not None for name, weight in objective.model.bert.named_parameters()}
    assert not any(has for name, has in gradients.items() if "embeddings" in name or "layer.0." in name)
    assert all(has for name, has in gradients.items() if "layer.1." in name)


@pytest.mark.parametrize("changes", [{"frozen_layers": 3}, {"frozen_layers": 2, "frozen_embeddings": True}])
def test_freezing_more_than_there_is_names_the_setting(shards: Path, toy_model: Model, changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"train\.frozen_layers is [23], but the encoder has 2 layers"):
        objective_of(shards, toy_model, **changes)


def test_resumed_training_gives_the_same_bytes(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "objective": "words",
        "mlm_weight": 0,
        "frozen_layers": 1,
        "frozen_embeddings": True,
        "word_anchor_weight": 0.5,
        "anchor_side": "source",
        "word_layers": "all",
    }

    def stop(done: int, *_: Any, **__: Any) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut = Train.model_validate({**QUICK, **settings, "checkpoint_seconds": 0.001})
        train(cut, toy_model, 0, shards, Workspace(tmp_path / "cut"), stop)
    assert list((tmp_path / "cut" / ".scratch" / "checkpoints").glob("step-*"))
    for name in ("cut", "straight"):
        trained(shards, toy_model, tmp_path / name, **settings)
    for file in ("model/model.safetensors", "steps.parquet"):
        assert file_digest(tmp_path / "cut" / file) == file_digest(tmp_path / "straight" / file)
