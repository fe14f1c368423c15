"""Gold alignments in their published formats, and links from states against them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlctl.config import Evaluate
from mlctl.errors import InputError
from mlctl.evaluation.data.gold_alignments import GoldAlignment, GoldFiles, count_links, find_gold_files
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


WPT = ("<s snum=1>the cat</s>\n<s snum=2>yes</s>\n", "<s snum=1>le chat</s>\n<s snum=2>oui</s>\n")


def wpt(root: Path, links: str, source: str = WPT[0], target: str = WPT[1]) -> GoldFiles:
    for name, text in (("eng", source), ("fra", target), ("eng.fra.wa", links)):
        put(root / f"test.{name}", text)
    return next(iter(find_gold_files(files(root))))


def test_wpt_links_may_have_kinds_probabilities_blank_lines_and_any_line_end(tmp_path: Path) -> None:
    gold = wpt(tmp_path, "\ufeff1 1 1 S 1.0\r\n\r\n 1 2 2 0.5\r\n1 1 2 P\r\n1 1 1\r\n0002 1 1 P 0.3\n  \n2 1 1").read_gold()
    assert gold.sure == [{(0, 0), (1, 1)}, {(0, 0)}]
    assert gold.possible == [{(0, 0), (1, 1), (0, 1)}, {(0, 0)}]


@pytest.mark.parametrize(
    "line",
    [
        "1 1",
        "1",
        "1 one 1",
        "1 1 1 Q",
        "1 1 1 S x",
        "1 1 1 nan",
        "1 1 1 P 2",
        "1 1 1 S 1 1",
        "1 1.0 1",
        "1 \u0661 1",
        "1 1 1e9",
        "1-1",
    ],
)
def test_wpt_lines_that_are_no_link_are_refused_by_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"test\.eng\.fra\.wa, line 2: .* is not a link \(sentence, source word"):
        wpt(tmp_path, f"1 1 1\n{line}\n2 1 1\n").read_gold()


@pytest.mark.parametrize("link", ["1 -3 1", "1 99999999 1", "1 0 1", "1 1 3"])
def test_wpt_links_outside_are_counted(tmp_path: Path, link: str) -> None:
    many = "".join(f"<s snum={number}>a b c</s>\n" for number in range(1, 21))
    links = "".join(f"{number} {word} {word}\n" for number in range(1, 21) for word in (1, 2, 3))
    gold = wpt(tmp_path, links + link.replace(" 3", " 4"), many, many).read_gold()
    assert len(gold.dropped) == 1
    assert all(links == {(0, 0), (1, 1), (2, 2)} for links in gold.possible)


@pytest.mark.parametrize(
    ("links", "source", "target", "message"),
    [
        ("3 1 1\n", *WPT, r"eng.fra.wa, line 1: test.eng has no sentence 3"),
        ("1 1 1\n", WPT[0] * 2, WPT[1], r"test.eng, line 3: sentence 1 is there twice"),
        ("1 1 1\n", WPT[0], WPT[1] + "<s snum=3>non</s>\n", r"test.eng has no sentence 3, which is in .*test.fra"),
        ("1 1 1\n", "the cat\nyes\n", WPT[1], r"test.eng, line 1: 'the cat' is not a numbered sentence"),
        ("1 1 1\n", WPT[0].replace("cat", "\x07"), WPT[1], r"test.eng, line 1 has the control character U\+0007"),
        ("1 1 1\n", WPT[0].replace("cat", "\0"), WPT[1], r"test.eng, line 1 has a NUL"),
        ("", *WPT, r"no sure links"),
        ("1 1 1\n", "<s snum=1> </s>\n<s snum=2></s>\n", WPT[1], r"no sure links"),
    ],
)
def test_wpt_texts_that_do_not_fit_are_refused(tmp_path: Path, links: str, source: str, target: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wpt(tmp_path, links, source, target).read_gold()


@pytest.mark.parametrize("link", ["x", "1-", "-1-2", "1-2-3", "1:2", "nan", "1-9999999", "1-\u0661", "1–1"])
def test_other_formats_refuse_what_is_no_link_by_line(tmp_path: Path, link: str) -> None:
    forms(tmp_path)
    put(tmp_path / "b" / "toy.en-cs.talp", f"0-0\n{link} 0-0\n")
    put(tmp_path / "e" / "ru" / "test.tsv", f"the cat\tle chat\t0-0\n\nyes\toui\t{link}\n")
    put(tmp_path / "f" / "s_eng_spa.gold", f"1\t0-0\n0\t0-0 {link}\n")
    expected = {"b/toy.en-cs.talp": 2, "e/ru/test.tsv": 3, "f/s_eng_spa.gold": 2}
    for gold_files in find_gold_files(files(tmp_path)):
        if gold_files.name in expected:
            with pytest.raises(
                InputError, match=rf"{gold_files.files[-1].name}, line {expected[gold_files.name]}: .* is not a link"
            ):
                gold_files.read_gold()


def test_lines_at_the_end_that_one_file_has_more_are_no_sentences(tmp_path: Path) -> None:
    forms(tmp_path)
    put(tmp_path / "b" / "toy.en-cs.talp", "0-0 1-1 0?1\r\n0-0\r\n\r\n \n")
    put(tmp_path / "f" / "s_eng_spa.gold", "1\t0-0\n0\t0-0 1-1 0p1")
    for gold_files in find_gold_files(files(tmp_path)):
        assert len(gold_files.read_gold().pairs) == 2
    put(tmp_path / "b" / "toy.en-cs.talp", "0-0\n0-0\n0-0\n")
    with pytest.raises(InputError, match="2 and 2 sentences, 3 lines of links"):
        next(gold for gold in find_gold_files(files(tmp_path)) if gold.name.startswith("b/")).read_gold()


@pytest.mark.parametrize(("base", "other"), [("talp", 1), ("gold", 0)])
def test_words_counted_from_the_other_base_are_noticed(tmp_path: Path, base: str, other: int) -> None:
    sentences = [" ".join("abcdefghijklmnopqrstuvwxyz"[: 20 + n % 5]) for n in range(10)]
    links = "".join(" ".join(f"{i + other}-{i + other}" for i in range(len(text.split()))) + "\n" for text in sentences)
    if base == "talp":
        for name in ("en", "cs"):
            put(tmp_path / f"toy.en-cs.{name}", "\n".join(sentences) + "\n")
        put(tmp_path / "toy.en-cs.talp", links)
    else:
        put(tmp_path / "enfr.src-tgt", "".join(f"{text} ||| {text}\n" for text in sentences))
        put(tmp_path / "enfr.gold", links)
    (gold_files,) = find_gold_files(files(tmp_path))
    with pytest.raises(InputError, match=rf"words seem to count from {other}\n.*index_base"):
        gold_files.read_gold()
    assert not gold_files.read_gold(base=other).dropped


def test_sentences_without_words_are_left_out_and_counted_in_the_notes(make_model: Make, tmp_path: Path) -> None:
    put(tmp_path / "g" / "toy.en-cs.en", f"{words(1, 2)}\n\n{words(3)}\n")
    put(tmp_path / "g" / "toy.en-cs.cs", f"{words(1, 2)}\n{words(3)}\n{words(3)}\n")
    put(tmp_path / "g" / "toy.en-cs.talp", "0-0 1-1\n0-0 0-0\n0-0\n")
    evaluate_settings = settings(entry("word-alignment", tmp_path / "g"))
    (scores,) = open_task(evaluate_settings.benchmarks[0]).evaluate(make_model(evaluate_settings), "cs", None)
    assert len(scores.items) == 2
    assert (scores.notes["empty_sentences"], scores.notes["links_of_empty_sentences"]) == (1, 1)


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
