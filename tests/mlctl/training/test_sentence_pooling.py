"""Encoders that say how their sentence vectors are made: trained a few steps, exported, and read by sentence-transformers itself."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_encoders import publish_with_dense
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, BertConfig, BertForMaskedLM, BertForPreTraining, BertModel

from mlctl.config import Model, Train
from mlctl.core.hashing import tree_digest
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.modeling.sentence_config import Pooling, read_sentence_config
from mlctl.training import train

MODULES = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize", "CNN": "2_CNN"}
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


def run(folder: Path, source: Path, shards: Path, progress: Progress = silent, **changes: Any) -> dict[str, Any]:
    settings = {
        "steps": 3,
        "batch_size": 8,
        "learning_rate": 1e-2,
        "threads": 1,
        "devices": "cpu",
        "mlm_weight": 0,
        "trackers": [],
    }
    model = Model(name=str(source), allow_pickle=changes.pop("allow_pickle", False))
    return train(Train.model_validate({**settings, **changes}), model, 0, shards, Workspace(folder), progress)


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
    from mlctl.modeling.encoders import load_encoder, load_tokenizer
    from mlctl.modeling.sentence_embeddings import embed

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
    source = sentence_encoder(tmp_path / "source", shards, "Transformer", "Pooling", "CNN")
    with pytest.raises(InputError, match=r"sentence_transformers\.models\.CNN"):
        run(tmp_path, source, shards)
    assert not (tmp_path / "model").exists()
    run(tmp_path, source, shards, layers="last")
    assert "CNN" not in (tmp_path / "model" / "modules.json").read_text(), "what was not trained with would do harm"


DENSE_KINDS = [("cls_token", 16, True, False), ("mean_tokens", 6, False, False), ("cls_token", 6, True, True)]


@pytest.mark.parametrize(("mode", "target", "normalize", "pickled"), DENSE_KINDS)
def test_dense_stays_and_the_encoder_in_front_of_it_is_trained(
    shards: Path, tmp_path: Path, mode: str, target: int, normalize: bool, pickled: bool
) -> None:
    """LaBSE and distiluse: what is exported makes the vectors that mlctl evaluates, and Dense is as it was published."""
    from mlctl.evaluation.embedding.token_embeddings import encode
    from mlctl.modeling.encoders import load_encoder, load_tokenizer
    from mlctl.modeling.sentence_module_layers import load_sentence_modules

    source = bert(tmp_path / "source", shards)
    published = publish_with_dense(source, 16, target, mode, normalize, pickled)
    metrics = run(tmp_path, source, shards, allow_pickle=pickled)
    model = tmp_path / "model"
    assert metrics["pooling"].endswith(f"of layer 3, then Dense 16→{target} (Tanh)")
    kept = ["modules.json", "1_Pooling/config.json", "2_Dense/config.json"]
    for name in [*kept, *([] if pickled else ["2_Dense/model.safetensors"])]:
        assert (model / name).read_bytes() == (source / name).read_bytes(), name
    exported = load_file(model / "2_Dense" / "model.safetensors")
    assert all(torch.equal(exported[name], value) for name, value in published.items())
    assert not list(model.rglob("*.bin"))
    before, after = (saved(folder)["encoder.layer.2.output.dense.weight"] for folder in (source, model))
    assert not torch.equal(before, after)
    config = read_sentence_config(model)
    assert config
    tokenizer = load_tokenizer(model)
    modules = load_sentence_modules(model, config.pooling, 16)
    (ours, _) = encode(load_encoder(model), tokenizer(TEXTS)["input_ids"], (), 2, config.pooling, modules)
    theirs = torch.from_numpy(SentenceTransformer(str(model), device="cpu", local_files_only=True).encode(TEXTS))
    torch.testing.assert_close(torch.nn.functional.normalize(ours) if normalize else ours, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("objective", ["sentence", "joint", "separate"])
def test_the_loss_is_that_of_the_vectors_behind_dense(shards: Path, tmp_path: Path, objective: str) -> None:
    """By an own formula in float64: other weights of Dense, other gradients; words are the states of their tokens."""
    from mlctl.config import resolve_train
    from mlctl.modeling.encoders import load_encoder
    from mlctl.modeling.sentence_module_layers import load_sentence_modules
    from mlctl.training.collator import Collator
    from mlctl.training.contrastive_objectives import Pooled
    from mlctl.training.dataset import ShardReader
    from mlctl.training.objective import Objective
    from mlctl.training.sampler import Sampler

    source = bert(tmp_path / "source", shards)
    dense = {name: value.double() for name, value in publish_with_dense(source, 16, 6, "mean_tokens").items()}
    config = read_sentence_config(source)
    assert config
    settings = resolve_train(
        Train(objective=objective, batch_size=6, mlm_weight=0, word_pairs=2, temperature=0.1, anchor_weight=0), "sentence-encoder"
    )
    modules = load_sentence_modules(source, config.pooling, 16)
    whole = Objective(load_encoder(source), settings, 0, config.pooling, modules).double().eval()
    reader = ShardReader(shards)
    batch = Collator(settings, 0, 0, None).collate(reader.read(Sampler(reader.shard_rows, 6, 0).batch(0)), 0, 0)
    loss = whole(batch).contrastive

    sentences, words = [], []
    for micro_batch in batch.micro_batches:
        lengths = micro_batch.packing.mask.sum(1).tolist()
        states = torch.cat([whole.model(ids[None]).last_hidden_state[0] for ids in micro_batch.input_ids.split(lengths)])
        mean = torch.stack([sentence.mean(0) for sentence in states.split(lengths)])
        sentences.append(torch.tanh(mean @ dense["linear.weight"].T + dense["linear.bias"]))
        words += [word.mean(0) for word in states[micro_batch.words.tokens].split(micro_batch.words.lengths.tolist())]
    source_side, target_side = torch.cat(sentences)[batch.sequence_positions].chunk(2)
    ordered = torch.stack(words)[batch.word_positions] if words else torch.zeros(0, 16).double()
    first, second = ordered.chunk(2)
    expected = whole.contrastive(Pooled((source_side, target_side), (first, second)), batch)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-10)
    assert not [name for name, weight in whole.named_parameters() if "sentence_modules" in name and weight.requires_grad]
    loss.backward()
    gradient = whole.model.encoder.layer[2].output.dense.weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


class StoppedError(Exception):
    """Ends a training at some step, as a kill does."""


@pytest.mark.parametrize("cache_gradients", [False, True])
def test_a_training_through_dense_goes_on_to_the_same_bytes(shards: Path, tmp_path: Path, cache_gradients: bool) -> None:
    source = bert(tmp_path / "source", shards)
    publish_with_dense(source, 16, 6, normalize=True)
    settings = {
        "steps": 6,
        "objective": "joint",
        "checkpoint_seconds": 0.001,
        "cache_gradients": cache_gradients,
        "micro_batch_tokens": 30,
    }

    def interrupt(done: int, *_: Any, **__: Any) -> None:
        if done == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        run(tmp_path / "cut", source, shards, interrupt, **settings)
    for name in ("cut", "straight"):
        run(tmp_path / name, source, shards, **settings)
    cut, straight = (tree_digest(tmp_path / name / "model") for name in ("cut", "straight"))
    assert cut == straight
    run(tmp_path / "other", source, shards, **{**settings, "cache_gradients": not cache_gradients})
    one, other = (pq.read_table(tmp_path / name / "steps.parquet")["loss"].to_pylist() for name in ("cut", "other"))
    assert one == pytest.approx(other, rel=1e-3)


def test_the_start_of_a_training_brings_its_dense(shards: Path, tmp_path: Path) -> None:
    source, start = bert(tmp_path / "source", shards), bert(tmp_path / "start", shards)
    publish_with_dense(start, 16, 6, normalize=True)
    settings = Train(steps=2, batch_size=8, threads=1, devices="cpu", mlm_weight=0, trackers=())
    train(settings, Model(name=str(source), start=str(start)), 0, shards, Workspace(tmp_path / "out"))
    for name in ("modules.json", "2_Dense/model.safetensors"):
        assert (tmp_path / "out" / "model" / name).read_bytes() == (start / name).read_bytes()


def test_explicit_layers_leave_dense_out_and_keep_the_rest(shards: Path, tmp_path: Path) -> None:
    source = sentence_encoder(tmp_path / "source", shards, "Transformer", "Pooling", prompt="b5 ")
    publish_with_dense(source, 16, 6, normalize=True)
    run(tmp_path, source, shards, layers="last")
    config = read_sentence_config(tmp_path / "model")
    assert config
    assert (config.pooling, config.prompt, config.max_length, config.normalize) == (Pooling((3,)), "b5 ", 12, True)
    assert not (tmp_path / "model" / "2_Dense").exists()
    (source / "2_Dense" / "model.safetensors").write_bytes(b"x")
    with pytest.raises(InputError, match="damaged or truncated"):
        run(tmp_path / "damaged", source, shards, layers="last")
    assert not (tmp_path / "damaged" / "pooling.json").exists(), "found before training, not when its result is written"


def test_pickled_weights_of_dense_are_refused_before_training(shards: Path, tmp_path: Path) -> None:
    source = bert(tmp_path / "source", shards)
    publish_with_dense(source, 16, 6, pickled=True)
    with pytest.raises(InputError, match="2_Dense: its weights are a pickle"):
        run(tmp_path, source, shards)
    run(tmp_path, source, shards, layers="last")
    assert not (tmp_path / "model" / "2_Dense").exists()


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
