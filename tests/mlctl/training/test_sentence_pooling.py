"""Encoders that say how their sentence vectors are made: trained a few steps, exported, and read by sentence-transformers itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, BertConfig, BertForMaskedLM, BertForPreTraining, BertModel

from mlctl.config import Model, Train
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.modeling.sentence_config import Pooling, read_sentence_config
from mlctl.training import train

MODULES = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize", "Dense": "2_Dense"}
TEXTS = ["a1 a2 a3", "b1 b2 b3 b4", "a9 b8 a7 b6", " ".join(f"a{n}" for n in range(20))]


@pytest.fixture(scope="module")
def shards(make_shards: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), [40])


def bert(folder: Path, shards: Path, kind: Any = BertModel) -> Path:
    """Write a BERT of three layers whose states differ much from layer to layer, with the tokenizer of the shards."""
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=85, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=16, initializer_range=0.5
    )
    kind(config).save_pretrained(folder)
    for file in (shards / "tokenizer").iterdir():
        shutil.copyfile(file, folder / file.name)
    return folder


def put(folder: Path, name: str, value: Any) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(value), encoding="utf-8")


def sentence_encoder(folder: Path, shards: Path, *kinds: str, mode: str = "cls_token", prompt: str = "") -> Path:
    """Write a BERT as sentence-transformers does, with a maximum of 12 tokens; the prompt is the default one."""
    bert(folder, shards)
    entries = [
        {"idx": n, "name": str(n), "path": MODULES[kind], "type": f"sentence_transformers.models.{kind}"}
        for n, kind in enumerate(kinds)
    ]
    put(folder, "modules.json", entries)
    put(
        folder,
        "1_Pooling/config.json",
        {"word_embedding_dimension": 16, f"pooling_mode_{mode}": True, "pooling_mode_mean_tokens": mode == "mean_tokens"},
    )
    put(folder, "sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": False})
    prompts = {"prompts": {"query": prompt}, "default_prompt_name": "query"} if prompt else {}
    put(folder, "config_sentence_transformers.json", {**prompts, "similarity_fn_name": "cosine"})
    return folder


def run(folder: Path, source: Path, shards: Path, **changes: Any) -> dict[str, Any]:
    settings = {
        "steps": 3,
        "batch_size": 8,
        "learning_rate": 1e-2,
        "threads": 1,
        "devices": "cpu",
        "mlm_weight": 0,
        "trackers": [],
    }
    return train(Train.model_validate({**settings, **changes}), Model(name=str(source)), 0, shards, Workspace(folder))


def saved(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize(("mode", "tokens"), [("cls_token", "cls"), ("mean_tokens", "mean"), ("lasttoken", "lasttoken")])
def test_the_export_says_what_the_source_said(shards: Path, tmp_path: Path, mode: str, tokens: str) -> None:
    source = sentence_encoder(tmp_path / "source", shards, "Transformer", "Pooling", "Normalize", mode=mode, prompt="b5 ")
    metrics = run(tmp_path, source, shards)
    model = tmp_path / "model"
    for name in (
        "modules.json",
        "1_Pooling/config.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "config.json",
    ):
        assert (model / name).read_bytes() == (source / name).read_bytes(), name
    before, after = saved(source), saved(model)
    assert before.keys() == after.keys(), "no head is added, the pooler stays"
    for name in ("pooler.dense.weight", "pooler.dense.bias"):
        assert torch.equal(before[name], after[name])
    assert not torch.equal(before["encoder.layer.0.output.dense.weight"], after["encoder.layer.0.output.dense.weight"])
    assert metrics["pooling"].endswith("of layer 3")
    assert json.loads((tmp_path / "pooling.json").read_text()) == {
        "layers": [3],
        "tokens": tokens,
        "origin": "modules.json",
        "accuracies": {},
    }


def test_what_was_trained_is_what_users_get(shards: Path, tmp_path: Path) -> None:
    """Prompt, maximum length and pooling: mlctl's vectors are those of sentence-transformers."""
    from mlctl.evaluation.embedding.sentence_embeddings import embed
    from mlctl.modeling.encoders import load_encoder, load_tokenizer

    source = sentence_encoder(tmp_path / "source", shards, "Transformer", "Pooling", prompt="b5 ")
    run(tmp_path, source, shards)
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu", local_files_only=True)
    assert (theirs.max_seq_length, theirs.default_prompt_name) == (12, "query")
    config = read_sentence_config(tmp_path / "model")
    assert config
    encoder, tokenizer = load_encoder(tmp_path / "model"), load_tokenizer(tmp_path / "model")
    ours = embed(encoder, tokenizer, [config.prompt + text for text in TEXTS], [config.pooling], 2, config.max_length)[0]
    torch.testing.assert_close(torch.from_numpy(theirs.encode(TEXTS)), ours, atol=1e-5, rtol=1e-4)


