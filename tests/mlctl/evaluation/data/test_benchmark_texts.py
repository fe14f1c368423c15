"""Benchmark text that is kept out of training: all that models are evaluated, tuned or selected by, in every available language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mlctl.config import Evaluate
from mlctl.evaluation import benchmark_texts, text_digests

from ..conftest import entry, settings


def put(folder: Path, **files: Sequence[str]) -> Path:
    """Write files whose names have `_` for `/`, `-` for `__` and a dot for `___`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        path = folder / name.replace("___", ".").replace("__", "-").replace("_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return folder


def all_sentences(evaluate_settings: Evaluate) -> set[str]:
    return {sentence for text in benchmark_texts(evaluate_settings) for sentence in text.sentences}


def pawsx(folder: Path) -> Path:
    return put(
        folder,
        train__en___tsv=["learned one\tlearned two\t0"],
        dev__en___tsv=["dev one\tdev two\t1"],
        dev__de___tsv=["not\tread\t1"],
        test__en___tsv=["test one\ttest two\t1"],
        test__de___tsv=["eins\tzwei\t1"],
    )


TAGGED = "DET NOUN VERB".split()


def udpos(folder: Path) -> Path:
    lines = {name: [f"{name}\tDET", "word\tNOUN", ""] for name in ("train", "dev", "test", "essai")}
    return put(
        folder,
        train__en___tsv=lines["train"],
        dev__en___tsv=lines["dev"],
        test__en___tsv=lines["test"],
        test__fr___tsv=lines["essai"],
    )


def bucc(folder: Path) -> Path:
    sides = {"dev": ["dev zh", "dev en"], "test": ["test zh", "test en"]}
    files = {
        f"zh__en___{name}___{side}": [f"{side}-1\t{text}"]
        for name, two_languages in sides.items()
        for side, text in zip(("zh", "en"), two_languages, strict=True)
    }
    return put(folder, **files, **{f"zh__en___{name}___gold": ["zh-1\ten-1"] for name in sides})


@pytest.mark.parametrize(
    ("name", "make", "expected"),
    [
        ("pawsx", pawsx, {"test one", "test two", "eins", "zwei", "dev one", "dev two"}),
        ("udpos", udpos, {"test word", "essai word", "dev word"}),
        ("bucc", bucc, {"dev zh", "dev en", "test zh", "test en"}),
    ],
)
def test_what_is_judged_tuned_or_chosen_by_and_nothing_that_is_learned(
    name: str, make: Callable[[Path], Path], expected: set[str], tmp_path: Path
) -> None:
    assert all_sentences(settings(entry(name, make(tmp_path / name)))) == expected


def test_both_sides_of_parallel_text(tmp_path: Path) -> None:
    tatoeba = put(tmp_path / "t", tatoeba___deu__eng___deu=["eins"], tatoeba___deu__eng___eng=["one"])
    ntrex = put(tmp_path / "n", newstest2019__src___eng___txt=["news"], newstest2019__ref___fra___txt=["nouvelles"])
    gold = put(tmp_path / "g", enfr___src__tgt=["the house ||| la maison"], enfr___gold=["1-1 2-2"])
    evaluate_settings = settings(entry("tatoeba", tatoeba), entry("ntrex", ntrex), entry("word-alignment", gold))
    assert all_sentences(evaluate_settings) == {"eins", "one", "news", "nouvelles", "the house", "la maison"}
    assert [(text.title, text.languages) for text in benchmark_texts(evaluate_settings)] == [
        ("Tatoeba", ["de"]),
        ("NTREX-128", ["en", "fr"]),
        ("Word alignment", ["fr"]),
    ]


def test_one_language_more_to_judge_changes_nothing_but_other_text_does(tmp_path: Path) -> None:
    folder = pawsx(tmp_path / "p")
    one_language, two_languages = (settings(entry("pawsx", folder, languages=languages)) for languages in (["de"], ["de", "en"]))
    assert all_sentences(one_language) == all_sentences(two_languages)
    before = text_digests(one_language)
    assert before == text_digests(two_languages)
    assert sorted(before) == ["pawsx.de", "pawsx.en"]
    put(folder, test__en___tsv=["test one\tanother\t1"])
    assert text_digests(one_language) != before
