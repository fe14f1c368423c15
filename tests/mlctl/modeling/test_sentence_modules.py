"""Modules behind the pooling (Dense, LayerNorm, Normalize): the vectors are those of sentence-transformers, which reads the same folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_encoders import OLD, list_modules, publish_with_dense, put, write_dense, write_pooling
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling, WeightedLayerPooling
from torch import nn
from transformers import BertConfig, BertModel

from mlctl.config import Model
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.modeling.encoders import load_encoder, load_tokenizer
from mlctl.modeling.sentence_config import Pooling as OurPooling
from mlctl.modeling.sentence_config import describe_pooling, read_sentence_config, sentence_files
from mlctl.modeling.sentence_embeddings import embed
from mlctl.modeling.sentence_module_layers import load_sentence_modules
from mlctl.modeling.sentence_modules import UnsupportedModuleError
from mlctl.modeling.sentence_transformers_export import write_modules

TEXTS = ["a b c", "d", "e e a b d c a", "b a"]
HIDDEN = 8


@pytest.fixture(scope="module")
def plain(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder of three layers whose states differ much from layer to layer."""
    folder = tmp_path_factory.mktemp("plain")
    torch.manual_seed(2)
    sizes = {"hidden_size": HIDDEN, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=10, initializer_range=0.6, **sizes)).save_pretrained(folder)
    shutil.copytree(tokenizer_folder, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture
def encoder(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "encoder"))


def norm() -> LayerNorm:
    layer = LayerNorm(HIDDEN)
    nn.init.normal_(layer.norm.weight)
    nn.init.normal_(layer.norm.bias)
    return layer


def weighted() -> WeightedLayerPooling:
    return WeightedLayerPooling(HIDDEN, 3, 1, nn.Parameter(torch.tensor([2.0, 0.0, 3.0])))


def pooled(*modes: str) -> Pooling:
    return Pooling(HIDDEN, list(modes))  # type: ignore[arg-type]


CHAINS: dict[str, Callable[[], list[Any]]] = {
    "LaBSE": lambda: [pooled("cls"), Dense(8, 8), Normalize()],
    "distiluse": lambda: [pooled("mean"), Dense(8, 5)],
    "sentence-t5": lambda: [pooled("mean"), Dense(8, 6, bias=False, activation_function=nn.Identity()), Normalize()],
    "two Dense": lambda: [pooled("mean"), Dense(8, 20, bias=False, activation_function=nn.Identity()), Dense(20, 8)],
    "LayerNorm": lambda: [pooled("mean"), norm()],
    "scaled before Dense": lambda: [pooled("mean"), Normalize(), Dense(8, 4, activation_function=nn.GELU())],
    "residual": lambda: [pooled("mean"), Dense(8, 8, use_residual=True), Dense(8, 3, use_residual=True)],
    "Dropout": lambda: [pooled("lasttoken"), Dropout(0.5), Dense(8, 8), Dropout(0.5)],
    "concatenated": lambda: [pooled("mean", "cls", "mean_sqrt_len_tokens"), Dense(24, 8)],
    "concatenated alone": lambda: [pooled("weightedmean", "max")],
    "root of the length": lambda: [pooled("mean_sqrt_len_tokens"), Dense(8, 8)],
    "weighted layers": lambda: [weighted(), pooled("mean"), Dense(8, 8)],
    "LaBSE, two layers": lambda: [weighted(), pooled("cls"), Dense(8, 8), Normalize()],
}


def ours(folder: Path, allow_pickle: bool = False) -> torch.Tensor:
    config = read_sentence_config(folder, allow_pickle)
    assert config
    model, pooling = load_encoder(folder), config.pooling
    modules = load_sentence_modules(folder, pooling, HIDDEN)
    (vectors,) = embed(model, load_tokenizer(folder), TEXTS, [pooling], 2, config.max_length, modules)
    assert vectors.shape == (len(TEXTS), pooling.vector_size(HIDDEN))
    return torch.nn.functional.normalize(vectors) if config.normalize else vectors


def theirs(folder: Path) -> torch.Tensor:
    return torch.from_numpy(SentenceTransformer(str(folder), device="cpu", local_files_only=True).encode(TEXTS, batch_size=3))


@pytest.mark.parametrize("chain", CHAINS)
def test_the_vectors_are_those_of_sentence_transformers(encoder: Path, tmp_path: Path, chain: str) -> None:
    torch.manual_seed(4)
    config = {"output_hidden_states": True} if "layers" in chain else {}
    transformer = Transformer(str(encoder), config_kwargs=config)
    SentenceTransformer(modules=[transformer, *CHAINS[chain]()], device="cpu").save_pretrained(
        str(tmp_path / "saved"), create_model_card=False
    )
    torch.testing.assert_close(ours(tmp_path / "saved"), theirs(tmp_path / "saved"), atol=1e-5, rtol=1e-4)


