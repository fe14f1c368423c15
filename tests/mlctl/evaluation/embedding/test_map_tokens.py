"""Selection of the tokens of the map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from mlctl.evaluation.data.heldout import Heldout, Side, read_heldout
from mlctl.evaluation.embedding.map_tokens import choose_sentences, token_rows
from mlctl.evaluation.embedding.token_embeddings import open_encoder
from mlctl.modeling.sentence_config import Pooling

Write = Callable[[dict[str, list[dict[str, Any]]]], Path]
Rows = Callable[[str], list[dict[str, Any]]]


def pairs_of(language: str, identities: Sequence[int]) -> Heldout:
    source = Side([[2, 10 + i, 3] for i in identities], identities, [f"en {i}" for i in identities])
    target = Side([[2, 20 + i, 3] for i in identities], identities, [f"{language} {i}" for i in identities])
    return Heldout(language, source, target, [])


def test_sentences_that_most_languages_have_come_first() -> None:
    heldout = [pairs_of("de", [1, 2, 3]), pairs_of("fr", [3, 4, 1]), pairs_of("ru", [5, 3])]
    chosen = choose_sentences(heldout, "en", 2, seed=0)
    assert [(s.language, s.meaning, s.text) for s in chosen] == [
        ("en", 0, "en 3"),
        ("de", 0, "de 3"),
        ("fr", 0, "fr 3"),
        ("ru", 0, "ru 3"),
        ("en", 1, "en 1"),
        ("de", 1, "de 1"),
        ("fr", 1, "fr 1"),
    ]


def test_works_where_languages_share_nothing() -> None:
    chosen = choose_sentences([pairs_of("de", [1, 2]), pairs_of("fr", [3, 4])], "en", 3, seed=0)
    assert sorted({s.meaning for s in chosen}) == [0, 1, 2]
    assert len(chosen) == 6


def test_one_sentence_of_many_translations_is_drawn_once() -> None:
    (_, target) = choose_sentences([pairs_of("de", [1, 1, 1])], "en", 3, seed=0)
    assert target.text == "de 1"


def test_no_meanings_no_sentences() -> None:
    assert choose_sentences([pairs_of("de", [1])], "en", 0, seed=0) == []


def test_tokens_without_letters_are_left_out(write_sharded: Write, copied_rows: Rows, trained: Path) -> None:
    sharded = write_sharded({"fr": copied_rows("fr")})
    sentences = choose_sentences(read_heldout(sharded, ["fr"]), "en", 2, seed=0)
    encoder, tokenizer = open_encoder(trained / "model", "cpu"), AutoTokenizer.from_pretrained(sharded / "tokenizer")
    rows = list(token_rows(encoder, sentences, tokenizer, Pooling((1, 2))))
    assert {row["token"][0] for row in rows} == {"w"}
    assert len(rows) == sum(len(sentence.ids) - 3 for sentence in sentences)
    assert {len(row["state"]) for row in rows} == {16}


def test_long_maps_are_thinned_evenly(
    write_sharded: Write, copied_rows: Rows, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharded = write_sharded({"fr": copied_rows("fr")})
    sentences = choose_sentences(read_heldout(sharded, ["fr"]), "en", 4, seed=0)
    monkeypatch.setattr("mlctl.evaluation.embedding.map_tokens.MAX_TOKENS", 17)
    encoder, tokenizer = open_encoder(trained / "model", "cpu"), AutoTokenizer.from_pretrained(sharded / "tokenizer")
    rows = list(token_rows(encoder, sentences, tokenizer, Pooling((1, 2))))
    assert len(rows) == 16
    assert {(row["language"], row["meaning"]) for row in rows} == {(s.language, s.meaning) for s in sentences}
