"""The paper's experiment in miniature: its recipe as it is, on stand-ins of OPUS, mBERT and XTREME in the same formats."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
import tiny
import yaml
from transformers import BertConfig, BertForMaskedLM, BertTokenizer
from webserver import Server

from mlctl import recipes
from mlctl.cli.main import main
from storage import Store

TEXT = tiny.sentences()
TARGETS = {"fr": (1, "French", "fra"), "de": (2, "German", "deu")}
SMALL = {"examples": 32, "epochs": 1, "batch_size": 16}
FINE_TUNED = ("xnli", "pawsx", "udpos", "panx")


@pytest.fixture(scope="module")
def opus() -> Iterator[Any]:
    """A server with the release that the recipe names."""
    with Server() as server:
        for target, (column, *_) in TARGETS.items():
            names = "-".join(sorted(("en", target)))
            with zipfile.ZipFile(out := io.BytesIO(), "w") as archive:
                archive.writestr(f"UNPC.{names}.en", "".join(row[0] + "\n" for row in TEXT))
                archive.writestr(f"UNPC.{names}.{target}", "".join(row[column] + "\n" for row in TEXT))
            server.files[f"/files/OPUS-UNPC/v1.0/moses/{names}.txt.zip"] = out.getvalue()
        yield server


def encoder(folder: Path) -> Path:
    """A BERT with the files of bert-base-multilingual-cased, of two small layers."""
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_words()]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(vocabulary)}, do_lower_case=False)
    tokenizer.save_pretrained(folder)
    geometry = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertForMaskedLM(BertConfig(vocab_size=len(vocabulary), **geometry)).save_pretrained(folder)
    return folder


def _words() -> list[str]:
    pieces = {piece for row in TEXT for side in row for piece in side.replace(".", " .").replace("'", " ' ").split()}
    return sorted(pieces)


class Hub:
    """A data set in the hub's format, subset by subset."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._configs = folder, list[dict[str, Any]]()

    def put(self, subset: str, **splits: datasets.Dataset) -> None:
        (self.folder / subset).mkdir(parents=True)
        for split, rows in splits.items():
            rows.to_parquet(self.folder / subset / f"{split}.parquet")
        files = [{"split": split, "path": f"{subset}/{split}.parquet"} for split in splits]
        self._configs.append({"config_name": subset, "data_files": files})
        (self.folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': self._configs})}---\n")


def xtreme(folder: Path) -> Hub:
    hub, sides = Hub(folder), {"en": (0, "English", "eng"), **TARGETS}
    labels = [("contradiction", "entailment", "neutral")[n % 3] for n in range(60)]
    nli = [
        {"language": code, "sentence1": TEXT[n][column], "sentence2": TEXT[n + n % 3][column], "gold_label": labels[n]}
        for code, (column, *_) in sides.items()
        for n in range(60)
    ]
    hub.put("XNLI", validation=datasets.Dataset.from_list(nli), test=datasets.Dataset.from_list(nli))
    for code, (column, name, _) in sides.items():
        pairs = {"sentence1": [row[column] for row in TEXT[:40]], "sentence2": [row[column] for row in TEXT[1:41]]}
        rows = datasets.Dataset.from_dict({**pairs, "label": ["0", "1"] * 20})
        hub.put(f"PAWS-X.{code}", train=rows, validation=rows, test=rows)
        for subset, column_name, tags in (
            (f"PAN-X.{code}", "ner_tags", ["O", "B-PER", "I-PER"]),
            (f"udpos.{name}", "pos_tags", ["DET", "NOUN", "VERB"]),
        ):
            tagged = tagged_rows([row[column].rstrip(".").split() for row in TEXT[:40]], column_name, tags)
            hub.put(subset, train=tagged, validation=tagged, test=tagged)
    for column, _, code in TARGETS.values():
        columns = {"source_sentence": [row[column] for row in TEXT[:50]], "target_sentence": [row[0] for row in TEXT[:50]]}
        rows = datasets.Dataset.from_dict({**columns, "source_lang": [code] * 50, "target_lang": ["eng"] * 50})
        hub.put(f"tatoeba.{code}", validation=rows)
    return hub


def tagged_rows(sentences: list[list[str]], column: str, tags: list[str]) -> datasets.Dataset:
    kinds = {
        "tokens": datasets.Sequence(datasets.Value("string")),
        column: datasets.Sequence(datasets.ClassLabel(names=tags)),
    }
    rows = {"tokens": sentences, column: [[place % len(tags) for place in range(len(words))] for words in sentences]}
    return datasets.Dataset.from_dict(rows, features=datasets.Features(kinds))


def bucc(folder: Path) -> Path:
    folder.mkdir()
    for number, name in enumerate(("dev", "test")):
        rows = TEXT[60 * number : 60 * number + 60]
        for code, column in (("fr", 1), ("en", 0)):
            text = "".join(f"{code}-{n:09}\t{row[column]}\n" for n, row in enumerate(rows))
            (folder / f"fr-en.{name}.{code}").write_text(text, encoding="utf-8")
        (folder / f"fr-en.{name}.gold").write_text("".join(f"fr-{n:09}\ten-{n:09}\n" for n in range(0, 60, 2)))
    return folder


def moved(entry: dict[str, Any], hub: Path, mined: Path, multinli: Path) -> dict[str, Any]:
    """Return an entry of the recipe that reads the stand-ins."""
    source = entry["source"] | ({"path": str(mined)} if entry["name"] == "bucc" else {"dataset": str(hub)})
    less = SMALL if entry["name"] in FINE_TUNED else {}
    return {**entry, **less, "source": source, **({"train": str(multinli)} if entry["name"] == "xnli" else {})}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, opus: Any, server: str) -> Path:
    """A folder with the recipe over the ready one, and all that it names."""
    place = tmp_path_factory.mktemp("paper")
    hub, mined, multinli = xtreme(place / "xtreme"), bucc(place / "bucc"), Hub(place / "multinli")
    kinds = {"premise": datasets.Value("string"), "hypothesis": datasets.Value("string")}
    labels = datasets.ClassLabel(names=["entailment", "neutral", "contradiction"])
    rows = {"premise": [row[0] for row in TEXT[:60]], "hypothesis": [row[0] for row in TEXT[1:61]], "label": [0, 1, 2] * 20}
    multinli.put("default", train=datasets.Dataset.from_dict(rows, features=datasets.Features({**kinds, "label": labels})))
    entries = yaml.safe_load(recipes.find("paper").read_text())["evaluate"]["benchmarks"]
    benchmarks = [moved(entry, hub.folder, mined, multinli.folder) for entry in entries]
    changes = {
        "base": str(recipes.find("paper")),
        "store": str(place / "store"),
        "languages": {"targets": list(TARGETS)},
        "download": {"opus_files": opus.url("/files"), "opus_api": opus.url("/api/"), "lock": str(place / "corpora.lock")},
        "clean": {"max_pairs": 200},
        "align": {"workers": 1},
        "shard": {"max_length": 32, "heldout_pairs": 20, "stop_words": 3},
        "model": {"name": str(encoder(place / "mbert"))},
        "train": {"steps": 6, "batch_size": 8, "threads": 1, "devices": "cpu"},
        "evaluate": {"seeds": [0], "benchmarks": benchmarks, "embedding_map_sentences": 3, "device": "cpu", "resamples": 100},
        "report": {"projection": "pca"},
    }
    (place / "paper.yaml").write_text(yaml.safe_dump(changes), encoding="utf-8")
    return place