def test_the_formula_of_labse(encoder: Path) -> None:
    """tanh(W·x + b) of the first token's last state, scaled to length 1, in float64."""
    weights = {name: value.double().numpy() for name, value in publish_with_dense(encoder, 8, 8, normalize=True).items()}
    states = load_encoder(encoder).double()(**load_tokenizer(encoder)(TEXTS[2], return_tensors="pt")).last_hidden_state
    vector = np.tanh(weights["linear.weight"] @ states[0, 0].detach().numpy() + weights["linear.bias"])
    np.testing.assert_allclose(ours(encoder)[2].numpy(), vector / np.linalg.norm(vector), atol=2e-6)


@pytest.mark.parametrize(
    "activation", ["torch.nn.modules.activation.Tanh", "torch.nn.modules.linear.Identity", "torch.nn.GELU", None]
)
def test_names_of_activations(encoder: Path, activation: str | None) -> None:
    publish_with_dense(encoder, 8, 5)
    config = json.loads((encoder / "2_Dense" / "config.json").read_text())
    config = (
        {**config, "activation_function": activation} if activation else {n: config[n] for n in ("in_features", "out_features")}
    )
    put(encoder / "2_Dense" / "config.json", config)
    torch.testing.assert_close(ours(encoder), theirs(encoder), atol=1e-5, rtol=1e-4)


def test_half_precision_weights(encoder: Path) -> None:
    weights = publish_with_dense(encoder, 8, 8)
    save_file({name: value.half() for name, value in weights.items()}, encoder / "2_Dense" / "model.safetensors")
    torch.testing.assert_close(ours(encoder), theirs(encoder), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "kind",
    [
        *("CNN", "LSTM", "WordWeights", "Asym", "Router", "SparseAutoEncoder", "SpladePooling"),
        "sentence_transformers.sentence_transformer.modules.cnn.CNN",
        "sentence_transformers.sentence_transformer.modules.lstm.LSTM",
        "sentence_transformers.base.modules.router.Router",
        "pylate.models.Dense.Dense",
        "mine.Dense",
    ],
)
def test_modules_that_are_refused_by_name(encoder: Path, kind: str) -> None:
    list_modules(encoder, ["Transformer", "Pooling", kind])
    with pytest.raises(
        UnsupportedModuleError, match=rf"cannot reproduce the module \S*{kind.rpartition('.')[2]} of modules\.json"
    ):
        read_sentence_config(encoder)


@pytest.mark.parametrize("kind", ["StaticEmbedding", "BoW", "WordEmbeddings", "CLIPModel", "Router"])
def test_a_folder_without_an_encoder_names_its_first_module(tmp_path: Path, kind: str) -> None:
    put(
        tmp_path / "modules.json", [{"path": f"0_{kind}", "type": f"{OLD}{kind}"}, {"path": "1_Pooling", "type": f"{OLD}Pooling"}]
    )
    with pytest.raises(UnsupportedModuleError, match=kind):
        model_sources.resolve(Model(name=str(tmp_path)))


@pytest.mark.parametrize(
    ("kinds", "named"),
    [
        (("Transformer", "Dense", "Pooling"), "Dense"),
        (("Transformer", "LayerNorm", "Pooling"), "LayerNorm"),
        (("Transformer", "Pooling", "Dense", "Pooling"), "Pooling"),
        (("Transformer", "Pooling", "WeightedLayerPooling"), "WeightedLayerPooling"),
    ],
)
def test_orders_that_are_refused(encoder: Path, kinds: tuple[str, ...], named: str) -> None:
    list_modules(encoder, kinds)
    with pytest.raises(UnsupportedModuleError, match=rf"models\.{named} of"):
        read_sentence_config(encoder)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"activation_function": "mine.Swish"}, "2_Dense with the activation mine.Swish"),
        ({"activation_function": "torch.nn.modules.activation.PReLU"}, "PReLU"),
        ({"activation_function": "torch.load"}, "torch.load"),
        ({"module_input_name": "token_embeddings"}, "2_Dense, which reads or writes token_embeddings"),
        ({"module_output_name": "colbert"}, "colbert"),
    ],
)
def test_forms_of_dense_that_are_refused(encoder: Path, config: dict[str, Any], named: str) -> None:
    publish_with_dense(encoder, 8, 5)
    write_dense(encoder / "2_Dense", 8, 5, **config)
    with pytest.raises(UnsupportedModuleError, match=named):
        read_sentence_config(encoder)


def test_vectors_of_tokens_that_are_scaled_are_refused(encoder: Path) -> None:
    _, pooling, normalize = list_modules(encoder, ["Transformer", "Pooling", "Normalize"])
    write_pooling(pooling, 8, "mean_tokens")
    put(normalize / "config.json", {"module_input_name": "token_embeddings"})
    with pytest.raises(UnsupportedModuleError, match="2_Normalize, which reads or writes token_embeddings"):
        read_sentence_config(encoder)


