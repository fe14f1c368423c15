"""Texts encoded by their chunks get the tokens that the tokenizer gives whole texts, and words numbered by batch are those of the texts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import WordPieceTrainer

from mlctl.sharding import text_identity
from mlctl.sharding.chunk_encoding import ChunkEncoder, can_encode_chunks
from mlctl.sharding.subword_spans import SpanTokenizer
from mlctl.sharding.word_codes import WordCodes, cut_words

TEXT = "The cat's house, an apple.  Überall ist Œuvre! 漢字 の ไทย नमस्ते نص 12,5 ½ ﬁne"
PIECES = [
    *TEXT.split(" "),
    *" ,'é𠀀x",
    " ",
    " ",
    "  ",
    "\u0301",
    "\u094d",
    "\u200d",
    "\u00a0",
    "\u3000",
    "\t",
    "\u0600",
    "at",
    "the",
]
TEXTS = st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), min_size=1, max_size=6)


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator([TEXT] * 3, WordPieceTrainer(vocab_size=90, special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP] [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def sentence_piece(pre_tokenizer: Any, *steps: Any) -> Tokenizer:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁the", "▁c", "at", "漢", "字", "s", "é", "fi", *"aehist,.12½"]
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0 - len(piece) / 9) for piece in pieces], 3))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), *steps])
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


METASPACE = pre_tokenizers.Metaspace()
TOKENIZERS = {
    "BERT": word_piece(),
    "E5": sentence_piece(METASPACE, normalizers.Replace(Regex(" {2,}"), " ")),
    "XLM-R": sentence_piece(pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), METASPACE])),
    "first": sentence_piece(pre_tokenizers.Metaspace(prepend_scheme="first"), normalizers.Strip(left=False)),
}


ODD = ["at\u00a0 at", "at\t at", "at  at", " at", "at ", "at \u0301at", "at\u0600 at", "", " ", "at\u3000at"]


@pytest.mark.parametrize("name", TOKENIZERS)
@example(texts=ODD, later=ODD[::-1], max_length=20)
@given(texts=TEXTS, later=TEXTS, max_length=st.integers(4, 20))
def test_chunks_give_the_tokens_of_whole_texts(name: str, texts: list[str], later: list[str], max_length: int) -> None:
    whole = Tokenizer.from_str(TOKENIZERS[name].to_str())
    whole.encode_special_tokens = True
    assert can_encode_chunks(json.loads(whole.to_str()))
    encoder = ChunkEncoder(Tokenizer.from_str(whole.to_str()), max_length)
    whole.enable_truncation(max_length)
    for batch in (texts, later, texts):  # with what is remembered
        encoding = encoder.encode(batch)
        for number, expected in enumerate(whole.encode_batch(batch)):
            first, last = encoding.bounds[number : number + 2]
            assert encoding.ids[first:last].tolist() == expected.ids, batch[number]
            assert encoding.is_special[first:last].tolist() == list(map(bool, expected.special_tokens_mask))
            assert encoding.is_truncated[number] == bool(expected.overflowing)
        plain, chunked = (SpanTokenizer(TOKENIZERS[name].to_str(), max_length) for _ in range(2))
        plain._tokenizer.enable_truncation(max_length)
        for before, after in zip(
            _arrays(plain._encode_whole, plain, batch), _arrays(encoder.encode, chunked, batch), strict=True
        ):
            np.testing.assert_array_equal(before, after)


def _arrays(encode: Any, tokenizer: SpanTokenizer, texts: list[str]) -> list[Any]:
    """All that spans are found by."""
    tokenizer._encode = encode
    return list(vars(tokenizer.tokenise(texts)).values())


@pytest.mark.parametrize(
    "change",
    [
        lambda tokenizer: setattr(tokenizer, "pre_tokenizer", pre_tokenizers.ByteLevel()),
        lambda tokenizer: setattr(tokenizer, "pre_tokenizer", pre_tokenizers.Metaspace(split=False)),
        lambda tokenizer: setattr(tokenizer, "normalizer", normalizers.Strip()),
        lambda tokenizer: setattr(tokenizer, "normalizer", normalizers.Replace("a b", "c")),
        lambda tokenizer: tokenizer.add_tokens([AddedToken("New York")]),
    ],
)
def test_tokenizers_that_may_look_beyond_a_space_get_whole_texts(change: Any) -> None:
    tokenizer = word_piece()
    assert can_encode_chunks(json.loads(tokenizer.to_str()))
    change(tokenizer)
    assert not can_encode_chunks(json.loads(tokenizer.to_str()))


@given(TEXTS)
def test_words_are_cut_and_numbered(texts: list[str]) -> None:
    array = pa.array(["skipped", *texts, "skipped"])[1:-1]
    words = [[(at, at + 2) for at in range(0, len(text) - 1, 3)] for text in texts]
    bounds = np.cumsum([0, *map(len, words)])
    ranges = np.array([pair for pairs in words for pair in pairs], np.int64).reshape(-1, 2)
    expected = [text[start:end] for text, pairs in zip(texts, words, strict=True) for start, end in pairs]
    cut = cut_words(array, ranges, bounds)
    assert cut.to_pylist() == expected
    folded = WordCodes.encode(cut, bounds).mapped(str.casefold)
    assert [folded.distinct[code] for code in folded.codes.tolist()] == [word.casefold() for word in expected]
    assert len(set(folded.distinct)) == len(folded.distinct)
    assert folded.texts.tolist() == [number for number, pairs in enumerate(words) for _ in pairs]


@given(TEXTS)
def test_a_text_is_normalised_as_in_any_other_company(texts: list[str]) -> None:
    assert text_identity.normalise(texts) == [text_identity.normalise([text])[0] for text in texts]
    words = text_identity.split_words(texts)
    alone = [text_identity.split_words([text]) for text in texts]
    assert [words.distinct[code] for code in words.codes] == [one.distinct[code] for one in alone for code in one.codes]
    assert np.diff(words.bounds).tolist() == [len(one.codes) for one in alone]
    assert all(word and not word.isspace() for word in words.distinct)
