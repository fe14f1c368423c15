"""LoRA: what is trained, what is written, and that it resumes to the same bytes."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mlctl.config import Model, Train
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.modeling.encoders import load_encoder
from mlctl.modeling.freezing import freeze
from mlctl.modeling.lora import add_lora, merge_lora
from mlctl.training import train

QUICK: dict[str, Any] = {
    "steps": 8,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "warmup_steps": 0,
    "threads": 1,
    "devices": "cpu",
    "mlm_weight": 0,
    "judge_every": 0,
    "trackers": [],
    "lora_rank": 2,
    "checkpoint_seconds": 0.001,
}


@pytest.fixture(scope="module")
def shards(make_shards: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), [40])


@pytest.fixture(scope="module")
def base(shards: Path, toy_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("base")
    train(Train.model_validate({**QUICK, "lora_rank": 0, "steps": 1}), toy_model, 0, shards, Workspace(folder))
    return Model(name=str(folder / "model"))


class StoppedError(Exception):
    """Ends a training at some step, as a kill does."""


def stop_at(step: int) -> Callable[..., None]:
    def progress(done: int, *_: Any, **__: Any) -> None:
        if done == step:
            raise StoppedError

    return progress


def test_the_updates_begin_at_zero_and_are_added_in_the_end(base: Model) -> None:
    encoder = load_encoder(Path(base.name))
    before, names = copy.deepcopy(encoder), list(encoder.state_dict())
    ids = torch.arange(5, 12)[None]
    add_lora(encoder, 2)
    assert torch.equal(encoder(ids).last_hidden_state, before(ids).last_hidden_state)
    trained = {name: weight for name, weight in encoder.named_parameters() if weight.requires_grad}
    assert trained
    assert all("lora_" in name and weight.numel() == 2 * max(weight.shape) for name, weight in trained.items())
    with torch.no_grad():
        for weight in trained.values():
            weight.add_(torch.randn_like(weight), alpha=0.3)
    expected = encoder(ids).last_hidden_state
    assert not torch.allclose(expected, before(ids).last_hidden_state, atol=1e-2)
    merge_lora(encoder)
    assert list(encoder.state_dict()) == names
    torch.testing.assert_close(encoder(ids).last_hidden_state, expected, rtol=1e-4, atol=1e-5)


def test_frozen_layers_have_frozen_updates(base: Model) -> None:
    encoder = load_encoder(Path(base.name))
    add_lora(encoder, 2)
    freeze(encoder, 1, embeddings=False)
    trained = [name for name, weight in encoder.named_parameters() if weight.requires_grad]
    assert trained
    assert not [name for name in trained if ".layer.0." in name]


def test_only_the_linear_layers_of_the_blocks_change_and_it_resumes_to_the_same_bytes(
    shards: Path, base: Model, tmp_path: Path
) -> None:
    settings = Train.model_validate(QUICK)
    with pytest.raises(StoppedError):
        train(settings, base, 0, shards, Workspace(tmp_path / "cut"), stop_at(5))
    checkpoint = load_file(next((tmp_path / "cut").rglob("step-*/tensors.safetensors")))
    weights = {name for name in checkpoint if name.startswith("weight.model.")}
    assert weights
    assert all("lora_" in name for name in weights)
    for name in ("cut", "straight"):
        train(settings, base, 0, shards, Workspace(tmp_path / name))
    cut, straight = (tmp_path / name / "model" / "model.safetensors" for name in ("cut", "straight"))
    assert cut.read_bytes() == straight.read_bytes()
    one, other = load_file(Path(base.name) / "model.safetensors"), load_file(cut)
    assert one.keys() == other.keys()
    changed = {name for name in one if not torch.equal(one[name], other[name])}
    assert changed == {name for name in one if ".layer." in name and one[name].ndim == 2}


def test_a_missing_library_is_named(shards: Path, base: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *args: None if name == "peft" else find(name, *args))
    with pytest.raises(InputError, match=r"train\.lora_rank=2 needs peft") as caught:
        train(Train.model_validate(QUICK), base, 0, shards, Workspace(tmp_path))
    assert "[lora]" in caught.value.remedy
