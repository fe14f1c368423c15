"""The base model is evaluated as it was published; beside it, where that is another thing, with the trained model's pooling."""

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

from mlctl.config import Evaluate, Languages, Model
from mlctl.core.workspace import Workspace
from mlctl.evaluation import evaluate
from mlctl.modeling.sentence_config import Pooling, read_sentence_config
from mlctl.modeling.sentence_transformers_export import write_modules

from .conftest import entry, save_encoder, save_tokenizer, sentences, settings

Rows = Callable[[str], list[dict[str, Any]]]
Write = Callable[[dict[str, list[dict[str, Any]]]], Path]


def put(folder: Path, name: str, value: Any) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(value), encoding="utf-8")


def spread(folder: Path, seed: int) -> None:
    """Change an encoder so that the first tokens of its sentences differ by more than rounding."""
    weights = load_file(folder / "model.safetensors")
    torch.manual_seed(seed)
    changed = {name: value + 0.3 * torch.randn_like(value) for name, value in weights.items()}
    save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})


class World:
    """Shards, a base model and a trained one with other weights, and Tatoeba in one language."""

    def __init__(self, folder: Path, sharded: Path) -> None:
        self.folder, self.sharded = folder, sharded
        self.base, self.trained = folder / "base", folder / "train"
        save_encoder(self.base, seed=1)
        spread(self.base, seed=5)
        save_tokenizer(self.base)
        save_encoder(self.trained / "model", seed=2)
        save_tokenizer(self.trained / "model")
        self.pool_trained(Pooling((1, 2)))
        data = folder / "tatoeba"
        data.mkdir()
        for side, shift in (("deu", 0), ("eng", 3)):
            (data / f"tatoeba.deu-eng.{side}").write_text("\n".join(sentences(24, shift)) + "\n", encoding="utf-8")
        self.data = data

    def pool_trained(self, pooling: Pooling, source: Path | None = None) -> None:
        shutil.rmtree(self.trained / "model" / "1_WeightedLayerPooling", ignore_errors=True)
        for name in ("1_Pooling", "2_Pooling"):
            shutil.rmtree(self.trained / "model" / name, ignore_errors=True)
        write_modules(self.trained / "model", 16, 2, 32, pooling, source)

    def publish(self, mode: str, prompt: str = "", length: int = 32, *more: str) -> None:
        """Let the base model say what sentence-transformers writes."""
        kinds = ["Transformer", "Pooling", *more]
        paths = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds[1:], 1))]
        entries = [
            {"path": path, "name": path or "0", "type": f"sentence_transformers.models.{kind}"}
            for path, kind in zip(paths, kinds, strict=True)
        ]
        put(self.base, "modules.json", entries)
        put(self.base, "1_Pooling/config.json", {"word_embedding_dimension": 16, "pooling_mode": mode})
        put(self.base, "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})
        put(
            self.base,
            "config_sentence_transformers.json",
            {"prompts": {"q": prompt}, "default_prompt_name": "q" if prompt else None},
        )

    def run(self, name: str = "out", **more: Any) -> Path:
        evaluate_settings: Evaluate = settings(entry("tatoeba", self.data), **{"resamples": 100, **more})
        languages = Languages(source="en", targets=("fr",))
        model = Model(name=str(self.base))
        evaluate(evaluate_settings, model, languages, 0, self.sharded, self.trained, Workspace(self.folder / name))
        return self.folder / name


@pytest.fixture
def world(tmp_path: Path, write_sharded: Write, copied_rows: Rows) -> World:
    return World(tmp_path, write_sharded({"fr": copied_rows("fr")}))


def models(out: Path, task: str = "tatoeba") -> dict[str, float]:
    return {row["model"]: row["value"] for row in pq.read_table(out / "scores.parquet").to_pylist() if row["task"] == task}


def protocol(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "protocol.json").read_text(encoding="utf-8"))
    return content