def damage(encoder: Path, kind: str) -> None:
    dense = encoder / "2_Dense"
    weights = load_file(dense / "model.safetensors")
    if kind == "truncated":
        (dense / "model.safetensors").write_bytes((dense / "model.safetensors").read_bytes()[:-3])
    elif kind == "no configuration":
        (dense / "config.json").unlink()
    elif kind == "no weights":
        (dense / "model.safetensors").unlink()
    elif kind == "no bias":
        save_file({"linear.weight": weights["linear.weight"]}, dense / "model.safetensors")
    elif kind == "NaN":
        save_file({**weights, "linear.bias": weights["linear.bias"] * torch.nan}, dense / "model.safetensors")
    else:
        put(dense / "config.json", {"in_features": kind, "out_features": 5})


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", r"2_Dense/model\.safetensors is damaged or truncated"),
        ("no configuration", r"2_Dense/config\.json cannot be used: modules\.json names it, but it is missing"),
        ("no weights", r"2_Dense/model\.safetensors is missing"),
        ("no bias", r"holds linear\.weight \[5, 8\], but its config\.json describes linear\.bias \[5\], linear\.weight \[5, 8\]"),
        ("NaN", r"2_Dense/model\.safetensors: linear\.bias has NaN"),
        ("8", r"2_Dense/config\.json cannot be used: in_features is '8'"),
    ],
)
def test_damage_is_named_with_its_file(encoder: Path, kind: str, message: str) -> None:
    publish_with_dense(encoder, 8, 5)
    damage(encoder, kind)
    with pytest.raises(InputError, match=message) as caught:
        ours(encoder)
    assert caught.value.remedy


def test_sizes_that_do_not_fit(encoder: Path) -> None:
    publish_with_dense(encoder, 9, 5)
    with pytest.raises(InputError, match="2_Dense reads vectors of 9 dimensions, but those of the pooling have 8"):
        ours(encoder)
    _, _, one, two = list_modules(encoder, ["Transformer", "Pooling", "Dense", "Dense"])
    for module, size in ((one, 8), (two, 6)):
        write_dense(module, size, 5)
    with pytest.raises(InputError, match="3_Dense cannot be used: it reads vectors of 6 dimensions, those before have 5"):
        read_sentence_config(encoder)


def test_a_pickle_is_read_only_where_it_is_allowed(encoder: Path, tmp_path: Path) -> None:
    publish_with_dense(encoder, 8, 5, pickled=True)
    with pytest.raises(UnsupportedModuleError, match="2_Dense: its weights are a pickle") as caught:
        read_sentence_config(encoder)
    assert "model.allow_pickle=true" in caught.value.remedy
    torch.testing.assert_close(ours(encoder, allow_pickle=True), theirs(encoder), atol=1e-5, rtol=1e-4)
    config = read_sentence_config(encoder, allow_pickle=True)
    assert config
    write_modules(tmp_path, 8, 3, 32, config.pooling, encoder, allow_pickle=True)
    assert sorted(path.name for path in (tmp_path / "2_Dense").iterdir()) == ["config.json", "model.safetensors"]
    shutil.copyfile(encoder / "config.json", tmp_path / "config.json")
    assert read_sentence_config(tmp_path) == config, "the same pooling, by the digest of its weights"


def test_a_pickle_that_runs_code_is_never_run(encoder: Path, tmp_path: Path) -> None:
    import os
    import pickle

    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    publish_with_dense(encoder, 8, 5, pickled=True)
    (encoder / "2_Dense" / "pytorch_model.bin").write_bytes(pickle.dumps({"linear.weight": Trap()}, protocol=2))
    with pytest.raises(InputError, match=r"2_Dense/pytorch_model\.bin cannot be used"):
        read_sentence_config(encoder, allow_pickle=True)
    assert not (tmp_path / "ran").exists()


def test_the_weights_are_part_of_the_key(encoder: Path) -> None:
    publish_with_dense(encoder, 8, 5)
    model = Model(name=str(encoder))
    before = model_sources.identity(model, "sentences")
    config = read_sentence_config(encoder)
    publish_with_dense(encoder, 8, 5, seed=1)
    assert model_sources.identity(model, "sentences") != before
    assert read_sentence_config(encoder) != config
    torch.save({}, encoder / "2_Dense" / "pytorch_model.bin")
    assert "2_Dense/pytorch_model.bin" not in sentence_files(encoder, allow_pickle=True), "not read beside safetensors"


def test_as_json_and_in_words(encoder: Path) -> None:
    publish_with_dense(encoder, 8, 5, normalize=True)
    config = read_sentence_config(encoder)
    assert config
    assert config.normalize
    assert OurPooling.from_json(json.loads(json.dumps(config.pooling.as_json()))) == config.pooling
    assert describe_pooling(config.pooling) == "first token of layer 3, then Dense 8→5 (Tanh)"
    several = OurPooling((3,), ("cls", "max"))
    assert OurPooling.from_json(json.loads(json.dumps(several.as_json()))) == several
    assert describe_pooling(several) == "first token + maximum over the tokens of layer 3"
