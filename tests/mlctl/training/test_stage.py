import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from mlctl.config import Model, Train
from mlctl.core.hashing import file_digest
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.modeling.encoders import load_encoder
from mlctl.modeling.pooling import encode_tokens, mean_pool
from mlctl.schema import STEPS
from mlctl.training import train

QUICK: dict[str, Any] = {"steps": 12, "batch_size": 8, "learning_rate": 1e-3, "threads": 1, "devices": "cpu", "word_pairs": 2}


def settings(**changes: Any) -> Train:
    return Train.model_validate({**QUICK, **changes})


@pytest.fixture(scope="module")
def shards(make_shards: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), [40, 24])


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of each file of the result but the volatile ones."""
    files = [file for file in folder.rglob("*") if file.is_file() and ".scratch" not in file.parts]
    return {
        str(file.relative_to(folder)): file_digest(file)
        for file in files
        if file.name != "speed.jsonl" and "tfevents" not in file.name
    }


def test_result(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    updates: list[tuple[int, int | None, str]] = []
    metrics = train(
        settings(), toy_model, 0, shards, Workspace(tmp_path), lambda done, total, unit, **_: updates.append((done, total, unit))
    )
    assert updates == [(step, 12, "steps") for step in range(1, 13)]
    steps = pq.read_table(tmp_path / "steps.parquet")
    assert steps.schema.equals(STEPS)
    assert steps["step"].to_pylist() == list(range(1, 13))
    assert steps["mlm"].null_count == 0
    total = np.array(steps["contrastive"]) + 0.1 * np.array(steps["mlm"])
    np.testing.assert_allclose(np.array(steps["loss"]), total, rtol=1e-5)
    assert {key: metrics[key] for key in ("steps", "pairs", "rows", "device")} == {
        "steps": 12,
        "pairs": 96,
        "rows": 64,
        "device": "cpu",
    }
    assert metrics["loss"] == pytest.approx(np.mean(steps["loss"].to_pylist()[-2:]))
    assert (tmp_path / "speed.jsonl").exists()
    for name in ("base", "model"):
        encoder, masked = AutoModel.from_pretrained(tmp_path / name), AutoModelForMaskedLM.from_pretrained(tmp_path / name)
        assert torch.equal(encoder.embeddings.word_embeddings.weight, masked.bert.embeddings.word_embeddings.weight)
        assert len(AutoTokenizer.from_pretrained(tmp_path / name)) == encoder.config.vocab_size == 85
        assert str(tmp_path) not in (tmp_path / name / "config.json").read_text()
    assert metrics["parameters"] == sum(weight.numel() for weight in masked.parameters())


def test_finished_parts_are_left_alone(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    first = train(settings(), toy_model, 0, shards, Workspace(tmp_path))
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / "model").iterdir()}
    (tmp_path / "steps.parquet").unlink()
    assert train(settings(), toy_model, 0, shards, Workspace(tmp_path)) == first
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "model").iterdir()} == times
    assert (tmp_path / "steps.parquet").exists()


def test_seed_and_settings_decide_about_the_bytes(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    results = []
    runs: list[tuple[int, dict[str, Any]]] = [
        (0, {}),
        (0, {"checkpoint_seconds": 0.001, "keep_checkpoints": 1}),
        (1, {}),
        (0, {"word_pairs": 1}),
    ]
    for number, (seed, changes) in enumerate(runs):
        torch.manual_seed(number)  # the caller's random state must not matter
        train(settings(**changes), toy_model, seed, shards, Workspace(tmp_path / str(number)))
        results.append(digests(tmp_path / str(number)))
    assert results[0] == results[1]
    weights = {result["model/model.safetensors"] for result in results}
    assert len(weights) == 3
    assert results[0]["base/model.safetensors"] == results[3]["base/model.safetensors"] != results[2]["base/model.safetensors"]


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": "joint", "word_pairs": 1},
        {"objective": "sentence", "loss": "info-nce"},
        {"objective": "separate", "word_weight": 0.3, "word_pairs": 3},
        {"contrast_on_masked": True},
        {"mlm_weight": 0, "contrast_on_masked": True},
        {"mlm_weight": 0},
        {"precision": "bf16", "warmup_steps": 3, "lr_schedule": "linear"},
        {"batch_size": 64, "micro_batch_tokens": 1, "steps": 2},
        {"cache_gradients": True, "precision": "bf16", "contrast_on_masked": True},
        {
            "layers": "all",
            "anchor_weight": 0.5,
            "precision": "bf16",
            "false_negative_similarity": 0.5,
            "temperature_mode": "learned",
        },
    ],
)
def test_every_setting_trains(shards: Path, toy_model: Model, tmp_path: Path, changes: dict[str, Any]) -> None:
    train(settings(**{"steps": 6, **changes}), toy_model, 0, shards, Workspace(tmp_path))
    steps = pq.read_table(tmp_path / "steps.parquet")
    assert steps["mlm"].null_count == (len(steps) if changes.get("mlm_weight") == 0 else 0)
    assert np.isfinite(np.array(steps["gradient_norm"])).all()


def sentence_vectors(model: Path, shards: Path, side: str) -> torch.Tensor:
    encoder, rows = load_encoder(model), pq.read_table(shards / "train" / "00000.parquet")[f"{side}_ids"].to_pylist()
    with torch.no_grad():
        pooled = [
            mean_pool(encode_tokens(encoder, torch.tensor([ids]), torch.ones(1, len(ids))), torch.ones(1, len(ids)))
            for ids in rows
        ]
    return torch.nn.functional.normalize(torch.cat(pooled), dim=1)


def retrieval_accuracy(model: Path, shards: Path) -> float:
    nearest = (sentence_vectors(model, shards, "source") @ sentence_vectors(model, shards, "target").T).argmax(1)
    return float((nearest == torch.arange(len(nearest))).float().mean())


@pytest.mark.parametrize("objective", ["joint", "separate"])
def test_overfitting_finds_every_translation(
    make_shards: Callable[..., Path], toy_model: Model, tmp_path: Path, objective: str
) -> None:
    shards = make_shards(tmp_path / "shards", [48])
    train(settings(objective=objective, steps=100, batch_size=24, learning_rate=5e-3), toy_model, 0, shards, Workspace(tmp_path))
    assert retrieval_accuracy(tmp_path / "base", shards) < 0.3
    assert retrieval_accuracy(tmp_path / "model", shards) == 1.0


def test_a_model_from_a_folder_goes_on_learning(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    train(settings(), toy_model, 0, shards, Workspace(tmp_path / "first"))
    pretrained = Model(name=str(tmp_path / "first" / "model"))
    train(settings(steps=2, learning_rate=1e-7), pretrained, 0, shards, Workspace(tmp_path / "second"))
    assert not (tmp_path / "second" / "base").exists()
    before, after = (load_encoder(tmp_path / name / "model").embeddings.word_embeddings.weight for name in ("first", "second"))
    assert 0 < (before - after).abs().max() < 1e-5


PROGRAM = """
import json, sys
from pathlib import Path
import mlctl.training
from mlctl.config import Model, Train
from mlctl.core.workspace import Workspace
assert "torch" not in sys.modules, "importing mlctl.training is to be cheap"
from mlctl.training import train
settings, model, shards, folder = sys.argv[1:]
train(Train.model_validate_json(settings), Model.model_validate_json(model), 3, Path(shards), Workspace(Path(folder)))
"""


def kill_when(ready: Callable[[], bool], command: list[str]) -> None:
    """Start a program and end it by SIGKILL as soon as something holds."""
    process = subprocess.Popen(command)
    end = time.monotonic() + 60
    while not ready():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_sigkill_and_resume_give_the_same_bytes(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    whole = settings(steps=60, checkpoint_seconds=0.001)
    folder, checkpoints = tmp_path / "killed", tmp_path / "killed" / ".scratch" / "checkpoints"
    command = [sys.executable, "-c", PROGRAM, whole.model_dump_json(), toy_model.model_dump_json(), str(shards), str(folder)]

    def reached(step: int) -> bool:
        return any(int(path.name[5:]) >= step for path in checkpoints.glob("step-*"))

    for step in (3, 25):  # in the first epochs and in later ones
        kill_when(lambda step=step: reached(step), command)
    assert not (folder / "model").exists()
    updates: list[int] = []
    metrics = train(whole, toy_model, 3, shards, Workspace(folder), lambda done, *_, **__: updates.append(done))
    assert 25 < updates[0] <= 60, "it did not resume from a checkpoint"
    straight = train(settings(steps=60), toy_model, 3, shards, Workspace(tmp_path / "straight"))
    assert metrics == straight
    assert digests(folder) == digests(tmp_path / "straight")


def test_damaged_newest_checkpoint_costs_only_the_steps_since_the_one_before(
    shards: Path, toy_model: Model, tmp_path: Path
) -> None:
    train(settings(checkpoint_seconds=0.001), toy_model, 0, shards, Workspace(tmp_path / "a"))
    before = digests(tmp_path / "a")
    newest = tmp_path / "a" / ".scratch" / "checkpoints" / "step-0000012" / "tensors.safetensors"
    newest.write_bytes(newest.read_bytes()[:-8] + bytes(8))
    for name in ("model", "steps.parquet"):
        (tmp_path / "a" / name).rename(tmp_path / name)
    updates: list[int] = []
    train(settings(), toy_model, 0, shards, Workspace(tmp_path / "a"), lambda done, *_, **__: updates.append(done))
    assert updates == [12]
    assert digests(tmp_path / "a") == before


def test_diverging_stops_with_a_diagnosis(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    wild = settings(learning_rate=1e38, checkpoint_seconds=0.001)
    with pytest.raises(
        InputError, match=r"diverged at step \d+: loss .*learning rate 1e\+38; last good checkpoint: step-\d+"
    ) as caught:
        train(wild, toy_model, 0, shards, Workspace(tmp_path))
    assert "lower train.learning_rate" in caught.value.remedy
    assert list((tmp_path / ".scratch" / "checkpoints").iterdir())
    assert not (tmp_path / "model").exists()


def test_a_loss_that_rises_for_good_stops_and_names_the_best_checkpoint(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    too_fast = settings(steps=600, learning_rate=0.1, warmup_steps=600, checkpoint_seconds=0.02)
    with pytest.raises(InputError, match=r"at step 200: the median loss of the last 100 steps is .* up to step 100") as caught:
        train(too_fast, toy_model, 0, shards, Workspace(tmp_path))
    assert "increase train.max_loss_rise" in caught.value.remedy
    named = re.search(r"last good checkpoint: (step-\d+) in", caught.value.problem)
    assert named is not None
    folders = sorted(path.name for path in (tmp_path / ".scratch" / "checkpoints").iterdir())
    assert named[1] == folders[0], "the best is older than the newest two, which are no good"
    assert len(folders) == 3
    assert int(named[1][5:]) < 160
    updates: list[int] = []
    with pytest.raises(InputError, match="at step 200"):
        train(too_fast, toy_model, 0, shards, Workspace(tmp_path), lambda done, *_, **__: updates.append(done))
    assert len(updates) < 40, "it did not resume from the newest"
    more = settings(**{**too_fast.model_dump(), "max_loss_rise": 1000, "steps": 600})
    with pytest.raises(Interrupted):
        train(more, toy_model, 0, shards, Workspace(tmp_path), interrupt_at(210))


@pytest.mark.slow
def test_layers_that_cannot_be_compiled_name_the_setting(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    from torch._inductor import config

    torch._dynamo.reset()
    with (
        config.patch({"cpp.cxx": (None, "/no/compiler")}),
        pytest.raises(InputError, match=r"No working C\+\+ compiler") as caught,
    ):
        train(settings(compile=True), toy_model, 0, shards, Workspace(tmp_path))
    assert "train.compile=false" in str(caught.value)


@pytest.mark.parametrize("cached", [False, True])
def test_full_memory_says_what_takes_less(shards: Path, toy_model: Model, tmp_path: Path, cached: bool) -> None:
    def fill(*_: Any, **__: Any) -> None:
        torch.empty(2**58)

    with pytest.raises(InputError, match="the device's memory is full") as caught:
        train(settings(cache_gradients=cached), toy_model, 0, shards, Workspace(tmp_path), fill)
    assert caught.value.remedy.startswith("lower train.micro_batch_tokens" if cached else "set train.cache_gradients=true")


class Interrupted(BaseException):
    pass


def interrupt_at(step: int) -> Callable[..., None]:
    def progress(done: int, *_: Any, **__: Any) -> None:
        if done == step:
            raise Interrupted

    return progress


def test_chunk_by_chunk_it_trains_alike_and_goes_on_to_the_same_bytes(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    cached = settings(cache_gradients=True, micro_batch_tokens=30, checkpoint_seconds=0.001)
    with pytest.raises(Interrupted):
        train(cached, toy_model, 0, shards, Workspace(tmp_path / "cut"), interrupt_at(7))
    for name in ("cut", "straight"):
        train(cached, toy_model, 0, shards, Workspace(tmp_path / name))
    assert digests(tmp_path / "cut") == digests(tmp_path / "straight")
    train(settings(micro_batch_tokens=30), toy_model, 0, shards, Workspace(tmp_path / "whole"))
    one, other = (np.array(pq.read_table(tmp_path / name / "steps.parquet")["loss"]) for name in ("cut", "whole"))
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("cached", [False, True])
def test_without_masking_the_embeddings_that_no_row_has_are_left_out(
    shards: Path, toy_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    alone = settings(mlm_weight=0, anchor_weight=0.5, cache_gradients=cached, micro_batch_tokens=30, checkpoint_seconds=0.001)
    with pytest.raises(Interrupted):
        train(alone, toy_model, 0, shards, Workspace(tmp_path / "cut"), interrupt_at(7))
    for name in ("cut", "straight"):
        train(alone, toy_model, 0, shards, Workspace(tmp_path / name))
    assert digests(tmp_path / "cut") == digests(tmp_path / "straight")
    newest = max((tmp_path / "cut" / ".scratch" / "checkpoints").glob("step-*"))
    assert not [name for name, tensor in load_file(newest / "tensors.safetensors").items() if tensor.shape == (85, 32)]
    monkeypatch.setattr("mlctl.training.stage.train_embedding_rows", lambda *_: nullcontext())
    train(alone, toy_model, 0, shards, Workspace(tmp_path / "whole"))
    base, narrow, whole = (load_file(tmp_path / name / "model.safetensors") for name in ("cut/base", "cut/model", "whole/model"))
    assert narrow.keys() == whole.keys()
    for name, weight in whole.items():
        torch.testing.assert_close(narrow[name], weight, rtol=0, atol=1e-5)
    table = "embeddings.word_embeddings.weight"
    moved = (base[table] != narrow[table]).any(1).nonzero().flatten().tolist()
    assert moved == [index for index in range(85) if index not in (0, 1, 4)], "[PAD], [UNK] and [MASK] are in no row"


def test_row_too_long_for_the_encoder(shards: Path, toy_model: Model, make_shards: Callable[..., Path], tmp_path: Path) -> None:
    short = make_shards(tmp_path / "shards", [16])
    config = short / "tokenizer" / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "model_max_length": 6}))
    with pytest.raises(InputError, match=r"has room for 6\n.*shard\.max_length to at most 6"):
        train(settings(), toy_model, 0, short, Workspace(tmp_path))


def test_tokenizer_of_another_model(shards: Path, toy_model: Model, make_shards: Callable[..., Path], tmp_path: Path) -> None:
    train(settings(steps=1), toy_model, 0, shards, Workspace(tmp_path / "first"))
    other = make_shards(tmp_path / "shards", [16])
    AutoTokenizer.from_pretrained(other / "tokenizer").save_pretrained(other / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(other / "tokenizer")
    tokenizer.add_tokens(["one", "too", "many"])
    tokenizer.save_pretrained(other / "tokenizer")
    with pytest.raises(InputError, match=r"tokenizer has 88 types, but .* has room for 85"):
        train(settings(), Model(name=str(tmp_path / "first" / "model")), 0, other, Workspace(tmp_path / "second"))


def test_batch_larger_than_the_corpus(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.batch_size is 65, but there are only 64 training rows"):
        train(settings(batch_size=65), toy_model, 0, shards, Workspace(tmp_path))


@pytest.mark.parametrize("device", ["cuda:99", "toaster"])
def test_device_that_is_not_there(shards: Path, toy_model: Model, tmp_path: Path, device: str) -> None:
    with pytest.raises(InputError, match=rf"train\.devices: '{device}' cannot be used here"):
        train(settings(devices=device), toy_model, 0, shards, Workspace(tmp_path))
