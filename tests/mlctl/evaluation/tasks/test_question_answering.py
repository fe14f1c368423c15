"""XQuAD, MLQA and TyDiQA from published files to figures, on a tiny encoder that learns what a question asks for."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlctl.config import Evaluate
from mlctl.errors import InputError
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.evaluation.tasks.question_answering import QuestionAnsweringTask
from mlctl.evaluation.tasks.registry import open_task

from ..conftest import FIRST, VOCABULARY, entry, settings
from .test_finetuned import hub

Make = Callable[[Evaluate], ModelUnderTest]
QUICK = {"epochs": 12, "batch_size": 8, "learning_rate": 5e-3, "stride": 8}
ANSWERS = VOCABULARY[FIRST : FIRST + 4]  # one of these words is in each context: it is the answer
OTHERS = VOCABULARY[FIRST + 4 :]


def asked(number: int) -> dict[str, Any]:
    """A context of 12 to 40 words, more than a window has room for, with the answer somewhere in it."""
    words = [OTHERS[(7 * number + 3 * place) % len(OTHERS)] for place in range(12 + 7 * (number % 5))]
    place = (5 * number) % len(words)
    words[place] = answer = ANSWERS[number % 4]
    start = sum(len(word) + 1 for word in words[:place])
    return {"context": " ".join(words), "question": OTHERS[number % 9], "answers": [{"text": answer, "answer_start": start}]}


def squad(numbers: Sequence[int], prefix: str = "") -> dict[str, Any]:
    paragraphs = [
        {"context": one["context"], "qas": [{"id": f"{prefix}{number}", "question": one["question"], "answers": one["answers"]}]}
        for number, one in ((number, asked(number)) for number in numbers)
    ]
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}


def put(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(content, ensure_ascii=False).encode()
    file.write_bytes(gzip.compress(data) if file.suffix == ".gz" else data)


def published(folder: Path, name: str) -> Path:
    """Write a benchmark's files by their published names."""
    if name == "tydiqa":
        joint = squad(range(60), "english-")
        joint["data"] += squad(range(100, 130), "swahili-")["data"]
        put(folder / "tydiqa-goldp-v1.1-train.json", joint)
        put(folder / "tydiqa-goldp-v1.1-dev" / "tydiqa.goldp.en.dev.json", squad(range(200, 220), "english-"))
        put(folder / "tydiqa-goldp-v1.1-dev" / "tydiqa.goldp.sw.dev.json", squad(range(220, 240), "swahili-"))
        return folder
    put(folder / "squad" / "train-v1.1.json.gz", squad(range(60)))
    names = {"xquad": "xquad.{}.json", "mlqa": "MLQA_V1/test/test-context-{0}-question-{0}.json"}
    for language in ("de", "zh"):
        put(folder / names[name].format(language), squad(range(200, 220)))
    put(folder / "MLQA_V1/test/test-context-de-question-zh.json", squad(range(5)))
    put(folder / "MLQA_V1/dev/dev-context-de-question-de.json", squad(range(5)))
    return folder


@pytest.mark.parametrize(("name", "languages"), [("xquad", ["de", "zh"]), ("mlqa", ["de", "zh"]), ("tydiqa", ["en", "sw"])])
def test_answers_are_learned_in_windows_of_long_contexts(
    make_model: Make, tmp_path: Path, name: str, languages: list[str]
) -> None:
    evaluate_settings = settings(entry(name, published(tmp_path / "q", name), **QUICK))
    task, model = open_task(evaluate_settings.benchmarks[0]), make_model(evaluate_settings)
    assert isinstance(task, QuestionAnsweringTask)
    assert list(task.languages) == languages
    assert len(task.english_examples()) == 60
    rows = task.rows(task._test(languages[1]).examples, model)
    assert len(rows) > 20, "a context of 40 words has several windows"
    assert max(len(row.input_ids) for row in rows) <= 32, "the encoder has 32 positions"
    (scores,) = task.evaluate(model, languages[1], 0)
    assert scores.metrics["f1"] == pytest.approx(scores.part.mean())
    assert scores.metrics["f1"] > 0.9
    assert scores.metrics["exact_match"] > 0.9
    assert scores.direction == f"en→{languages[1]}"
    assert len(scores.items) == 20
    again = open_task(evaluate_settings.benchmarks[0]).evaluate(make_model(evaluate_settings), languages[1], 0)[0]
    assert again.part.tolist() == scores.part.tolist()


