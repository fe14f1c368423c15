"""SIB-200 and Belebele from published files to figures, on a tiny encoder that learns what is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from transformers import AutoTokenizer

from mlctl.config import Evaluate
from mlctl.errors import InputError
from mlctl.evaluation.finetuning.examples import Choices
from mlctl.evaluation.finetuning.features import collate, rows_of_choices
from mlctl.evaluation.finetuning.predict import predict_labels
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.evaluation.tasks.classification import ClassificationTask
from mlctl.evaluation.tasks.registry import open_task

from ..conftest import entry, settings, words
from . import published_sets as data
from .test_finetuned import hub

Make = Callable[[Evaluate], ModelUnderTest]
QUICK = {"epochs": 12, "batch_size": 8, "learning_rate": 5e-3}


def opened(name: str, folder: Path, **more: Any) -> ClassificationTask[Any]:
    task = open_task(settings(entry(name, folder, **{**QUICK, **more})).benchmarks[0])
    assert isinstance(task, ClassificationTask)
    return task


@pytest.mark.parametrize(("name", "write", "rate"), [("sib200", data.sib200, 1e-2), ("belebele", data.belebele, 5e-3)])
def test_what_is_learned_in_english_is_asked_in_every_language(
    make_model: Make, tmp_path: Path, name: str, write: Callable[[Path], Path], rate: float
) -> None:
    task = opened(name, write(tmp_path / "d"), learning_rate=rate)
    model = make_model(settings())
    assert list(task.languages) == ["de", "en", "zh"]
    (german,), (chinese,) = (task.evaluate(model, language, 0) for language in ("de", "zh"))
    assert german.metrics["accuracy"] > 0.65
    assert german.metrics["accuracy"] == pytest.approx(german.part.mean())
    assert german.part.tolist() == chinese.part.tolist()
    assert german.direction == "en→de"
    assert "deu_Latn" in german.notes["evaluated_on"]
    mixed = task.under("layer-mixture").evaluate(model, "de", 0)[0]
    assert mixed.task == f"{name}-layer-mixture"
    assert mixed.metrics["accuracy"] > 0.4


def test_the_dev_part_of_the_training_file_selects_the_epoch(tmp_path: Path) -> None:
    task = opened("belebele", data.belebele(tmp_path / "d"))
    dev = task._dev()
    assert dev is not None
    assert (len(task.english_examples()), len(dev)) == (64, 8)
    assert dev[0].passage.endswith('\n"second" line')
    passages = {data.asked(100 + n)["flores_passage"] for n in range(20)} | {example.passage for example in dev}
    questions = {data.asked(100 + n)["question"] for n in range(20)} | {example.question for example in dev}
    assert set(task.texts("en")) == passages | questions
    assert set(task.texts("de")) < set(task.texts("en"))


def test_topics_keep_their_quotation_marks(tmp_path: Path) -> None:
    task = opened("sib200", data.sib200(tmp_path / "d"))
    assert [example.text for example in task.english_examples()] == [row["text"] for row in data.topics(56)]
    assert task.texts("de") == [row["text"] for row in data.topics(21, 3)]


def test_each_choice_is_read_with_the_passage_and_the_question(make_model: Make, tmp_path: Path) -> None:
    model = make_model(settings())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "encoder")
    questions = [
        Choices(str(n), words(*range(n, n + 30)), words(n), tuple(words(*range(m)) for m in range(1, 5)), "2") for n in (1, 2)
    ]
    rows = rows_of_choices(questions, tokenizer, {"1": 0, "2": 1, "3": 2, "4": 3}, 24)
    batch = collate(rows, 0, "choice")
    assert batch.input_ids.shape == batch.attention_mask.shape == batch.token_type_ids.shape == (2, 4, 24)
    assert batch.labels.tolist() == [1, 1]
    for row, question in enumerate(questions):
        for place, answer in enumerate(question.answers):
            expected = tokenizer(question.passage, f"{question.question} {answer}", truncation="longest_first", max_length=24)
            kept = batch.attention_mask[row, place].bool()
            assert batch.input_ids[row, place][kept].tolist() == expected["input_ids"]
            assert batch.token_type_ids[row, place][kept].tolist() == expected["token_type_ids"]
            assert expected["input_ids"][-len(answer.split()) - 1 : -1] == tokenizer(answer)["input_ids"][1:-1], (
                "no answer is cut"
            )
    classifier = load_choice(model)
    logits = [[float(classifier(**one).logits) for one in choices_of(tokenizer, question)] for question in questions]
    best = [max(range(4), key=values.__getitem__) for values in logits]
    for batch_rows in (1, 4, 100):
        assert predict_labels(classifier, rows, 0, batch_rows, head="choice") == best


def load_choice(model: ModelUnderTest) -> Any:
    from mlctl.modeling.encoders import load_classifier

    return load_classifier(model.folder, 4, "choice", 0).eval()


def choices_of(tokenizer: Any, question: Choices) -> list[dict[str, torch.Tensor]]:
    """Each choice alone, as a question with one choice."""
    encoded = [
        tokenizer(
            question.passage, f"{question.question} {answer}", truncation="longest_first", max_length=24, return_tensors="pt"
        )
        for answer in question.answers
    ]
    return [{name: value[None] for name, value in one.items()} for one in encoded]


def test_sib200_in_the_hubs_format(make_model: Make, tmp_path: Path) -> None:
    folder = data.sib200(tmp_path / "d")

    def table(count: int, shift: int) -> Any:
        columns = datasets.Features(
            {
                "index_id": datasets.Value("int64"),
                "category": datasets.ClassLabel(names=sorted(data.TOPICS)),
                "text": datasets.Value("string"),
            }
        )
        return datasets.Dataset.from_list(data.topics(count, shift), features=columns)

    splits = {"train": table(56, 0), "validation": table(14, 5), "test": table(21, 3)}
    hub(tmp_path / "hub", "eng_Latn", splits)
    hub(tmp_path / "hub", "deu_Latn", {"test": splits["test"]})
    source = {"kind": "huggingface", "dataset": str(tmp_path / "hub")}
    task = open_task(settings({"name": "sib200", "source": source, **QUICK, "epochs": 1}).benchmarks[0])
    assert task.languages == ["de", "en"]
    (found,) = task.evaluate(make_model(settings()), "de", 0)
    (expected,) = opened("sib200", folder, epochs=1).evaluate(make_model(settings()), "de", 0)
    assert found.part.tolist() == expected.part.tolist()


def test_belebele_in_the_hubs_format_learns_from_race(make_model: Make, tmp_path: Path) -> None:
    for code in ("eng_Latn", "deu_Latn"):
        rows = [{**data.asked(100 + n), "dialect": code} for n in range(20)]
        hub(tmp_path / "hub", code, {"test": datasets.Dataset.from_list(rows)})

    def race(numbers: range) -> Any:
        asked = [data.asked(number) for number in numbers]
        rows = [
            {
                "example_id": "middle1.txt",
                "article": one["flores_passage"],
                "answer": "ABCD"[int(one["correct_answer_num"]) - 1],
                "question": one["question"],
                "options": [one[f"mc_answer{place}"] for place in range(1, 5)],
            }
            for one in asked
        ]
        return datasets.Dataset.from_list(rows)

    hub(tmp_path / "race", "all", {"train": race(range(64)), "validation": race(range(64, 72))})
    source = {"kind": "huggingface", "dataset": str(tmp_path / "hub")}
    own = {"name": "belebele", "source": source, "train": str(tmp_path / "race"), **QUICK, "epochs": 1}
    task = open_task(settings(own).benchmarks[0])
    assert isinstance(task, ClassificationTask)
    assert task.languages == ["de", "en"]
    assert (len(task.english_examples()), len(task._dev() or ())) == (64, 8)
    (found,) = task.evaluate(make_model(settings()), "de", 0)
    assert len(found.items) == 20
    assert found.notes == {"evaluated_on": "deu_Latn, test"}


@pytest.mark.parametrize("name", ["sib200", "belebele"])
def test_missing_training_files_are_named(tmp_path: Path, name: str) -> None:
    data.put(tmp_path / "d" / "x.txt", ["a"])
    expected = {"sib200": "eng_Latn/train.tsv", "belebele": "belebele_training_set.tsv"}[name]
    with pytest.raises(InputError, match=f"no {expected} in"):
        opened(name, tmp_path / "d")
    own = data.put(tmp_path / "d" / "own.tsv", ["a"])
    with pytest.raises(InputError, match="no test sets in"):
        opened(name, tmp_path / "d", train=own.name)