def test_the_first_token_is_what_is_trained(shards: Path, tmp_path: Path) -> None:
    """Other pooling, other gradients: with `layers: last` the same encoder becomes another one."""
    source = sentence_encoder(tmp_path / "source", shards, "Transformer", "Pooling")
    run(tmp_path / "cls", source, shards, objective="sentence")
    run(tmp_path / "mean", source, shards, objective="sentence", layers="last")
    cls, mean = (saved(tmp_path / name / "model")["encoder.layer.2.output.dense.weight"] for name in ("cls", "mean"))
    assert not torch.allclose(cls, mean, atol=1e-3)
    modules = [
        entry["type"].rpartition(".")[2] for entry in json.loads((tmp_path / "mean" / "model" / "modules.json").read_text())
    ]
    assert modules == ["Transformer", "Pooling"]


def test_other_layers_keep_prompt_length_and_normalisation(shards: Path, tmp_path: Path) -> None:
    source = sentence_encoder(tmp_path / "source", shards, "Transformer", "Pooling", "Normalize", prompt="b5 ")
    run(tmp_path, source, shards, layers="first-and-last")
    theirs = SentenceTransformer(str(tmp_path / "model"), device="cpu", local_files_only=True)
    assert [type(module).__name__ for module in theirs] == ["Transformer", "WeightedLayerPooling", "Pooling", "Normalize"]
    assert (theirs.max_seq_length, theirs.prompts["query"], theirs.default_prompt_name) == (12, "b5 ", "query")
    config = read_sentence_config(tmp_path / "model")
    assert config
    assert (config.pooling, config.prompt, config.max_length, config.normalize) == (Pooling((1, 3)), "b5 ", 12, True)


def test_a_module_that_cannot_be_reproduced(shards: Path, tmp_path: Path) -> None:
    source = sentence_encoder(tmp_path / "source", shards, "Transformer", "Pooling", "Dense")
    with pytest.raises(InputError, match=r"sentence_transformers\.models\.Dense"):
        run(tmp_path, source, shards)
    assert not (tmp_path / "model").exists()
    run(tmp_path, source, shards, layers="last")
    assert "Dense" not in (tmp_path / "model" / "modules.json").read_text(), (
        "a Dense layer that was not trained with would do harm"
    )


def test_a_bare_encoder_is_pooled_from_its_last_layer(shards: Path, tmp_path: Path) -> None:
    run(tmp_path, bert(tmp_path / "source", shards), shards)
    assert json.loads((tmp_path / "pooling.json").read_text())["origin"] == "last layer"
    assert json.loads((tmp_path / "model" / "config.json").read_text())["architectures"] == ["BertModel"]


def test_a_masked_language_model_is_searched_on_training_pairs(shards: Path, tmp_path: Path) -> None:
    source = bert(tmp_path / "source", shards, BertForMaskedLM)
    run(tmp_path / "one", source, shards)
    choice = json.loads((tmp_path / "one" / "pooling.json").read_text())
    assert choice["origin"] == "search"
    assert list(choice["accuracies"]) == [
        "mean over the tokens of layers 1 + 3",
        "mean over the tokens of layer 3",
        "mean over the tokens of layer 2",
        "mean over the tokens of layer 1",
        "first token of layer 3",
    ]
    config = read_sentence_config(tmp_path / "one" / "model")
    assert config
    assert config.pooling == Pooling(tuple(choice["layers"]), choice["tokens"])
    run(tmp_path / "two", source, shards)
    assert (tmp_path / "one" / "pooling.json").read_bytes() == (tmp_path / "two" / "pooling.json").read_bytes()
    assert saved(source).keys() == saved(tmp_path / "one" / "model").keys(), (
        "the head that it had stays, though it was not trained"
    )


