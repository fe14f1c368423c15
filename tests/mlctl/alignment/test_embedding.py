import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from transformers import AutoModel, AutoTokenizer

from mlctl.alignment.aligner import Sentence
from mlctl.alignment.embedding import ENCODER_FILE, EmbeddingAligner
from mlctl.config.align import Align
from mlctl.errors import InputError
from mlctl.modeling.word_encoder import WordEncoder, default_layer
from mlctl.modeling.word_similarity import centred, length_batches

CPU = torch.device("cpu")


def aligner(folder: Path, **changed: Any) -> EmbeddingAligner:
    return EmbeddingAligner(Align(engine="embedding", device="cpu", **changed), folder)


@pytest.mark.parametrize("extraction", ["argmax", "itermax", "softmax"])
@pytest.mark.parametrize("layer", [-1, 0, 1, 3])
def test_words_of_one_meaning_are_linked(toy: SimpleNamespace, extraction: str, layer: int) -> None:
    sides = [([0, 1, 2, 3], [3, 1, 0, 2]), ([4, 5, 6, 7, 8, 9], [9, 4, 8, 5, 7, 6]), ([10, 11], [11, 10]), ([3], [3])]
    result = aligner(toy.folder, extraction=extraction, layer=layer, threshold=0.2).align([toy.pair(*pair) for pair in sides])
    assert [toy.listed(links) for links in result] == [toy.translations(*pair) for pair in sides]
    assert all((links.confidence > 0.3).all() for links in result)


def test_words_without_a_translation_stay_alone(toy: SimpleNamespace) -> None:
    pair = toy.pair([0, 1, 2, 13], [2, 15, 0, 1])
    assert toy.listed(aligner(toy.folder, extraction="softmax", threshold=0.3).align([pair])[0]) == [[0, 2], [1, 3], [2, 0]]


@pytest.mark.parametrize("sides", [([3], [5, 3, 8]), ([5, 3, 8], [3])])
def test_a_word_alone_finds_its_translation(toy: SimpleNamespace, sides: tuple[list[int], list[int]]) -> None:
    assert toy.listed(aligner(toy.folder, extraction="argmax").align([toy.pair(*sides)])[0]) == toy.translations(*sides)


@given(st.lists(st.tuples(*[st.lists(st.integers(0, 25), min_size=1, max_size=14)] * 2), min_size=1, max_size=6))
@settings(deadline=None, max_examples=30)
def test_links_are_words_of_both_sides_in_any_batch(toy: SimpleNamespace, sides: list[tuple[list[int], list[int]]]) -> None:
    pairs = [toy.pair(*pair) for pair in sides]
    result = aligner(toy.folder, extraction="softmax", threshold=0.1).align(pairs)
    assert len(result) == len(pairs)
    for (source, target), links in zip(sides, result, strict=True):
        assert all(i < len(source) and j < len(target) for i, j in toy.listed(links))
        assert ((links.confidence >= 0) & (links.confidence <= 1)).all()


@pytest.mark.parametrize("batch_tokens", [16, 100, 8192])
def test_other_pairs_change_nothing(toy: SimpleNamespace, batch_tokens: int) -> None:
    numbers = np.random.default_rng(0)
    pairs = [toy.pair(*(numbers.integers(0, 26, numbers.integers(1, 10)).tolist() for _ in "xy")) for _ in range(40)]
    alone = aligner(toy.folder)
    together = aligner(toy.folder, batch_tokens=batch_tokens).align(pairs)
    for pair, links in zip(pairs, together, strict=True):
        single = alone.align([pair])[0]
        assert toy.listed(links) == toy.listed(single)
        np.testing.assert_allclose(links.confidence, single.confidence, atol=1e-5)
    again = aligner(toy.folder, batch_tokens=batch_tokens).align(pairs)
    assert all(np.array_equal(expected.confidence, actual.confidence) for expected, actual in zip(together, again, strict=True))


def test_words_behind_the_limit_have_no_link(toy: SimpleNamespace) -> None:
    words = list(range(20))  # 22 tokens of two subwords a word: 11 whole words
    result = toy.listed(aligner(toy.folder).align([toy.pair(words, words)])[0])
    assert result == [[word, word] for word in range(11)]


def test_a_word_that_is_cut_has_no_link(toy: SimpleNamespace, tmp_path: Path) -> None:
    folder = toy.save_encoder(tmp_path / "short", limit=9)  # 7 tokens: three words and a half
    words = list(range(5))
    assert toy.listed(aligner(folder).align([toy.pair(words, words)])[0]) == [[0, 0], [1, 1], [2, 2]]


def test_words_that_leave_no_token_have_no_link(toy: SimpleNamespace) -> None:
    source, target = toy.pair([0, 1, 2], [2, 0, 1])
    spaced = Sentence(source.text + "  ", [*source.spans, (len(source.text), len(source.text) + 1)])
    for extraction in ("argmax", "itermax", "softmax"):
        assert toy.listed(aligner(toy.folder, extraction=extraction).align([(spaced, target)])[0]) == [[0, 1], [1, 2], [2, 0]]
    blank = Sentence(" ", [(0, 1)])
    assert toy.listed(aligner(toy.folder).align([(blank, target)])[0]) == []