def test_tydiqas_one_file_of_all_languages_is_read_by_the_ids(tmp_path: Path) -> None:
    folder = published(tmp_path / "q", "tydiqa")
    joint = squad(range(200, 207), "finnish-")
    joint["data"] += squad(range(210, 213), "korean-")["data"]
    put(folder / "tydiqa-goldp-v1.1-dev.json", joint)
    task = open_task(settings(entry("tydiqa", folder)).benchmarks[0])
    assert task.languages == ["en", "fi", "ko", "sw"]
    assert len(task.texts("fi")) == len({text for n in range(200, 207) for text in (asked(n)["context"], asked(n)["question"])})  # type: ignore[arg-type]
    assert len(task.texts("ko")) == 6  # type: ignore[arg-type]


def test_data_sets_in_the_hubs_format(make_model: Make, tmp_path: Path) -> None:
    import datasets

    def rows(numbers: Sequence[int], prefix: str = "") -> Any:
        questions = [asked(number) for number in numbers]
        answers = [{"text": [q["answers"][0]["text"]], "answer_start": [q["answers"][0]["answer_start"]]} for q in questions]
        columns = {name: [question[name] for question in questions] for name in ("question", "context")}
        return datasets.Dataset.from_dict({"id": [f"{prefix}{n}" for n in numbers], **columns, "answers": answers})

    hub(tmp_path / "hub", "SQuAD", {"train": rows(range(60))})
    for language in ("de", "zh"):
        hub(tmp_path / "hub", f"XQuAD.{language}", {"test": rows(range(200, 220))})
    both = datasets.concatenate_datasets([rows(range(4), "english-"), rows(range(9, 12), "telugu-")])
    hub(tmp_path / "hub", "tydiqa", {"train": both, "validation": both})
    source = {"kind": "huggingface", "dataset": str(tmp_path / "hub")}
    hub_settings = settings({"name": "xquad", "source": source, **QUICK})
    task = open_task(hub_settings.benchmarks[0])
    assert task.languages == ["de", "zh"]
    (scores,) = task.evaluate(make_model(hub_settings), "zh", 0)
    folder_settings = settings(entry("xquad", published(tmp_path / "q", "xquad"), **QUICK))
    (expected,) = open_task(folder_settings.benchmarks[0]).evaluate(make_model(folder_settings), "zh", 0)
    assert scores.part.tolist() == expected.part.tolist()
    assert scores.notes == {"evaluated_on": "XQuAD.zh, test"}
    tydi = open_task(settings({"name": "tydiqa", "source": source}).benchmarks[0])
    assert isinstance(tydi, QuestionAnsweringTask)
    assert [question.name for question in tydi.english_examples()] == [f"english-{n}" for n in range(4)]
    assert [question.name for question in tydi._test("te").examples] == [f"telugu-{n}" for n in range(9, 12)]


def test_missing_files_are_named(tmp_path: Path) -> None:
    put(tmp_path / "q" / "xquad.de.json", squad(range(3)))
    with pytest.raises(InputError, match=r"XQuAD: no train-v1\.1\.json in"):
        open_task(settings(entry("xquad", tmp_path / "q")).benchmarks[0])
    put(tmp_path / "m" / "train-v1.1.json", squad(range(3)))
    with pytest.raises(InputError, match="MLQA: no test files in"):
        open_task(settings(entry("mlqa", tmp_path / "m")).benchmarks[0])
    own = settings(entry("xquad", tmp_path / "q", train="xquad.de.json")).benchmarks[0]
    assert len(open_task(own).english_examples()) == 3  # type: ignore[attr-defined]