def published_accuracy(world: World, folder: Path) -> float:
    """The accuracy of the model in a folder as sentence-transformers itself computes it."""
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    german, english = ((world.data / f"tatoeba.deu-eng.{side}").read_text().splitlines() for side in ("deu", "eng"))
    nearest = (model.encode(german, normalize_embeddings=True) @ model.encode(english, normalize_embeddings=True).T).argmax(1)
    return sum(english[found] == english[row] for row, found in enumerate(nearest)) / len(nearest)


@pytest.mark.parametrize(("target", "normalize"), [(16, True), (5, False)])
def test_dense_behind_the_pooling_is_evaluated_in_all_columns(world: World, target: int, normalize: bool) -> None:
    """The encoder is trained, Dense stays: base and trained model are the vectors of sentence-transformers, and there is no third."""
    world.publish("cls")
    publish_with_dense(world.base, 16, target, "cls_token", normalize)
    published = read_sentence_config(world.base)
    assert published
    world.pool_trained(published.pooling, world.base)
    spread(world.trained / "model", seed=6)
    out = world.run()
    assert set(models(out)) == set(models(out, "sentence-retrieval")) == {"base", "trained"}
    assert models(out)["base"] == pytest.approx(published_accuracy(world, world.base))
    assert models(out)["trained"] == pytest.approx(published_accuracy(world, world.trained / "model"))
    assert protocol(out)["base"] == {"origin": "modules.json", "published": True, "problem": "", "same_pooling": "equal"}
    described = f"first token of layer 2, then Dense 16→{target} (Tanh)"
    assert {model["pooling"] for model in protocol(out)["models"].values()} == {described}


def test_other_weights_of_dense_are_another_pooling(world: World) -> None:
    """The trained model's Dense before the base model's encoder: a column of its own, and no score of one is taken for the other's."""
    publish_with_dense(world.base, 16, 6)
    world.pool_trained(Pooling((2,), "cls"))
    publish_with_dense(world.trained / "model", 16, 6, seed=7)
    out = world.run()
    assert set(models(out)) == {"base", "base-same-pooling", "trained"}
    assert models(out)["base"] == pytest.approx(published_accuracy(world, world.base))
    shutil.copytree(world.trained / "model" / "2_Dense", world.base / "2_Dense", dirs_exist_ok=True)
    assert models(out)["base-same-pooling"] == pytest.approx(published_accuracy(world, world.base))


def test_search_tries_dense_with_its_own_pooling_only(world: World) -> None:
    publish_with_dense(world.base, 16, 6)
    world.pool_trained(Pooling((2,), "cls"))
    publish_with_dense(world.trained / "model", 16, 6)
    search = protocol(world.run(pooling="search"))["models"]["trained"]["pooling_search"]["accuracies"]
    assert [name for name in search if "Dense" in name] == ["first token of layer 2, then Dense 16→6 (Tanh)"]
    assert len(search) == 5


@pytest.mark.parametrize(("mode", "prompt", "length"), [("cls", "", 32), ("mean", "wab wac ", 32), ("lasttoken", "", 5)])
def test_three_models_where_the_trained_one_is_pooled_otherwise(world: World, mode: str, prompt: str, length: int) -> None:
    world.publish(mode, prompt, length)
    out = world.run()
    scores = models(out)
    assert set(scores) == {"base", "base-same-pooling", "trained"}
    assert scores["base"] == pytest.approx(published_accuracy(world, world.base))
    (row,) = [row for row in pq.read_table(out / "differences.parquet").to_pylist() if row["task"] == "tatoeba"]
    assert (row["base"], row["trained"]) == (scores["base"], scores["trained"])
    assert row["difference"] == pytest.approx(scores["trained"] - scores["base"]), "the comparison is with the model as published"
    assert row["base_same_pooling"] == pytest.approx(scores["base-same-pooling"])
    assert protocol(out)["base"] == {"origin": "modules.json", "published": True, "problem": "", "same_pooling": "evaluated"}
    entries = protocol(out)["models"]
    assert (entries["base"]["prefix"], entries["base"]["max_length"]) == (prompt, length)
    assert entries["base-same-pooling"]["sentences"] == entries["trained"]["sentences"] == "mean over the tokens of layers 1 + 2"


