"""Which classes of models are trained: encoders, the encoders of T5; decoders, encoder-decoders and language adapters are refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForTextEncoding

from mlctl.config import Model, Train
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.modeling.encoders import load_classifier, load_encoder, load_masked_lm
from mlctl.training import train

BERT = {"vocab_size": 85, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
T5 = {"vocab_size": 85, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 2, "num_decoder_layers": 1, "num_heads": 2}
BART = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
GPT = {"vocab_size": 85, "n_embd": 16, "n_layer": 1, "n_head": 2}
LLAMA = {**BERT, "num_key_value_heads": 2}
QUICK = {"steps": 3, "batch_size": 8, "devices": "cpu", "threads": 1, "trackers": []}


def save(folder: Path, kind: str, class_name: str, **values: Any) -> Path:
    """Write a random model of a class."""
    getattr(transformers, class_name)(AutoConfig.for_model(kind, **values)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "class_name", "values", "problem"),
    [
        ("gpt2", "GPT2LMHeadModel", GPT, "GPT2LMHeadModel is a decoder"),
        ("gpt2", "GPT2Model", GPT, "GPT2Model is a decoder"),
        ("llama", "LlamaForCausalLM", LLAMA, "LlamaForCausalLM is a decoder"),
        ("bert", "BertLMHeadModel", {**BERT, "is_decoder": True}, "BertLMHeadModel is a decoder"),
        ("bart", "BartForConditionalGeneration", BART, "BartForConditionalGeneration is an encoder-decoder"),
        ("xmod", "XmodForMaskedLM", {**BERT, "languages": ["en_XX", "sw_KE"]}, r"XmodForMaskedLM has an adapter .*\(en_XX, sw_KE\)"),
        ("xlm", "XLMModel", {"vocab_size": 85, "emb_dim": 16, "n_layers": 1, "n_heads": 2, "n_langs": 3}, "embeddings of 3 languages"),
    ],
)  # fmt: skip
def test_what_is_no_encoder_is_refused_by_name(tmp_path: Path, kind: str, class_name: str, values: Any, problem: str) -> None:
    folder = save(tmp_path / "model", kind, class_name, **values)
    loads: list[Callable[[], Any]] = [
        lambda: load_encoder(folder),
        lambda: load_masked_lm(folder, 0),
        lambda: load_classifier(folder, 2, "tagger", 0),
        lambda: load_classifier(folder, 2, "classifier", 0),
    ]
    for load in loads:
        with pytest.raises(InputError, match=problem) as caught:
            load()
        assert str(folder) in caught.value.problem
        assert "name an encoder such as" in caught.value.remedy


@pytest.mark.parametrize(("kind", "prefix"), [("t5", "T5"), ("mt5", "MT5"), ("umt5", "UMT5")])
def test_of_t5_the_encoder_alone_is_trained_and_published(
    make_shards: Callable[..., Path], tmp_path: Path, kind: str, prefix: str
) -> None:
    shards = make_shards(tmp_path / "shards", [24])
    folder = save(tmp_path / "model", kind, f"{prefix}ForConditionalGeneration", **T5)
    shutil.copytree(shards / "tokenizer", folder, dirs_exist_ok=True)
    assert not [name for name, _ in load_encoder(folder).named_parameters() if name.startswith("decoder")]

    result = tmp_path / "result"
    train(Train.model_validate(QUICK), Model(name=str(folder)), 0, shards, Workspace(result))
    settings = json.loads((result / "settings.json").read_text())
    assert (settings["kind"], settings["train"]["mlm_weight"]) == ("sentence-encoder", 0)
    assert json.loads((result / "model" / "config.json").read_text())["architectures"] == [f"{prefix}EncoderModel"]
    assert not [name for name in load_file(result / "model" / "model.safetensors") if "decoder" in name or "lm_head" in name]
    trained, before = AutoModelForTextEncoding.from_pretrained(result / "model").eval(), load_encoder(folder)
    ids = torch.tensor([[2, 5, 6, 3]])
    difference = (trained(ids).last_hidden_state - before(ids).last_hidden_state).abs().max()
    assert 0 < difference < 1

    with pytest.raises(InputError, match=f"{prefix}ForConditionalGeneration has no masked-LM head") as caught:
        train(
            Train.model_validate({**QUICK, "mlm_weight": 0.1}), Model(name=str(folder)), 0, shards, Workspace(tmp_path / "other")
        )
    assert "set train.mlm_weight=0" in caught.value.remedy


def test_encoder_of_t5_with_a_head(tmp_path: Path) -> None:
    folder = save(tmp_path / "model", "mt5", "MT5EncoderModel", **T5)
    tagger = load_classifier(folder, 3, "tagger", 0)
    ids, mask, labels = torch.tensor([[5, 6]]), torch.ones(1, 2), torch.tensor([[0, -100]])
    assert tagger(input_ids=ids, attention_mask=mask, token_type_ids=torch.zeros_like(ids), labels=labels).loss > 0
    with pytest.raises(InputError, match="has no encoder with a head for sentence pairs"):
        load_classifier(folder, 3, "classifier", 0)
