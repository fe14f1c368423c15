"""`mlctl export` with a vocabulary of some languages, as ONNX, with eight bits, and to a hub."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_encoders
from hub_uploads import serve_uploads
from huggingface_hub import ModelCard
from tiny_encoders import ENGLISH, FRENCH, GERMAN

from mlctl import schema
from mlctl.cli.main import main
from mlctl.config import parse
from mlctl.core.hashing import file_digest
from mlctl.core.workspace import Workspace
from mlctl.modeling.sentence_encoder import SentenceEncoder
from mlctl.pipeline import run_log
from storage import Draft, Store

CARD = "---\nlicense: mit\nlanguage:\n- en\n- fr\n- de\nbase_model: lab/whole\n---\n\n# Whole\n\nIts own text.\n"
STAGES = ("clean", "train", "report")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An XLM-R with a card, and text beside it."""
    folder = tiny_encoders.save(tmp_path_factory.mktemp("encoder") / "whole", tiny_encoders.xlmr)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    for language, texts in (("de", GERMAN), ("fr", FRENCH)):
        (folder.parent / f"text.{language}").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def exported(encoder: Path) -> Path:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("torch", minversion="2.13")  # as the extra onnx: the lowest versions of all else have an older one
    out = encoder.parent / "out"
    command = ["export", str(out), f"--model={encoder}", "--languages=de,fr", f"--text={encoder.parent}/text.{{language}}"]
    assert main([*command, "--onnx", "--int8"]) == 0
    return out


def record(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "mlctl.json").read_text(encoding="utf-8"))
    return content


def test_the_program_of_the_card_makes_the_vectors_of_the_encoder(exported: Path, encoder: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", (exported / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    texts = [GERMAN[0], FRENCH[1], GERMAN[2]]
    program = program.replace('"path/of/this/folder"', repr(str(exported))).replace('["A sentence.", "Une phrase."]', repr(texts))
    expected = SentenceEncoder(encoder, "cpu").encode(texts)
    vectors = {}
    for name in ("model.onnx", "model_int8.onnx"):
        names: dict[str, Any] = {}
        exec(program.replace("model_int8.onnx", name), names)  # noqa: S102
        vectors[name] = names["embeddings"]
    np.testing.assert_allclose(vectors["model.onnx"], expected, atol=1e-5)
    cosines = (vectors["model_int8.onnx"] * expected).sum(1)
    assert (cosines > 0.95).all()
    assert not np.allclose(vectors["model_int8.onnx"], expected, atol=1e-4), "eight bits round"
    assert np.abs(expected @ expected.T).min() < 0.9, "these texts have different vectors"


def test_the_record_has_sizes_and_cosines_and_every_file(exported: Path, encoder: Path) -> None:
    found = record(exported)
    files = {file.relative_to(exported).as_posix(): file for file in exported.rglob("*") if file.is_file()}
    assert found["files"] == {name: file_digest(file) for name, file in files.items() if name != "mlctl.json"}
    fp32, int8 = found["onnx"]
    assert (fp32["name"], int8["name"]) == ("onnx/model.onnx", "onnx/model_int8.onnx")
    assert fp32["bytes"] == files[fp32["name"]].stat().st_size
    assert fp32["bytes"] - int8["bytes"] > 0.4 * files["model.safetensors"].stat().st_size
    for name in (fp32["name"], int8["name"]):
        assert b".py" not in files[name].read_bytes(), "no traces of this machine"
    assert fp32["least"] > 0.99999
    assert 0.9 < int8["least"] <= int8["mean"] < 1.0
    assert fp32["sentences"] == int8["sentences"] == 200, "of both languages"
    assert found["vocabulary"]["sentences"] == {"de": len(set(GERMAN)), "fr": len(set(FRENCH))}
    assert found["vocabulary"]["tokens"][1] < found["vocabulary"]["tokens"][0]


def test_the_card_keeps_its_text_and_tells_what_was_changed(exported: Path) -> None:
    card = ModelCard.load(exported / "README.md")
    assert (card.data.license, card.data.base_model) == ("mit", "lab/whole")
    assert card.data.language == ["de", "fr"]
    assert "onnx" in card.data.tags
    found = record(exported)
    assert "Its own text." in card.text
    assert "Reduced to German, French" in card.text
    assert f"| `onnx/model_int8.onnx` | {found['onnx'][1]['bytes'] / 1e6:.1f} MB | {found['onnx'][1]['mean']:.4f} |" in card.text


def test_a_second_export_replaces_the_first_and_an_error_leaves_it(exported: Path, encoder: Path, capfd: Any) -> None:
    before = record(exported)
    assert (
        main(["export", str(exported), f"--model={encoder}", "--languages=sw", f"--text={encoder.parent}/text.{{language}}"]) == 1
    )
    assert "text.sw cannot be read" in capfd.readouterr().err
    assert record(exported) == before
    assert not [path.name for path in exported.parent.iterdir() if path.name.startswith(".part")]
    again = encoder.parent / "again"
    for options in ([], ["--languages=de", f"--text={encoder.parent}/text.de"]):
        assert main(["export", str(again), f"--model={encoder}", *options]) == 0
        assert ("vocabulary" in record(again)) is bool(options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--text=x"], "--text is read for --languages, --onnx and --int8 alone"),
        (["--model=x", "--run=y"], "--model names an encoder, --run, --recipe and --store one of a run"),
        (["--model={encoder}", "--languages=de"], "--model: there is no text to count tokens on"),
        (["--model={encoder}", "--languages=de,fr", "--text=x"], "--text x: the language of the file is not known"),
        (["--model={encoder}", "--languages=quatsch"], "unknown language 'quatsch'"),
        (["--model=no/such folder"], "--model: there is no folder 'no/such folder'"),
    ],
)
def test_wrong_options(options: list[str], message: str, encoder: Path, tmp_path: Path, capfd: Any) -> None:
    assert main(["export", str(tmp_path / "out"), *(option.format(encoder=encoder) for option in options)]) == 1
    assert message in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def store(encoder: Path, tmp_path: Path) -> Store:
    """A store as a run leaves it: clean text and a trained model."""
    store, keys = Store(tmp_path / "store"), {stage: f"{number}" * 24 for number, stage in enumerate(STAGES)}
    pairs = [
        {"source_language": "en", "target_language": "de", "source": english, "target": german, "corpus": "c", "version": "1",
         "licence": "CC0-1.0", "origin": str(number), "synthetic": ""}
        for number, (english, german) in enumerate(zip(ENGLISH, GERMAN, strict=True))
    ]  # fmt: skip
    figures = {"benchmark": [], "means": [], "protocol": {"benchmarks": []}}
    texts = {"README.md": CARD, "ATTRIBUTION.md": "a", "figures.json": json.dumps(figures)}
    for number, stage in enumerate(STAGES):
        with store.building(stage, keys[stage]) as draft:
            assert isinstance(draft, Draft)
            workspace = Workspace(draft.folder)
            if stage == "clean":
                with workspace.part("pairs/de.parquet") as path:
                    pq.write_table(pa.Table.from_pylist(pairs, schema.PAIR), path)
            files = {f"model/{file.relative_to(encoder)}": file.read_bytes() for file in encoder.rglob("*") if file.is_file()}
            content = files if stage == "train" else {name: text.encode() for name, text in texts.items() if stage == "report"}
            for name, data in content.items():
                with workspace.part(name) as path:
                    path.write_bytes(data)
            draft.seal({}, {earlier: keys[earlier] for earlier in STAGES[:number]}, {}, {})
    recipe = parse({"name": "x", "store": str(store.root), "languages": {"targets": ["de"]}})
    with run_log.record_run("pipeline", recipe):
        for stage, key in keys.items():
            with run_log.record_stage(stage, key) as one:
                one.state = "computed"
    return store


