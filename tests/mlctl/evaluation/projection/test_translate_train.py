"""The mode translate-train in the stage: English labels reach the words of a language that no English example has."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import forked
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlctl import schema
from mlctl.config import Evaluate, Languages, Model
from mlctl.config.evaluate import TranslateTrain
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.evaluation import ScoreCache, evaluate
from mlctl.evaluation.finetuning.examples import TaggedSentence
from mlctl.evaluation.projection.label_projection import WordTag
from mlctl.evaluation.projection.projected_examples import project, read_examples, read_pairs
from mlctl.evaluation.projection.training_sample import sample_digests, write_samples

from ..conftest import FIRST, VOCABULARY, entry, save_tokenizer, settings

Rows = Callable[[str], list[dict[str, Any]]]
Write = Callable[[dict[str, list[dict[str, Any]]]], Path]
LANGUAGES = Languages(source="en", targets=("fr", "de"))
#: English has the first half of the words, French the second; a word's tag is that of its number's last bit.
HALF, TAGS = 32, ("NOUN", "VERB")


def english(number: int) -> list[int]:
    return [(5 * number + 3 * place + number // HALF) % HALF for place in range(3 + number % 4)]


def text(numbers: Sequence[int], shift: int = 0) -> list[str]:
    return [*(VOCABULARY[FIRST + shift + word] for word in numbers), "."]


def tagged(numbers: Sequence[int], shift: int = 0) -> list[str]:
    tags = [*(TAGS[word % 2] for word in numbers), "PUNCT"]
    return [*(f"{word}\t{tag}" for word, tag in zip(text(numbers, shift), tags, strict=True)), ""]


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    folder = tmp_path / "udpos"
    folder.mkdir()
    for name, numbers, shift in (
        ("train-en", range(40), 0),
        ("dev-en", range(8), 0),
        ("test-en", range(40, 60), 0),
        ("test-fr", range(40, 60), HALF),
        ("test-zh", range(4), HALF),
    ):
        lines = [line for number in numbers for line in tagged(english(number), shift)]
        (folder / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def spans(words: Sequence[str]) -> list[dict[str, int]]:
    starts = [sum(len(word) + 1 for word in words[:place]) for place in range(len(words))]
    return [{"start": start, "end": start + len(word)} for start, word in zip(starts, words, strict=True)]


def aligned_row(number: int) -> dict[str, Any]:
    """A pair whose French side has the words in the opposite order."""
    numbers = english(number)
    source, target = text(numbers), text(numbers[::-1], HALF)
    last = len(numbers)
    linked = [*((place, last - 1 - place) for place in range(last)), (last, last)]
    return {
        "source_language": "en",
        "target_language": "fr",
        "source": " ".join(source),
        "target": " ".join(target),
        **dict.fromkeys(("corpus", "version", "licence", "origin", "synthetic"), ""),
        "source_words": spans(source),
        "target_words": spans(target),
        "links": [{"source": one, "target": other} for one, other in linked],
        "confidences": [0.95] * len(linked),
    }


@pytest.fixture
def results(write_sharded: Write, copied_rows: Rows, trained: Path, tmp_path: Path) -> Path:
    """Results of shard, train and align: of 60 aligned pairs, 50 are training text."""
    for name in ("base", "model"):
        save_tokenizer(trained / name)
    sharded = write_sharded({"fr": copied_rows("fr")})
    pairs = [aligned_row(number) for number in range(100, 160)]
    (tmp_path / "aligned/pairs").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(pairs, schema=schema.ALIGNED), tmp_path / "aligned/pairs/fr.parquet")
    (sharded / "train").mkdir()
    rows = [{**copied_rows("fr")[0], "source": pair["source"], "target": pair["target"]} for pair in pairs[:50]]
    for part in range(2):
        pq.write_table(pa.Table.from_pylist(rows[part::2], schema=schema.SHARD), sharded / f"train/{part:05}.parquet")
    return tmp_path


def quick(folder: Path, **more: Any) -> Evaluate:
    learning = {"epochs": 12, "batch_size": 4, "learning_rate": 3e-3, "translate_train": {"sentences": 40}}
    return settings(
        entry("udpos", folder, **learning), **{"seeds": (3, 1), "resamples": 100, "embedding_map_sentences": 0, **more}
    )


def run(root: Path, evaluate_settings: Evaluate, out: str = "out", languages: Languages = LANGUAGES) -> Path:
    folder = root / out
    evaluate(
        evaluate_settings,
        Model(),
        languages,
        0,
        root / "sharded",
        root / "trained",
        Workspace(folder),
        score_cache=ScoreCache(root / f"parts-{out}"),
        aligned=root / "aligned",
    )
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.*") if path.is_file()}


@pytest.mark.slow
def test_projected_labels_teach_what_english_examples_cannot(results: Path, benchmark: Path) -> None:
    out = run(results, quick(benchmark))
    assert pq.read_schema(out / "translate_train.parquet") == schema.TRANSLATE_TRAIN
    modes = pq.read_table(out / "translate_train.parquet").to_pylist()
    assert [(row["model"], row["language"]) for row in modes] == [
        (model, language) for model in ("base", "trained") for language in (None, "en", "fr")
    ]
    french = next(row for row in modes if row["model"] == "trained" and row["language"] == "fr")
    assert french["translate_train"] > 0.9
    assert french["zero_shot"] < 0.7
    assert french["significant"]
    assert french["seeds"] == 2
    averages = {row["task"]: row for row in pq.read_table(out / "averages.parquet").to_pylist()}
    assert averages["udpos-translate-train"]["trained"] == french["translate_train"]
    assert averages["udpos"]["languages"] == 2, "zero-shot is evaluated in all languages"
    listed = {one["metadata"]["task"]: one for one in json.loads((out / "protocol.json").read_text())["benchmarks"]}
    assert listed["udpos-translate-train"]["languages"] == ["en", "fr"]
    assert listed["udpos-translate-train"]["metadata"]["zero_shot_task"] == "udpos"


@pytest.mark.slow
def test_examples_are_made_of_training_text_alone_by_the_base_model(results: Path, benchmark: Path) -> None:
    run(results, quick(benchmark))
    (file,) = (results / "parts-out").glob("udpos-projected-*.folder/examples.parquet")
    examples = read_examples(file)
    training = {aligned_row(number)["target"] for number in range(100, 150)}
    assert len(examples) > 10
    assert {" ".join(example.words) for example in examples} <= training
    right = [
        tag == TAGS[(VOCABULARY.index(word) - FIRST) % 2]
        for one in examples
        for word, tag in zip(*one, strict=True)
        if tag and word != "."
    ]
    assert sum(right) / len(right) > 0.9


def test_text_of_english_examples_keeps_its_own_labels(results: Path) -> None:
    workspace = Workspace(results / "work")
    known = TaggedSentence(tuple(text(english(110))), tuple("X" * len(text(english(110)))))
    write_samples(results / "sharded", results / "aligned", ("fr", "de"), {" ".join(known.words)}, 5, workspace)
    assert list(sample_digests(workspace, ("fr", "de"))) == ["fr"]
    pairs = read_pairs(workspace.path("aligned-sample/fr.parquet"))
    assert len(pairs) == 6
    assert pairs[0].source_words == list(known.words), "it comes first"
    asked: list[list[str]] = []

    def tagger(sentences: Sequence[Sequence[str]]) -> list[list[WordTag]]:
        asked.extend(map(list, sentences))
        return [[WordTag("NOUN", 1.0)] * len(words) for words in sentences]

    projected = project(pairs, [known], tagger, False, TranslateTrain(sentences=3))
    assert len(projected) == 3
    assert set(projected[0].tags) == {"X"}
    assert {tag for example in projected[1:] for tag in example.tags} == {"NOUN"}
    assert list(known.words) not in asked


def test_other_settings_or_other_text_are_another_fine_tuned_model(results: Path, benchmark: Path) -> None:
    few, rounds = {"sentences": 5}, list[int]()
    text = results / "aligned/pairs/fr.parquet"
    for mode in ({"sentences": 40}, few, few, None):
        if mode is None:  # the same pairs, with other confidences
            rows = [{**row, "confidences": [0.9] * len(row["confidences"])} for row in pq.read_table(text).to_pylist()]
            pq.write_table(pa.Table.from_pylist(rows, schema=schema.ALIGNED), text)
        quickly = {"epochs": 1, "batch_size": 8, "learning_rate": 3e-3, "translate_train": mode or few}
        run(results, settings(entry("udpos", benchmark, **quickly), seeds=(0,), resamples=100, embedding_map_sentences=0))
        shutil.rmtree(results / "out")
        rounds.append(len(list((results / "parts-out").glob("udpos-translate-train-model-*.folder"))))
    assert rounds == [2, 4, 4, 6], "of two encoders"
    assert len(list((results / "parts-out").glob("udpos-model-*.folder"))) == 2


@pytest.mark.slow
def test_workers_make_the_same_bytes_and_a_second_run_computes_nothing(
    results: Path, benchmark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = quick(benchmark, seeds=(0,))
    expected = contents(run(results, chosen))
    before = {path: path.stat().st_ino for path in (results / "parts-out").iterdir()}
    (results / "out/translate_train.parquet").unlink()
    assert contents(run(results, chosen)) == expected
    assert {path: path.stat().st_ino for path in (results / "parts-out").iterdir()} == before
    monkeypatch.setattr("mlctl.evaluation.placement._MAX_COST_IN_PROCESS", -1)
    assert contents(run(results, chosen.model_copy(update={"workers": 2}), "workers")) == expected


KILLED_BEFORE = ("examples.parquet", "translate_train.parquet")


@pytest.mark.parametrize("name", KILLED_BEFORE)
@pytest.mark.slow
def test_killed_it_resumes_to_the_same_bytes(results: Path, benchmark: Path, name: str) -> None:
    chosen = quick(benchmark, seeds=(0,))
    expected = contents(run(results, chosen))
    program = f"""
