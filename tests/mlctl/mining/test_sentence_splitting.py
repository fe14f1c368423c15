from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.errors import InputError
from mlctl.mining.sentence_files import Sentence, SentenceFilter, SentenceTables, TextFile, read_sentences, rows_of, write_table
from mlctl.mining.sentence_splitting import join_sentences, split_sentences

TEXTS = {
    "en": ("One is here. Two is there!  Is three? Yes", ["One is here.", "Two is there!", "Is three?", "Yes"]),
    "initial": ("George W. Bush met J. K. Rowling. They talked.", ["George W. Bush met J. K. Rowling.", "They talked."]),
    "fr": ("« Oui. » Non ! Peut-être ?", ["« Oui. »", "Non !", "Peut-être ?"]),
    "zh": ("今天天气很好。我们去公园吧！好吗?", ["今天天气很好。", "我们去公园吧！", "好吗?"]),
    "ja": ("今日は晴れです。散歩しましょう。", ["今日は晴れです。", "散歩しましょう。"]),
    "km": ("ភាសាខ្មែរ គឺជាភាសា។ តើអ្នកសុខសប្បាយទេ?", ["ភាសាខ្មែរ គឺជាភាសា។", "តើអ្នកសុខសប្បាយទេ?"]),
    "hi": ("डॉ. सिंह आए। वे चले गए।", ["डॉ. सिंह आए।", "वे चले गए।"]),
    "th": ("สวัสดีครับ วันนี้อากาศดีมาก", ["สวัสดีครับ", "วันนี้อากาศดีมาก"]),
    "ar": ("هذا كتاب. هل قرأته؟ نعم", ["هذا كتاب.", "هل قرأته؟", "نعم"]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_sentences_of_a_paragraph(name: str) -> None:
    text, expected = TEXTS[name]
    assert split_sentences(text, name if len(name) == 2 else "en") == expected


@given(st.text(), st.sampled_from(["en", "hi", "th", "zh", "ja"]))
def test_nothing_but_white_space_is_lost(text: str, language: str) -> None:
    sentences = split_sentences(text, language)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(sentence == sentence.strip() != "" for sentence in sentences)


def test_sentences_are_joined_as_their_script_has_it() -> None:
    assert join_sentences(["One.", "Two."]) == "One. Two."
    assert join_sentences(["今天很好", "我们去"]) == "今天很好我们去"
    assert join_sentences(["สวัสดีครับ", "วันนี้"]) == "สวัสดีครับ วันนี้"


def test_origin_is_file_line_and_number(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeffOne. Two.\n\nThree\r\n", encoding="utf-8")
    file = TextFile(path=tmp_path / "a.txt", name="x/a.txt")
    expected = [Sentence("One.", "x/a.txt:1/1"), Sentence("Two.", "x/a.txt:1/2"), Sentence("Three", "x/a.txt:3")]
    assert list(read_sentences(file, "en", split=True)) == expected
    assert [row.text for row in read_sentences(file, "en", split=False)] == ["One. Two.", "Three"]
    (tmp_path / "a.txt").write_bytes(b"ok\ncaf\xe9\n")
    with pytest.raises(InputError, match=r"a\.txt, line 2 is not UTF-8"):
        list(read_sentences(file, "en", split=True))


def test_what_is_no_sentence_is_counted() -> None:
    keep = SentenceFilter(max_characters=10, min_letters=2)
    assert [text for text in ("ab", "1 2 3", "a 1", "a" * 11, "日本") if keep.keeps(text)] == ["ab", "日本"]
    assert keep.left_out == 3


def test_rows_of_several_tables_by_number(tmp_path: Path) -> None:
    rows = [Sentence(f"t{n}", f"o{n}") for n in range(20_000)]
    assert write_table(tmp_path / "a", rows[:9000]) == 9000
    assert write_table(tmp_path / "b", []) == 0
    write_table(tmp_path / "c", rows[9000:])
    assert list(rows_of(tmp_path / "a")) == rows[:9000]
    numbers = [19_999, 0, 9000, 8999, 0]
    assert SentenceTables([tmp_path / name for name in "abc"]).take(np.array(numbers)) == [rows[n] for n in numbers]