def test_the_vocabulary_of_a_run_is_that_of_its_text_and_the_hub_takes_it(
    store: Store, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    out = tmp_path / "out"
    command = ["export", str(out), f"--store={store.root}", "--languages=en,de", "--push=us/model"]
    with serve_uploads(monkeypatch) as hub:
        assert main(command) == 0
    printed = capfd.readouterr().out
    assert f"de: {len(set(GERMAN))} sentences are split as before" in printed
    assert "hub:    us/model" in printed
    assert {name for name in hub.files if name != "mlctl.json"} == set(record(out)["files"])
    assert hub.files["model.safetensors"] == (out / "model.safetensors").read_bytes()
    assert hub.commits == [f"run {run_log.latest().id}"]
    assert hub.cards == [(out / "README.md").read_text(encoding="utf-8")], "the hub has checked the header"
    vectors = [SentenceEncoder(folder, "cpu").encode([*ENGLISH, *GERMAN]) for folder in (encoder, out)]
    assert np.abs(vectors[0] - vectors[1]).max() <= 1e-6
    assert main(["export", str(tmp_path / "fr"), f"--store={store.root}", "--languages=fr"]) == 1
    assert "the run has no text in fr, only in de, en" in capfd.readouterr().err


def test_a_hub_that_refuses_leaves_the_folder(encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert main(["export", str(tmp_path / "out"), f"--model={encoder}", "--push=us/model"]) == 1
    assert "cannot be published as hf://us/model" in capfd.readouterr().err
    assert (tmp_path / "out" / "model.safetensors").is_file()