import os, signal, sys
from pathlib import Path
import pyarrow.parquet as pq
from mlctl.config import Evaluate, Languages, Model
from mlctl.core.workspace import Workspace
from mlctl.evaluation import ScoreCache, evaluate
write = pq.write_table
def dying(table, where, **options):
    write(table, where, **options)
    if {name!r} in str(where):
        os.kill(os.getpid(), signal.SIGKILL)
pq.write_table = dying
root = Path({str(results)!r})
evaluate(Evaluate.model_validate_json({chosen.model_dump_json()!r}), Model(), Languages(source="en", targets=("fr", "de")), 0, root / "sharded",
    root / "trained", Workspace(root / "killed"), score_cache=ScoreCache(root / "parts-killed"), aligned=root / "aligned")
"""
    assert forked.run_script(program) == -signal.SIGKILL
    assert contents(run(results, chosen, "killed")) == expected


def test_without_training_text_in_its_languages_there_is_one_clear_error(results: Path, benchmark: Path) -> None:
    (benchmark / "test-fr.tsv").unlink()
    with pytest.raises(InputError, match="no aligned training pairs in any of its languages"):
        run(results, quick(benchmark))
    with pytest.raises(InputError, match="carries English labels over"):
        run(results, quick(benchmark), languages=Languages(source="de", targets=("fr",)))
