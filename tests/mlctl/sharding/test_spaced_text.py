"""Training text as taggers read it: spaces between words, and spans that begin with the token of the space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_pairs import MODEL, SETTINGS, made, rows_of, workspace, write
from test_subword_spans import marked_spans
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from mlctl.config import Languages
from mlctl.sharding import shard
from mlctl.sharding.content_words import SideWords
from mlctl.sharding.spaced_text import space_words, spaced_texts
from mlctl.sharding.subword_spans import SpanTokenizer
from mlctl.sharding.word_codes import WordCodes


def spaced_text(text: str, ranges: Any) -> tuple[str, Any]:
    """One text with spaces, between two that get none."""
    others = np.array([[0, 1], [1, 2]])
    texts, words = spaced_texts(
        ["漢字", text, "漢字"],
        np.concatenate([others, ranges, others]),
        np.array([0, 2, 2 + len(ranges), 4 + len(ranges)]),
        np.array([False, True, False]),
    )
    assert (texts[0], texts[2]) == ("漢字", "漢字")
    assert words[:2].tolist() == words[-2:].tolist() == others.tolist()
    return texts[1], words[2:-2]


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("孩子|们|喜欢|看书|。", "孩子 们 喜欢 看书 。"),
        ("the| |cat|,| |the| |dog|.", "the cat , the dog ."),  # no second space
        ("a|\u00a0|b", "a\u00a0b"),
        ("𠀀|𠀁", "𠀀 𠀁"),
        ("one", "one"),
    ],
)
def test_words_and_marks_stand_apart(marked: str, expected: str) -> None:
    text, ranges = spaced_text(marked.replace("|", ""), np.array(marked_spans(marked)))
    assert text == expected
    assert [text[start:end] for start, end in ranges.tolist()] == [word for word in marked.split("|") if not word.isspace()]


@given(
    st.lists(st.tuples(st.text(alphabet=" ab。\u3000", max_size=3), st.text(alphabet="xy漢", min_size=1, max_size=3)), max_size=6)
)
def test_nothing_but_spaces_is_added(pieces: list[tuple[str, str]]) -> None:
    marked = [part for piece in pieces for part in piece]
    ends = np.cumsum([0, *map(len, marked)])
    text, words = "".join(marked), np.stack([ends[1:-1:2], ends[2::2]], axis=1)
    spaced, ranges = spaced_text(text, words)
    assert [spaced[a:b] for a, b in ranges.tolist()] == [word for _, word in pieces]
    assert "".join(spaced.split()) == "".join(text.split())
    for start, end in ranges.tolist():
        assert not spaced[:start] or spaced[start - 1].isspace()
        assert not spaced[end:] or spaced[end].isspace()


def test_a_share_of_the_texts_is_drawn_side_by_side() -> None:
    texts = [f"{number}漢字" for number in range(400)]
    ranges, bounds = np.array([[0, len(text) - 1] for text in texts]), np.arange(401)
    ranges[:, 0] = [len(text) - 2 for text in texts]
    side = SideWords(texts, ranges, WordCodes(["漢"], np.zeros(400, np.int64), bounds))
    drawn = {name: np.array([" " in text for text in space_words(side, 0.25, 7, name).texts]) for name in ("source", "target")}
    assert all(70 < flags.sum() < 130 for flags in drawn.values())
    assert not np.array_equal(drawn["source"], drawn["target"]), "independent"
    assert space_words(side, 0.0, 7, "source") is side
    assert all(" " in text for text in space_words(side, 1.0, 7, "source").texts)
    assert side.texts == texts, "the pair keeps its text"


def sentence_piece(splits: bool) -> Tokenizer:
    """With subwords that do not stand after a space: there, ▁ is a token of its own. XLM-R's `splits` at white space first."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁the", "漢", "字", "cat", "s"]
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], 3))
    metaspace = pre_tokenizers.Metaspace()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace]) if splits else metaspace
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


@pytest.mark.parametrize("splits", [False, True])  # ▁ has the range of the space, or of the word's first character
def test_a_span_begins_with_the_token_that_a_tagger_labels(splits: bool) -> None:
    text, words = "the 漢 cats字", np.array([[0, 3], [4, 5], [6, 10], [10, 11]])
    tokenized = SpanTokenizer(sentence_piece(splits).to_str(), 32).tokenise([text])
    assert tokenized.ids.tolist() == [0, 5, 4, 6, 4, 8, 9, 7, 2]  # <s> ▁the ▁ 漢 ▁ cat s 字 </s>
    spans = tokenized.spans(np.zeros(len(words), dtype=np.int64), words)
    assert spans.tolist() == [[1, 2], [2, 4], [4, 7], [7, 8]]


def glued(pair: dict[str, Any]) -> dict[str, Any]:
    """A pair without a space before its last target word."""
    start, end = (pair["target_words"][-1][name] for name in ("start", "end"))
    words = [*pair["target_words"][:-1], {"start": start - 1, "end": end - 1}]
    return {**pair, "target": pair["target"][: start - 1] + pair["target"][start:], "target_words": words}


def test_training_rows_are_spaced_and_held_out_pairs_are_not(tmp_path: Path) -> None:
    aligned = write(tmp_path / "aligned", {"fr": [glued(pair) for pair in made("fr", 120)]})
    rows = {}
    for share in (0.0, 1.0):
        work = workspace(tmp_path / str(share))
        shard(SETTINGS.model_copy(update={"spaced_words": share}), MODEL, Languages(targets=("fr",)), 5, aligned, work)
        rows[share] = {name: {row["source"]: row for row in rows_of(work.path(name))} for name in ("train", "heldout", "dev")}
    assert rows[0.0]["heldout"] == rows[1.0]["heldout"]
    assert rows[0.0]["dev"] == rows[1.0]["dev"]
    assert rows[0.0]["train"].keys() < rows[1.0]["train"].keys(), "more words have exact spans"
    for source, running in rows[0.0]["train"].items():
        spaced = rows[1.0]["train"][source]
        assert spaced["target"] == running["target"], "the text is the pair's"
        is_mark = not spaced["target"][-1].isalpha()  # WordPiece separates marks by itself
        assert (spaced["target_ids"] == running["target_ids"]) is is_mark