def test_the_search_finds_the_layer_that_knows_translations() -> None:
    from types import SimpleNamespace

    from mlctl.modeling.dev_set import DevPairs
    from mlctl.modeling.pooling_choice import search_pooling

    def encoder(input_ids: torch.Tensor, attention_mask: torch.Tensor, output_hidden_states: bool) -> Any:
        torch.manual_seed(int(input_ids.sum()))
        noise = [torch.randn(*input_ids.shape, 8) for _ in range(4)]
        meaning = torch.nn.functional.one_hot(input_ids % 8, 8).float()  # a word and its translation differ by 8
        return SimpleNamespace(hidden_states=[noise[0], noise[1], meaning, noise[3]])

    stub: Any = encoder
    stub.config, stub.device = SimpleNamespace(num_hidden_layers=3), torch.device("cpu")
    sentences = [[n, n, (n + 1 + n // 4) % 8] for n in range(8)]
    pairs = DevPairs("x", sentences, [[w + 8 for w in ids] for ids in sentences], torch.arange(8)[:, None].repeat(1, 2))
    best, accuracies = search_pooling(stub, 0, [pairs])
    assert best == Pooling((2,))
    assert accuracies["mean over the tokens of layer 2"] == 1.0


@pytest.mark.parametrize("legacy", [False, True])
def test_weights_that_were_not_trained_stay(shards: Path, tmp_path: Path, legacy: bool) -> None:
    """mBERT's file: a pooler, two heads, a stored copy of the embeddings, and old names of LayerNorm."""
    source = bert(tmp_path / "source", shards, BertForPreTraining)
    weights = saved(source)
    weights["cls.predictions.decoder.weight"] = weights["bert.embeddings.word_embeddings.weight"].clone()
    if legacy:
        old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        weights = {
            name.replace(*next(((a, b) for a, b in old.items() if a in name), ("", ""))): value for name, value in weights.items()
        }
    save_file(weights, source / "model.safetensors", metadata={"format": "pt"})
    for name, mlm_weight in (("without", 0), ("with", 0.1)):
        run(tmp_path / name, source, shards, mlm_weight=mlm_weight)
        after = saved(tmp_path / name / "model")
        assert "cls.predictions.decoder.weight" not in after, "the embeddings have changed: a copy would no longer be tied"
        assert not [key for key in after if "gamma" in key]
        for key in ("bert.pooler.dense.weight", "cls.seq_relationship.weight"):
            assert torch.equal(weights[key], after[key])
        head = "cls.predictions.transform.dense.weight"
        assert torch.equal(weights[head], after[head]) is (mlm_weight == 0)
        pooled = AutoModel.from_pretrained(tmp_path / name / "model")
        assert torch.equal(pooled.pooler.dense.weight, weights["bert.pooler.dense.weight"])
        masked = BertForMaskedLM.from_pretrained(tmp_path / name / "model")
        assert torch.equal(masked.cls.predictions.decoder.weight, after["bert.embeddings.word_embeddings.weight"])


def test_a_trained_head_is_added_to_a_bare_encoder(shards: Path, tmp_path: Path) -> None:
    source = bert(tmp_path / "source", shards)
    run(tmp_path, source, shards, mlm_weight=0.1)
    assert json.loads((tmp_path / "model" / "config.json").read_text())["architectures"] == ["BertForMaskedLM"]
    model, loading = BertForMaskedLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not loading["missing_keys"]
    assert torch.equal(AutoModel.from_pretrained(tmp_path / "model").pooler.dense.weight, saved(source)["pooler.dense.weight"])
    assert model.cls.predictions.bias.abs().sum() > 0, "it was trained"


def test_half_precision_stays(shards: Path, tmp_path: Path) -> None:
    source = bert(tmp_path / "source", shards)
    save_file(
        {name: value.half() for name, value in saved(source).items()}, source / "model.safetensors", metadata={"format": "pt"}
    )
    run(tmp_path, source, shards)
    assert {value.dtype for value in saved(tmp_path / "model").values()} == {torch.float16}


def test_from_scratch_no_untrained_head_is_exported(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    settings = Train(steps=2, batch_size=8, threads=1, devices="cpu", mlm_weight=0, trackers=())
    train(settings, toy_model, 0, shards, Workspace(tmp_path))
    assert json.loads((tmp_path / "pooling.json").read_text())["layers"] == [1, 2]
    for name in ("base", "model"):
        assert not [key for key in saved(tmp_path / name) if key.startswith("cls.")]


def test_the_start_decides_where_training_goes_on_from(shards: Path, tmp_path: Path) -> None:
    source = bert(tmp_path / "source", shards, BertForMaskedLM)
    run(tmp_path / "first", source, shards, layers=[2])
    settings = Train(steps=2, batch_size=8, threads=1, devices="cpu", mlm_weight=0, trackers=())
    model = Model(name=str(source), start=str(tmp_path / "first" / "model"))
    train(settings, model, 0, shards, Workspace(tmp_path / "second"))
    choice = json.loads((tmp_path / "second" / "pooling.json").read_text())
    assert (choice["layers"], choice["origin"]) == ([2], "modules.json")
