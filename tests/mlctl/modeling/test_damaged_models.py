"""Model folders as bad days leave them: one message that names the file, and the tensor where it is one; code is never run."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM

from mlctl.config import Model
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.modeling.encoders import load_encoder, load_masked_lm, load_tokenizer

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def good(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    config = BertConfig(vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    BertForMaskedLM(config).save_pretrained(folder)
    shutil.copytree(tokenizer_folder, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture
def model(good: Path, tmp_path: Path) -> Path:
    shutil.copytree(good, tmp_path / "model")
    return tmp_path / "model"


def use(folder: Path, **changes: Any) -> None:
    """Do what a run does with `model.name`, `model.start` or `align.encoder`."""
    resolved = model_sources.resolve(Model(name=str(folder), **changes))
    load_masked_lm(resolved, 0)
    load_encoder(resolved)
    load_tokenizer(resolved)


def problem(folder: Path, **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        use(folder, **changes)
    assert caught.value.remedy
    assert "\n" not in caught.value.problem
    return caught.value.problem


def change(folder: Path, tensor: str, value: Callable[[torch.Tensor], torch.Tensor]) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors[tensor] = value(tensors[tensor])
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def shard(folder: Path) -> None:
    """Write the weights as two files with an index."""
    tensors = load_file(folder / WEIGHTS)
    parts = {"model-00001-of-00002.safetensors": sorted(tensors)[:5], "model-00002-of-00002.safetensors": sorted(tensors)[5:]}
    for file, names in parts.items():
        save_file({name: tensors[name] for name in names}, folder / file, metadata={"format": "pt"})
    weight_map = {name: file for file, names in parts.items() for name in names}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / WEIGHTS).unlink()


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("content", ["", "{", '{"model_type": "be', "[1, 2]", "null", "\x00\x01", '{"a":' * 3000])
def test_json_that_is_truncated_or_no_object(model: Path, name: str, content: str) -> None:
    (model / name).write_text(content)
    assert str(model / name) in problem(model)


@given(st.data())
def test_weights_cut_anywhere(good: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = (good / WEIGHTS).read_bytes()
    folder = tmp_path_factory.mktemp("cut")
    shutil.copy(good / "config.json", folder)
    (folder / WEIGHTS).write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    assert f"{folder / WEIGHTS} is damaged or truncated" in problem(folder)


def test_weights_with_a_byte_too_many_or_another_header(model: Path) -> None:
    content = (model / WEIGHTS).read_bytes()
    for damaged in (content + b"x", bytes(len(content)), b"\xff" * len(content), content[:8] + b"[" + content[9:]):
        (model / WEIGHTS).write_bytes(damaged)
        assert f"{model / WEIGHTS} is damaged or truncated" in problem(model)


@pytest.mark.parametrize(("value", "kind"), [(float("nan"), "NaN"), (float("inf"), "infinite"), (float("-inf"), "infinite")])
def test_a_weight_that_is_not_finite_is_named_with_its_file(model: Path, value: float, kind: str) -> None:
    change(model, "bert.encoder.layer.0.output.dense.weight", lambda tensor: tensor.index_fill(0, torch.tensor([3]), value))
    assert problem(model) == f"{model / WEIGHTS}: bert.encoder.layer.0.output.dense.weight has {kind} values"
    with pytest.raises(InputError, match=f"{WEIGHTS}: encoder.layer.0.output.dense.weight has {kind} values"):
        load_encoder(model)
    shard(model)
    assert "-of-00002.safetensors: bert.encoder.layer.0.output.dense.weight has" in problem(model)


def test_weights_of_another_shape(model: Path) -> None:
    change(model, "bert.encoder.layer.0.output.dense.weight", lambda tensor: tensor[:, :4].contiguous())
    text = problem(model)
    assert f"{model / WEIGHTS}: bert.encoder.layer.0.output.dense.weight has the shape [8, 4]" in text
    assert "config.json describes [8, 8]" in text


def test_shards_and_an_index(model: Path) -> None:
    shard(model)
    use(model)
    (model / "model-00002-of-00002.safetensors").rename(model / "elsewhere")
    assert f"{model / WEIGHTS}.index.json names model-00002-of-00002.safetensors, which is missing (1 of 2 files)" in problem(
        model
    )
    (model / f"{WEIGHTS}.index.json").write_text('{"weight_map": [1]}')
    assert "has no weight_map" in problem(model)


def test_folders_that_hold_no_model(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert problem(tmp_path / "empty") == f"model.name: {tmp_path / 'empty'} has no config.json"
    (model / WEIGHTS).unlink()
    assert problem(model) == f"model.name: {model} has no weights"


def test_a_pickle_is_refused_unless_the_recipe_allows_it(model: Path, tmp_path: Path) -> None:
    torch.save(load_file(model / WEIGHTS), model / "pytorch_model.bin")
    use(model)  # beside safetensors it is not looked at
    (model / WEIGHTS).unlink()
    assert "has its weights as pickles (pytorch_model.bin), which can run code" in problem(model)
    use(model, allow_pickle=True)


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def test_code_in_a_pickle_is_not_run_even_if_pickles_are_allowed(model: Path, tmp_path: Path) -> None:
    (model / WEIGHTS).unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps({"bert.x": Evil(tmp_path / "ran")}))
    assert str(model) in problem(model, allow_pickle=True)
    torch.save({"bert.x": Evil(tmp_path / "ran")}, model / "pytorch_model.bin")
    assert str(model) in problem(model, allow_pickle=True)
    assert not (tmp_path / "ran").exists()


def test_custom_code_is_refused_by_name_and_not_run(model: Path, tmp_path: Path) -> None:
    code = f"from pathlib import Path\nPath({str(tmp_path / 'ran')!r}).touch()\n"
    (model / "modeling_new.py").write_text(code)
    config = json.loads((model / "config.json").read_text())
    auto_map = {"AutoConfig": "modeling_new.NewConfig", "AutoModel": "modeling_new.NewModel"}
    (model / "config.json").write_text(json.dumps({**config, "model_type": "new", "auto_map": auto_map}))
    assert "the model needs custom code (auto_map: " in problem(model)
    assert "modeling_new.NewModel" in problem(model)
    (model / "config.json").write_text(json.dumps({**config, "auto_map": auto_map}))
    use(model)  # transformers has its own class for this model
    tokenizer = json.loads((model / "tokenizer_config.json").read_text())
    named = {**tokenizer, "auto_map": {"AutoTokenizer": ["modeling_new.NewTokenizer", None]}}
    (model / "tokenizer_config.json").write_text(json.dumps(named))
    assert f"{model / 'tokenizer_config.json'}: the model needs custom code" in problem(model)
    assert not (tmp_path / "ran").exists()


def test_the_setting_that_names_the_model_is_blamed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for setting in ("model.start", "align.encoder", "translate.model"):
        with pytest.raises(InputError, match=f"{setting}: .* has no config.json"):
            model_sources.resolve(Model(name=str(tmp_path / "empty")), setting)
