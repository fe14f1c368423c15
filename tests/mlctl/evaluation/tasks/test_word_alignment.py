"""Gold alignments in their published formats, and links from states against them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlctl.config import Evaluate
from mlctl.errors import InputError
from mlctl.evaluation.data.gold_alignments import GoldAlignment, count_links, find_gold_files
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.evaluation.tasks.registry import open_task

from ..conftest import entry, settings, words

Make = Callable[[Evaluate], ModelUnderTest]


def put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())


def forms(root: Path) -> None:
    """The same two pairs of sentences and links in six formats; links: 0-0 sure, 1-1 sure, 0-1 possible in the first, 0-0 in the second."""
    put(root / "a" / "enfr.src-tgt", "the cat ||| le chat\nyes ||| oui\n")
    put(root / "a" / "enfr.gold", "1-1 2-2 1p2\n1-1\n")
    put(root / "b" / "toy.en-cs.en", "the cat\nyes\n")
    put(root / "b" / "toy.en-cs.cs", "le chat\noui\n")
    put(root / "b" / "toy.en-cs.talp", "0-0 1-1 0?1\n0-0\n")
    put(root / "c" / "test.de", "\ufeffthe cat\nyes\n")
    put(root / "c" / "test.en", "le chat\noui\n")
    put(root / "c" / "de-en.wa", "0-0 1-1 0p1\n0-0\n")
    put(root / "d" / "test.eng", "<s snum=26>the cat </s>\r\n<s snum=29>  yes</s>\r\n<s snum=30></s>\r\n")
    put(root / "d" / "test.hin", "<s snum=26> le  chat</s>\r\n<s snum=29>oui</s>\r\n<s snum=30>rien</s>\r\n")
    put(root / "d" / "test.eng.hin.wa", "26 1 1\n26 2 2\n26 1 2 P\n29 1 1\n30 1 1\n")
    put(root / "e" / "ru" / "test.tsv", "the cat\tle chat\t0-0 1-1 0p1\nyes\toui\t0-0\n")
    put(root / "e" / "ru" / "train.tsv", "made by\ta machine\t0-0\n")
    put(root / "f" / "s_eng.txt", "0\tthe cat\n1\tyes\n")
    put(root / "f" / "s_spa.txt", "0\tle chat\n1\toui\n")
    put(root / "f" / "s_eng_spa.gold", "1\t0-0\n0\t0-0 1-1 0p1\n")


def files(root: Path) -> dict[str, Path]:
    return {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}


def test_every_form_says_the_same(tmp_path: Path) -> None:
    forms(tmp_path)
    gold_files = list(find_gold_files(files(tmp_path)))
    assert [gold_file.languages for gold_file in gold_files] == [
        ("en", "fr"),
        ("en", "cs"),
        ("de", "en"),
        ("eng", "hin"),
        ("en", "ru"),
        ("eng", "spa"),
    ]
    for gold_file in gold_files:
        gold = gold_file.read_gold()
        assert gold.pairs == [(["the", "cat"], ["le", "chat"]), (["yes"], ["oui"])], gold_file.name
        assert gold.sure == [{(0, 0), (1, 1)}, {(0, 0)}], gold_file.name
        assert gold.possible == [{(0, 0), (1, 1), (0, 1)}, {(0, 0)}], gold_file.name
        assert not gold.dropped


def test_links_outside_of_their_sentences_are_dropped_unless_there_are_many(tmp_path: Path) -> None:
    put(tmp_path / "enfr.src-tgt", "a b c d e f g h i j ||| a b c d e f g h i j\n" * 3)
    put(tmp_path / "enfr.gold", " ".join(f"{n}-{n}" for n in range(1, 11)) + " 11-3\n" + "1-1 2-2 3-3 4-4 5-5 6-6\n" * 2)
    (gold_files,) = find_gold_files(files(tmp_path))
    assert gold_files.read_gold().dropped == ["1: 10-2"]
    assert (10, 2) not in gold_files.read_gold().possible[0]
    put(tmp_path / "enfr.gold", "0-0 1-1\n" * 3)
    with pytest.raises(InputError, match="index_base"):
        gold_files.read_gold()
    assert gold_files.read_gold(base=0).sure[0] == {(0, 0), (1, 1)}


def test_counts_give_the_alignment_error_rate_worked_out_by_hand() -> None:
    gold = GoldAlignment("", ("en", "fr"), [(["a", "b"], ["x", "y"])], [{(0, 0)}], [{(0, 0), (1, 1)}])
    (sentence,) = count_links([[(0, 0), (1, 1), (1, 0)]], gold)
    assert (sentence.predicted, sentence.sure, sentence.in_sure, sentence.in_possible) == (3, 1, 1, 2)
    assert 1 - (sentence.in_sure + sentence.in_possible) / (sentence.predicted + sentence.sure) == 0.25


def test_copied_sentences_are_linked_word_by_word(make_model: Make, tmp_path: Path) -> None:
    texts = [words(1, 2, 3), words(9, 17, 30, 41), words(50, 4)]
    put(tmp_path / "g" / "toy.en-cs.en", "\n".join(texts) + "\n")
    put(tmp_path / "g" / "toy.en-cs.cs", "\n".join(texts) + "\n")
    put(
        tmp_path / "g" / "toy.en-cs.talp",
        "".join(" ".join(f"{i}-{i}" for i in range(len(text.split()))) + "\n" for text in texts),
    )
    evaluate_settings = settings(entry("word-alignment", tmp_path / "g", extraction="argmax"))
    task = open_task(evaluate_settings.benchmarks[0])
    (scores,) = task.evaluate(make_model(evaluate_settings), "cs", None)
    assert scores.metrics == {"agreement": 1.0, "aer": 0.0, "precision": 1.0, "recall": 1.0}
    assert scores.direction == "en→cs"
    assert scores.whole.tolist() == [2 * len(text.split()) for text in texts]


def test_sets_of_a_language_are_pooled(make_model: Make, tmp_path: Path) -> None:
    forms(tmp_path / "g")
    put(tmp_path / "g" / "h" / "toy.en-fr.en", "a b\n")
    put(tmp_path / "g" / "h" / "toy.en-fr.fr", "c d\n")
    put(tmp_path / "g" / "h" / "toy.en-fr.talp", "0-0\n")
    evaluate_settings = settings(entry("word-alignment", tmp_path / "g"))
    task = open_task(evaluate_settings.benchmarks[0])
    assert list(task.languages) == ["cs", "de", "es", "fr", "hi", "ru"]
    (scores,) = task.evaluate(make_model(evaluate_settings), "fr", None)
    assert scores.items == ["a/enfr.gold:1", "a/enfr.gold:2", "h/toy.en-fr.talp:1"]
    assert scores.metrics["aer"] == pytest.approx(1 - scores.part.sum() / scores.whole.sum())
