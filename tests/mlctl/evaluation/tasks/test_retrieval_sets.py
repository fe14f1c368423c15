"""FLORES+, LAReQA, Mewsli-X, STS17 and STS22 from published files to figures, against independent computations."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from scipy.stats import spearmanr

from mlctl.config import Evaluate
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.evaluation.tasks.base import PublishedTask
from mlctl.evaluation.tasks.registry import open_task

from ..conftest import entry, sentences, settings
from ..metrics.test_ranked_retrieval import average_precision
from ..metrics.test_xsim import nearest
from . import published_sets as data
from .test_finetuned import hub
from .test_published import reference_embeddings

Make = Callable[[Evaluate], ModelUnderTest]


def opened(name: str, folder: Path, **more: Any) -> PublishedTask:
    return open_task(settings(entry(name, folder, **more)).benchmarks[0])


def scores(make_model: Make, task: PublishedTask, language: str) -> dict[str, Any]:
    """Return the scores of a task in a language, by task and direction."""
    model = make_model(settings(pooling="last"))
    return {f"{one.task} {one.direction}": one for one in task.evaluate(model, language, None)}


def test_flores_retrieves_and_mines_with_altered_translations(make_model: Make, tmp_path: Path) -> None:
    task = opened("flores", data.flores(tmp_path / "f"))
    assert list(task.languages) == ["de", "zh"]
    found = scores(make_model, task, "de")
    names = [f"flores {one}" for one in ("en→de", "de→en")] + [f"flores-{one} de→en" for one in ("xsim", "xsim-plus-plus")]
    assert list(found) == names
    assert {
        *sentences(data.PAIRS),
        *json.loads((tmp_path / "f/devtest_augmented/eng_Latn_errtype.devtest.json").read_text()),
    } == set(task.texts("en")), "altered sentences are kept out of training, too"
    english, german = sentences(data.PAIRS), [data.translated(number) for number in range(data.PAIRS)]
    altered = json.loads((tmp_path / "f" / "devtest_augmented" / "eng_Latn_errtype.devtest.json").read_text())
    of_german, of_english, of_altered = (
        reference_embeddings(tmp_path / "encoder", texts) for texts in (german, english, list(altered))
    )
    right = (of_german @ of_english.T).argmax(1) == np.arange(data.PAIRS)
    assert found["flores de→en"].part.tolist() == right.tolist()
    plain = nearest(of_german, of_english, 4)
    assert found["flores-xsim de→en"].part.tolist() == [row == best for row, best in enumerate(plain)]
    taken = nearest(of_german, np.concatenate([of_english, of_altered]), 4)
    plus = found["flores-xsim-plus-plus de→en"]
    assert plus.part.tolist() == [row == best for row, best in enumerate(taken)]
    assert plus.metrics["error"] == pytest.approx(1 - plus.metrics["accuracy"])
    assert plus.metrics["error"] > found["flores-xsim de→en"].metrics["error"]
    entries = list(altered.values())
    of_category = {
        category: sum(
            best >= data.PAIRS and entries[best - data.PAIRS] == {"src": english[row], "errtype": category}
            for row, best in enumerate(taken)
        )
        for category in data.CATEGORIES
    }
    assert sum(of_category.values()) > 0
    assert {name: plus.metrics[f"error_{name.lower()}"] for name in of_category} == pytest.approx(
        {name: count / data.PAIRS for name, count in of_category.items()}
    )


def test_flores_without_altered_translations_has_no_xsim_plus_plus(make_model: Make, tmp_path: Path) -> None:
    folder = tmp_path / "f"
    for code in ("eng_Latn", "deu_Latn"):
        data.put(folder / "dev" / f"dev.{code}", sentences(9))
    task = opened("flores", folder, split="dev", pivot="de")
    assert list(task.score_names) == ["flores", "flores-xsim"]
    assert set(scores(make_model, task, "en")) == {"flores de→en", "flores en→de", "flores-xsim en→de"}
    assert task.texts("en") == sentences(9)


@pytest.mark.parametrize("one_subset", [True, False])
def test_flores_in_the_hubs_format(make_model: Make, tmp_path: Path, one_subset: bool) -> None:
    texts = {"eng_Latn": sentences(data.PAIRS), "deu_Latn": [data.translated(number) for number in range(data.PAIRS)]}
    tables = {}
    for code, of_language in texts.items():
        order = range(data.PAIRS) if code == "eng_Latn" else reversed(range(data.PAIRS))  # ids say what belongs together
        language, script = code.split("_")
        tables[code] = datasets.Dataset.from_list(
            [{"id": number, "iso_639_3": language, "iso_15924": script, "text": of_language[number]} for number in order]
        )
    if one_subset:
        hub(tmp_path / "hub", "default", {"devtest": datasets.concatenate_datasets(list(tables.values()))})
    else:
        for code, table in tables.items():
            hub(tmp_path / "hub", code, {"devtest": table})
    source = {"kind": "huggingface", "dataset": str(tmp_path / "hub")}
    task = open_task(settings({"name": "flores", "source": source}).benchmarks[0])
    assert list(task.languages) == ["de"]
    found = scores(make_model, task, "de")
    expected = scores(make_model, opened("flores", data.flores(tmp_path / "f")), "de")
    for name in ("flores de→en", "flores-xsim de→en"):
        assert found[name].part.tolist() == expected[name].part.tolist()


def test_lareqa_ranks_the_sentences_of_all_languages(make_model: Make, tmp_path: Path) -> None:
    task = opened("lareqa", data.lareqa(tmp_path / "l"), context=False)
    assert list(task.languages) == ["de", "en", "zh"]
    found = scores(make_model, task, "zh")["lareqa zh→all"]
    pool, correct, own = [], {}, []
    for shift, code in ((1, "de"), (0, "en"), (2, "zh")):
        for paragraph in data.squad_with_sentences(shift)["data"][0]["paragraphs"]:
            for question, (start, end) in zip(paragraph["qas"], paragraph["sentence_breaks"], strict=True):
                correct.setdefault(question["id"], set()).add(len(pool))
                pool.append(paragraph["context"][start:end])
                own.append(code == "zh")
    questions = [question for paragraph in data.squad_with_sentences(2)["data"][0]["paragraphs"] for question in paragraph["qas"]]
    asked, candidates = (
        reference_embeddings(tmp_path / "encoder", texts) for texts in ([question["question"] for question in questions], pool)
    )
    ranked = [np.argsort(-row).tolist() for row in asked @ candidates.T]
    expected = [average_precision(correct[question["id"]], rows) for question, rows in zip(questions, ranked, strict=True)]
    assert found.part.tolist() == pytest.approx(expected, abs=1e-6)
    assert task.texts("zh") == [*(question["question"] for question in questions), *(pool[row] for row in range(72) if own[row])]
    assert found.metrics["map"] == pytest.approx(np.mean(expected))
    assert 0.05 < found.metrics["map"] < 1
    assert found.metrics["same_language"] == pytest.approx(np.mean([own[row] for rows in ranked for row in rows[:20]]))
    assert found.notes == {"candidates": 72, "same_language_of_candidates": pytest.approx(1 / 3)}


def test_lareqas_candidates_have_their_context_and_questions_without_a_sentence_are_not_asked(
    make_model: Make, tmp_path: Path
) -> None:
    folder = data.lareqa(tmp_path / "l")
    german = data.squad_with_sentences(1)
    german["data"][0]["paragraphs"][0]["sentence_breaks"].pop(0)  # the answer of question 0-0 begins in no sentence
    data.put_json(folder / "xquad-r" / "de.json", german)
    task = opened("lareqa", folder)
    found = scores(make_model, task, "de")["lareqa de→all"]
    assert "0-0" not in found.items
    assert len(found.items) == 23
    assert "0-0" in scores(make_model, task, "zh")["lareqa zh→all"].items
    first = data.squad_with_sentences(0)["data"][0]["paragraphs"][0]["context"]
    pool = task._pool.texts  # type: ignore[attr-defined]
    assert f"{first[: first.index('.') + 1]}{first}" in pool
    without = scores(make_model, opened("lareqa", folder, context=False), "de")["lareqa de→all"]
    assert without.part.tolist() != found.part.tolist()
    assert len(pool) == 71
    german["data"][0]["paragraphs"][0]["sentence_breaks"][:] = [[0, 4]]  # up to the first answer: the paragraph answers nothing
    data.put_json(folder / "xquad-r" / "de.json", german)
    assert len(opened("lareqa", folder)._pool.texts) == 69  # type: ignore[attr-defined]


def test_mewslix_finds_the_entity_of_a_mention(make_model: Make, tmp_path: Path) -> None:
    task = opened("mewslix", data.mewslix(tmp_path / "m"))
    assert list(task.languages) == ["de", "tr"]
    found = scores(make_model, task, "de")["mewslix de→all"]
    mentions = [data.contextual_mentions("de", number) for number in range(10)]
    texts, right = [], []
    for one in mentions:
        sentence = one["context"]["text"][one["context"]["sentence_spans"][1]["start"] :]
        for place, mention in enumerate(one["mentions"]):
            named = mention["mention_span"]["text"]
            marked = f"{sentence[: 4 * place]} {{ {named} }} {sentence[4 * place + 3 :]}"
            texts.append(" ".join(f"{named}: {marked}".split()))
            right.append(int(mention["entity_id"][1:]))
    assert task.sample_texts("de") == texts
    asked, pool = (
        reference_embeddings(tmp_path / "encoder", side) for side in (texts, [data.entity(n)["description"] for n in range(64)])
    )
    ranked = [np.argsort(-row).tolist() for row in asked @ pool.T]
    ranks = [rows.index(row) + 1 for rows, row in zip(ranked, right, strict=True)]
    expected = [1 / rank if rank <= 20 else 0 for rank in ranks]
    assert found.part.tolist() == pytest.approx(expected, abs=1e-6)
    assert 0 < found.metrics["map"] < 1
    assert found.metrics["same_language"] == pytest.approx(np.mean([row % 3 == 1 for rows in ranked for row in rows[:20]]))
    assert set(task.texts("de")) == {*texts, *(data.entity(row)["description"] for row in right)}


def test_mewslix_of_fewer_candidates_and_of_the_dev_set(make_model: Make, tmp_path: Path) -> None:
    task = opened("mewslix", data.mewslix(tmp_path / "m"), split="dev", candidates=10)
    found = scores(make_model, task, "tr")["mewslix tr→all"]
    assert len(found.items) == 8
    assert found.notes["candidates"] == 10
    mentioned = {f"Q{(number + 5 * place) % 64}" for number in range(4) for place in range(2)}
    names = [one.name for one in task._entities]  # type: ignore[attr-defined]
    assert mentioned < set(names)
    assert names == sorted(names, key=lambda name: int(name[1:]))


def similarity(folder: Path, pairs: Sequence[tuple[str, str, float]]) -> float:
    first, second = (reference_embeddings(folder, [pair[side] for pair in pairs]) for side in (0, 1))  # type: ignore[misc]
    return float(spearmanr((first * second).sum(1).round(6), [pair[2] for pair in pairs]).statistic)


def test_sts17_of_tracks_and_tables(make_model: Make, tmp_path: Path) -> None:
    task = opened("sts17", data.sts17(tmp_path / "s"))
    assert list(task.languages) == ["ar", "de", "en", "es"]
    spanish = scores(make_model, task, "es")
    assert list(spanish) == ["sts17 es-en", "sts17 es-en, track4b"]
    german = scores(make_model, task, "de")["sts17 en-de"]
    assert german.metrics["spearman"] == pytest.approx(similarity(tmp_path / "encoder", data.scored_pairs()), abs=1e-5)
    assert german.metrics["spearman"] > 0.5
    assert list(scores(make_model, task, "ar")) == ["sts17-monolingual ar-ar"]
    assert list(scores(make_model, task, "en")) == ["sts17-monolingual en-en"]
    assert len(task.texts("es")) == 4 * data.PAIRS
    assert task.sample_texts("de") == [second for _, second, _ in data.scored_pairs()]


def test_sts22_of_articles(make_model: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = data.sts22(tmp_path / "s")
    (folder / "articles" / "10" / "1480000010.json").unlink()
    task = opened("sts22", folder)
    assert list(task.languages) == ["de", "pl"]
    assert "no article for 1 of 24 pairs" in caplog.text
    german = scores(make_model, task, "de")["sts22 de-en"]
    pairs = [
        (f"{first[:3]}\n{first}", f"{second[:3]}\n{second}", score)
        for number, (first, second, score) in enumerate(data.scored_pairs())
        if number % 3 < 2
    ]
    assert len(german.items) == 16
    assert german.metrics["spearman"] == pytest.approx(similarity(tmp_path / "encoder", pairs), abs=1e-5)
    assert len(scores(make_model, task, "pl")["sts22-monolingual pl-pl"].items) == 7


@pytest.mark.parametrize("name", ["sts17", "sts22"])
def test_sets_of_pairs_in_the_hubs_format(make_model: Make, tmp_path: Path, name: str) -> None:
    rows = [{"sentence1": first, "sentence2": second, "score": score} for first, second, score in data.scored_pairs()]
    for subset in ("en-de", "es-it", "en", "default"):
        hub(tmp_path / "hub", subset, {"test": datasets.Dataset.from_list(rows)})
    source = {"kind": "huggingface", "dataset": str(tmp_path / "hub")}
    task = open_task(settings({"name": name, "source": source}).benchmarks[0])
    assert list(task.languages) == ["de", "en", "es", "it"]
    german = scores(make_model, task, "de")[f"{name} en-de"]
    assert german.metrics["spearman"] == pytest.approx(similarity(tmp_path / "encoder", data.scored_pairs()), abs=1e-5)
    assert list(scores(make_model, task, "it")) == [f"{name} es-it"]
    assert list(scores(make_model, task, "en")) == [f"{name}-monolingual en"]
