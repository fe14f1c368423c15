"""XNLI, PAWS-X, UDPOS and PAN-X from file to figure, on a tiny encoder."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from seqeval.metrics import f1_score

from mlctl.config import Evaluate
from mlctl.errors import InputError
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.evaluation.tasks.finetuned import FineTunedTask
from mlctl.evaluation.tasks.registry import open_task

from ..conftest import entry, settings, words

Make = Callable[[Evaluate], ModelUnderTest]
QUICK = {"epochs": 2, "batch_size": 4, "learning_rate": 3e-3}


def put(file: Path, lines: Sequence[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(line + "\n" for line in lines).encode()
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)


def pawsx(folder: Path) -> Path:
    rows = [f"{words(n)}\t{words(n + n % 2)}\t{1 - n % 2}" for n in range(12)]
    put(folder / "train-en.tsv", rows)
    put(folder / "dev-en.tsv.gz", rows[:4])
    for language in ("de", "zh"):
        put(folder / f"test-{language}.tsv", [row.rpartition("\t")[0] for row in rows])
        put(folder / "labels" / f"test-{language}.tsv", [*(row.rpartition("\t")[2] for row in rows[1:]), "-1"])
    return folder


def panx(folder: Path) -> Path:
    lines = [line for n in range(6) for line in (f"{words(n)[:3]}\tB-PER", f"{words(n + 1)[:3]}\tI-PER", ".\tO", "")]
    for name in ("train-en.tsv", "dev-en.tsv", "dev-sw.tsv.gz"):
        put(folder / name, lines)
    return folder


def test_languages_that_xtreme_does_not_have_are_judged_where_they_are_named(tmp_path: Path) -> None:
    put(panx(tmp_path / "n") / "dev-gn.tsv", ["Asuncion\tB-LOC", ""])
    assert list(open_task(settings(entry("panx", tmp_path / "n")).benchmarks[0]).languages) == ["en", "sw"]
    assert list(open_task(settings(entry("panx", tmp_path / "n", languages=["gn"])).benchmarks[0]).languages) == ["gn"]


@pytest.mark.parametrize("name", ["dev-en.tsv", "dev-en.tsv.gz"])
def test_training_examples_are_named_with_or_without_gz(tmp_path: Path, name: str) -> None:
    for train in ("dev-en.tsv", "dev-en.tsv.gz"):
        folder = tmp_path / train
        put(folder / name, ["Asuncion\tB-LOC", ""])
        task = open_task(settings(entry("panx", folder, train=train)).benchmarks[0])
        assert isinstance(task, FineTunedTask)
        assert [example.words for example in task.english_examples()[:5]] == [("Asuncion",)]


def test_one_model_a_seed_judges_every_language(make_model: Make, tmp_path: Path) -> None:
    evaluate_settings = settings(entry("pawsx", pawsx(tmp_path / "p"), **QUICK))
    task, model, messages = open_task(evaluate_settings.benchmarks[0]), make_model(evaluate_settings), list[str]()
    model.on_progress = messages.append
    assert list(task.languages) == ["de", "en", "zh"]
    assert task.metadata.fine_tuned
    (german,), (chinese,), (other,) = (
        task.evaluate(model, language, seed) for language, seed in (("de", 0), ("zh", 0), ("zh", 1))
    )
    assert messages == [f"pawsx, seed {seed}, {step} of 6 steps" for seed in (0, 1) for step in range(1, 7)]
    assert german.part.tolist() == chinese.part.tolist()
    assert len(german.items) == len(other.items) == 11  # the row labelled -1 is left out
    assert german.direction == "en→de"
    assert german.metrics["accuracy"] == pytest.approx(german.part.mean())


@pytest.mark.parametrize("task", ["pawsx", "panx"])
def test_the_recipes_precision_is_that_of_learning_and_answering(make_model: Make, tmp_path: Path, task: str) -> None:
    folder = pawsx(tmp_path / "b") if task == "pawsx" else panx(tmp_path / "b")
    kinds: dict[bool, set[torch.dtype]] = {}

    def states(module: torch.nn.Module, _: object, output: object) -> None:
        if isinstance(module, torch.nn.Linear) and isinstance(output, torch.Tensor):
            kinds.setdefault(module.training, set()).add(output.dtype)

    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        evaluate_settings = settings(entry(task, folder, **QUICK), precision=precision)
        kinds.clear()
        with torch.nn.modules.module.register_module_forward_hook(states):
            open_task(evaluate_settings.benchmarks[0]).evaluate(make_model(evaluate_settings), "en", 0)
        assert kinds == {True: {dtype}, False: {dtype}}


def test_what_is_longer_than_the_encoder_has_positions_for_is_cut(make_model: Make, tmp_path: Path) -> None:
    long = words(*range(40))  # of 32 positions, three are special tokens
    for name in ("train-en", "test-de"):
        put(tmp_path / "p" / f"{name}.tsv", [f"{long}\t{long}\t{n % 2}" for n in range(4)])
        put(tmp_path / "n" / f"{name}.tsv", [*(f"{word}\tB-PER" for word in long.split()), ""])
    for name, folder in (("pawsx", "p"), ("panx", "n")):
        evaluate_settings = settings(entry(name, tmp_path / folder, **QUICK))
        (scores,) = open_task(evaluate_settings.benchmarks[0]).evaluate(make_model(evaluate_settings), "de", 0)
        assert len(scores.items) == (4 if name == "pawsx" else 1)


def test_tags_are_scored_as_seqeval_does_and_dev_is_judged_where_there_is_no_test(make_model: Make, tmp_path: Path) -> None:
    evaluate_settings = settings(entry("panx", panx(tmp_path / "n"), **QUICK))
    task, model = open_task(evaluate_settings.benchmarks[0]), make_model(evaluate_settings)
    (scores,) = task.evaluate(model, "sw", 3)
    examples = task._sets.test("sw").examples  # type: ignore[attr-defined]
    answers = task.predict(task._classifier(model, 3), task.rows(examples, model), len(examples), model)  # type: ignore[attr-defined]
    named = [[list(task.labels)[tag] for tag in tags] for tags in answers]  # type: ignore[attr-defined]
    assert scores.metrics["f1"] == pytest.approx(f1_score([list(example.tags) for example in examples], named, zero_division=0))
    assert scores.notes == {"evaluated_on": "dev-sw.tsv.gz"}
    assert len(scores.items) == 6


def test_a_number_of_test_examples_is_spread_over_dev_and_test_sets(make_model: Make, tmp_path: Path) -> None:
    evaluate_settings = settings(entry("panx", panx(tmp_path / "n"), test_examples=3, **QUICK))
    task = open_task(evaluate_settings.benchmarks[0])
    put(tmp_path / "n" / "dev-sw.tsv.gz", [line for n in range(6) for line in (f"{n}\tO", "")])
    assert task.texts("sw") == ["0", "2", "4"]
    assert len(task.texts("en")) == 6  # three of the test set, three of dev
    (scores,) = task.evaluate(make_model(evaluate_settings), "sw", 0)
    assert len(scores.items) == 3
    assert len(task.english_examples()) == 6


def test_learned_from_dev_itself_the_last_epoch_counts(make_model: Make, tmp_path: Path) -> None:
    evaluate_settings = settings(entry("panx", panx(tmp_path / "n"), train="dev-en.tsv", **QUICK))
    task = open_task(evaluate_settings.benchmarks[0])
    assert len(task.evaluate(make_model(evaluate_settings), "sw", 0)) == 1
    (file,) = (tmp_path / "parts").glob("panx-model-*.folder/learned.json")
    assert '"epoch": 2' in file.read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [({"train": "train-fr.tsv"}, "no train-fr.tsv in"), ({"languages": ["fr"]}, "no data for fr in")],
)
def test_files_that_are_not_there(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    evaluate_settings = settings(entry("panx", panx(tmp_path / "n"), **change))
    with pytest.raises(InputError, match=message):
        open_task(evaluate_settings.benchmarks[0])


def test_a_tag_that_the_benchmark_has_not(make_model: Make, tmp_path: Path) -> None:
    put(panx(tmp_path / "n") / "train-en.tsv", ["x\tB-DOG"])
    evaluate_settings = settings(entry("panx", tmp_path / "n", **QUICK))
    with pytest.raises(InputError, match=r"train-en.tsv, line \d+ has tags that PAN-X .* does not have: 'B-DOG'"):
        open_task(evaluate_settings.benchmarks[0]).evaluate(make_model(evaluate_settings), "sw", 0)


def hub(folder: Path, subset: str, splits: dict[str, Any]) -> None:
    for split, rows in splits.items():
        (folder / subset).mkdir(parents=True, exist_ok=True)
        rows.to_parquet(folder / subset / f"{split}.parquet")
    files = [f"  - split: {split}\n    path: {subset}/{split}.parquet\n" for split in splits]
    readme = folder / "README.md"
    head = readme.read_text().removesuffix("---\n") if readme.exists() else "---\nconfigs:\n"
    readme.write_text(f"{head}- config_name: {subset}\n  data_files:\n{''.join(files)}---\n")


def test_tags_in_the_hubs_format_are_numbers_with_names(make_model: Make, tmp_path: Path) -> None:
    import datasets

    names = ["O", "B-PER", "I-PER"]
    features = datasets.Features(
        {"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": datasets.Sequence(datasets.ClassLabel(names=names))}
    )
    sentences = [(words(n)[:3], words(n + 1)[:3], ".") for n in range(6)]
    rows = datasets.Dataset.from_dict({"tokens": sentences, "ner_tags": [(1, 2, 0)] * 6}, features=features)
    hub(tmp_path / "hub", "PAN-X.en", {"train": rows, "validation": rows})
    hub(tmp_path / "hub", "PAN-X.sw", {"test": rows})
    evaluate_settings = settings(entry("panx", panx(tmp_path / "n"), **QUICK))
    (expected,) = open_task(evaluate_settings.benchmarks[0]).evaluate(make_model(evaluate_settings), "sw", 0)
    hub_entry = {"name": "panx", "source": {"kind": "huggingface", "dataset": str(tmp_path / "hub")}, **QUICK}
    task = open_task(settings(hub_entry).benchmarks[0])
    assert task.languages == ["en", "sw"]
    (scores,) = task.evaluate(make_model(settings(hub_entry)), "sw", 0)
    assert (scores.metrics, scores.part.tolist()) == (expected.metrics, expected.part.tolist())
    assert scores.notes == {"evaluated_on": "PAN-X.sw, test"}
    assert task.data_digest("sw") != task.data_digest("en")


def test_xnli_in_the_hubs_format_learns_from_another_data_set(make_model: Make, tmp_path: Path) -> None:
    import datasets

    names = ["entailment", "neutral", "contradiction"]
    texts = {"premise": [words(n) for n in range(9)], "hypothesis": [words(n + n % 3) for n in range(9)]}
    kinds = {**dict.fromkeys(texts, datasets.Value("string")), "label": datasets.ClassLabel(names=names)}
    multinli = datasets.Dataset.from_dict({**texts, "label": [n % 3 for n in range(8)] + [-1]}, features=datasets.Features(kinds))
    hub(tmp_path / "multi", "default", {"train": multinli})
    labels = [names[n % 3] for n in range(9)]
    columns = {"sentence1": texts["premise"] * 2, "sentence2": texts["hypothesis"] * 2, "gold_label": labels + labels[::-1]}
    xnli = datasets.Dataset.from_dict({"language": ["en"] * 9 + ["sw"] * 9, **columns})
    hub(tmp_path / "hub", "XNLI", {"validation": xnli, "test": xnli})
    source = {"kind": "huggingface", "dataset": str(tmp_path / "hub")}
    evaluate_settings = settings({"name": "xnli", "source": source, "train": str(tmp_path / "multi"), **QUICK})
    task = open_task(evaluate_settings.benchmarks[0])
    (english,), (swahili,) = (task.evaluate(make_model(evaluate_settings), language, 0) for language in ("en", "sw"))
    assert len(english.items) == len(swahili.items) == 9
    training_examples = task._sets.train()  # type: ignore[attr-defined]
    assert [(pair.first, pair.label) for pair in training_examples] == [
        (words(n), names[n % 3]) for n in range(8)
    ]  # -1: the row has no label
    assert [pair.label for pair in task._sets.test("sw").examples] == labels[::-1]  # type: ignore[attr-defined]


def test_a_data_set_without_the_benchmark(tmp_path: Path) -> None:
    import datasets

    hub(tmp_path / "hub", "other", {"test": datasets.Dataset.from_dict({"x": [1]})})
    with pytest.raises(InputError, match=r"no subset udpos.English or en in"):
        open_task(settings({"name": "udpos", "source": {"kind": "huggingface", "dataset": str(tmp_path / "hub")}}).benchmarks[0])