def test_one_column_where_both_poolings_are_the_same(world: World) -> None:
    world.publish("cls")
    world.pool_trained(Pooling((2,), "cls"))
    out = world.run()
    assert set(models(out)) == set(models(out, "sentence-retrieval")) == {"base", "trained"}
    assert protocol(out)["base"]["same_pooling"] == "equal"
    assert all(row["base_same_pooling"] is None for row in pq.read_table(out / "averages.parquet").to_pylist())


def test_a_prompt_is_read_in_held_out_sentences_too(world: World) -> None:
    world.publish("mean")
    plain = models(world.run("plain", prefix=""), "sentence-retrieval")
    world.publish("mean", length=3)  # [CLS], one token, [SEP]
    cut = models(world.run("cut"), "sentence-retrieval")
    assert cut["base"] < plain["base"] == 1.0
    assert cut["trained"] == plain["trained"], "the trained model has its own limit"


def test_a_prefix_of_the_recipe_replaces_the_prompts(world: World) -> None:
    world.publish("mean", "wab ")
    entries = protocol(world.run(prefix="wad "))["models"]
    assert {model["prefix"] for model in entries.values()} == {"wad "}


def test_a_bare_encoder_is_its_last_layer(world: World) -> None:
    config = json.loads((world.base / "config.json").read_text())
    put(world.base, "config.json", {**config, "architectures": ["BertModel"]})
    out = world.run()
    assert protocol(out)["base"]["origin"] == "last layer"
    assert protocol(out)["models"]["base"]["sentences"] == "mean over the tokens of layer 2"
    assert set(models(out)) == {"base", "base-same-pooling", "trained"}


def test_a_masked_language_model_has_the_pooling_that_is_best_for_it(world: World, copied_rows: Rows) -> None:
    import pyarrow as pa

    from mlctl import schema

    (world.sharded / "train").mkdir()
    pq.write_table(pa.Table.from_pylist(copied_rows("fr"), schema=schema.SHARD), world.sharded / "train" / "00000.parquet")
    out = world.run("auto")
    assert protocol(out)["base"]["origin"] == "search"
    assert not protocol(out)["base"]["published"]
    same = world.run("set", pooling="trained")
    assert protocol(same)["base"]["origin"] == "trained", "the recipe sets one pooling for both models"
    assert set(models(same)) == {"base", "trained"}
    put(world.trained, "pooling.json", {"layers": [1, 2], "tokens": "mean", "origin": "search", "accuracies": {}})
    assert set(models(world.run("searched"))) == {"base", "trained"}, "training has searched it already"


def test_what_cannot_be_reproduced_is_not_judged_by_another_pooling_in_silence(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.publish("mean", "", 32, "CNN")
    out = world.run()
    base = protocol(out)["base"]
    assert (base["origin"], base["published"]) == ("trained", False)
    assert "sentence_transformers.models.CNN" in base["problem"]
    assert "not evaluated as it was published" in caplog.text
    assert set(models(out)) == {"base", "trained"}


def test_a_champion_is_compared_as_it_is_only(world: World) -> None:
    world.publish("cls")
    languages = Languages(source="en", targets=("fr",))
    arguments = (Model(), languages, 0, world.sharded, world.trained, Workspace(world.folder / "out"))
    evaluate(settings(entry("tatoeba", world.data), resamples=100), *arguments, base_encoder=world.base)
    assert set(models(world.folder / "out")) == {"base", "trained"}


def test_a_pooling_of_the_recipe_leaves_the_base_model_as_published(world: World) -> None:
    world.publish("cls")
    out = world.run(pooling="last")
    assert models(out)["base"] == pytest.approx(published_accuracy(world, world.base))
    poolings = {name: model["pooling"] for name, model in protocol(out)["models"].items()}
    last = "mean over the tokens of layer 2"
    assert poolings == {"base": "first token of layer 2", "base-same-pooling": last, "trained": last}