@pytest.mark.slow
def test_the_recipe_comes_to_figures_of_all_six_tasks(folder: Path) -> None:
    assert main(["run", str(folder / "paper.yaml")]) == 0
    results = {result.manifest.stage: result.folder for result in Store(folder / "store").results()}
    funnel = pq.read_table(results["clean"] / "funnel.parquet").to_pylist()
    assert {row["language"]: row["rows_out"] for row in funnel if row["rule"] == "over the limit"} == {"fr": 200, "de": 200}
    averages = pq.read_table(results["evaluate"] / "averages.parquet").to_pylist()
    assert {row["task"] for row in averages} == {*FINE_TUNED, "tatoeba", "bucc", "sentence-retrieval", "word-retrieval"}
    scores = pq.read_table(results["evaluate"] / "scores.parquet").to_pylist()
    judged = {(row["model"], row["task"], row["language"], row["seed"]) for row in scores if row["task"] in FINE_TUNED}
    assert judged == {
        (model, task, language, 0) for model in ("base", "trained") for task in FINE_TUNED for language in ("en", "fr", "de")
    }
    shards = results["shard"]
    trained = {
        row[side]
        for file in (shards / "train").iterdir()
        for row in pq.read_table(file).to_pylist()
        for side in ("source", "target")
    }
    assert trained
    assert not trained & {side for row in TEXT[:120] for side in row}, "no text of a benchmark is trained on"
    kept_out = json.loads((shards / "decontamination.json").read_text())["sets"]
    assert [one["name"] for one in kept_out] == ["XNLI", "PAWS-X", "UDPOS", "PAN-X (WikiANN)", "Tatoeba", "BUCC 2018"]
    protocol = json.loads((results["evaluate"] / "protocol.json").read_text())
    assert "trained" in str(protocol)


def test_what_is_missing_is_said_before_anything_is_computed(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wanted = f"store={folder / 'other'}", "evaluate.benchmarks=[{name: bucc, source: {kind: folder, path: gone}}]"
    assert main(["run", str(folder / "paper.yaml"), *wanted]) != 0
    assert "no folder 'gone'" in capfd.readouterr().err
    assert not list(Store(folder / "other").results())