def test_no_pair_no_links(toy: SimpleNamespace) -> None:
    assert aligner(toy.folder).align([]) == []


def test_a_text_that_names_special_tokens(toy: SimpleNamespace) -> None:
    padding = 0
    sentence = toy.sentence([toy.word("x", 1), "[PAD]", toy.word("x", 2)])
    (tokens,) = WordEncoder(toy.folder, 0, CPU).tokenise([sentence.text], [sentence.spans])
    assert padding not in tokens.input_ids
    assert all(start < end for start, end in tokens.word_spans)


def test_word_vectors_are_means_of_the_named_layer(toy: SimpleNamespace) -> None:
    sentence = toy.sentence([toy.word("x", 4), toy.word("x", 7), toy.word("x", 1)])
    model, tokenizer = AutoModel.from_pretrained(toy.folder).eval(), AutoTokenizer.from_pretrained(toy.folder)
    with torch.no_grad():
        states = model(**tokenizer(sentence.text, return_tensors="pt"), output_hidden_states=True).hidden_states
    for layer in range(4):
        encoder = WordEncoder(toy.folder, layer, CPU)
        result = encoder.encode(encoder.tokenise([sentence.text], [sentence.spans]))
        expected = [states[layer][0, 1 + 2 * word : 3 + 2 * word].mean(0) for word in range(3)]
        torch.testing.assert_close(result, torch.stack(expected))


def test_a_subword_over_two_words_counts_for_both(toy: SimpleNamespace) -> None:
    encoder = WordEncoder(toy.folder, 0, CPU)
    text = toy.word("x", 4) + toy.word("x", 4)  # xexexexe
    whole, halves = encoder.tokenise([text] * 2, [[(0, 8)], [(0, 3), (3, 8)]])
    assert whole.word_spans.tolist() == [[1, 5]]
    assert halves.word_spans.tolist() == [[1, 3], [2, 5]]


def test_usual_layer() -> None:
    assert [default_layer(depth) for depth in (1, 2, 3, 6, 12, 24)] == [1, 1, 2, 4, 7, 14]


def test_centred_sentences() -> None:
    several, alone = torch.tensor([[[1.0], [3.0], [99.0]]]), torch.tensor([[[7.0], [99.0], [99.0]]])
    real, first = torch.tensor([[True, True, False]]), torch.tensor([[True, False, False]])
    assert centred([several, several], [real, real])[0][0, :2].flatten().tolist() == [-1.0, 1.0]
    assert centred([alone, several], [first, real])[0][0, 0].tolist() == [5.0]
    assert centred([several, alone], [real, first])[1][0, 0].tolist() == [5.0]
    assert centred([alone, alone], [first, first])[0][0, 0].tolist() == [7.0]


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=60), st.integers(16, 200))
def test_batches_hold_every_pair_once_and_no_more_than_asked(lengths: list[tuple[int, int]], most: int) -> None:
    result = list(length_batches(lengths, most))
    assert sorted(row for batch in result for row in batch) == list(range(len(lengths)))
    for batch in result:
        assert len(batch) == 1 or 2 * len(batch) * max(max(lengths[row]) for row in batch) <= most


def test_saved_and_loaded(toy: SimpleNamespace, tmp_path: Path) -> None:
    first = aligner(toy.folder)
    first.train([])
    first.save(tmp_path)
    assert set(json.loads((tmp_path / ENCODER_FILE).read_text())) == {"encoder", "layer"}
    pair = toy.pair([1, 2, 3], [2, 3, 1])
    loaded = EmbeddingAligner.load(Align(engine="embedding", device="cpu"), toy.folder, tmp_path)
    assert toy.listed(loaded.align([pair])[0]) == toy.translations([1, 2, 3], [2, 3, 1])
    with pytest.raises(InputError, match="was saved with another encoder"):
        EmbeddingAligner.load(Align(engine="embedding", device="cpu", layer=1), toy.folder, tmp_path)
    other = toy.save_encoder(tmp_path / "other", layers=2)
    with pytest.raises(InputError, match="was saved with another encoder"):
        EmbeddingAligner.load(Align(engine="embedding", device="cpu", layer=2), other, tmp_path)


def test_wrong_encoders_are_named(toy: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json cannot be read"):
        aligner(tmp_path)
    with pytest.raises(InputError, match=r"align\.layer is 4, but the encoder has 3 layers"):
        aligner(toy.folder, layer=4)
    with pytest.raises(InputError, match=r"align\.device"):
        EmbeddingAligner(Align(engine="embedding", device="cuda:77"), toy.folder)
    bare = toy.save_encoder(tmp_path / "bare")
    (bare / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="tokenizer"):
        aligner(bare)


def test_a_tokenizer_of_another_encoder_is_named(toy: SimpleNamespace, tmp_path: Path) -> None:
    folder = toy.save_encoder(tmp_path / "mixed")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] |= {f"new{number}": 109 + number for number in range(9)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(InputError, match="109 token embeddings, its tokenizer 118 types"):
        aligner(folder)
