"""Tagged words are read as in running text, by every kind of subword tokenizer, and each keeps its tag."""

import functools
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from mlctl.evaluation.finetuning.examples import NO_TAG, TaggedSentence
from mlctl.evaluation.finetuning.features import IGNORED, Row, rows_of_tags

SENTENCES = [
    "The old captain sells a wooden chair every morning .",
    "My sister doesn't paint the green boat on Sunday !",
    "Le vieux capitaine vend l' horloge cassée d' abord .",
    "Der alte Kapitän malt drei kleine Häuser .",
    "我 喜欢 绿色 的 船 。",
    "ฉัน ชอบ เรือ สีเขียว",
    "Việt Nam 5 000 đồng",
]
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]
KINDS = ("byte-level", "metaspace always", "metaspace first", "metaspace never", "gemma", "wordpiece")


@functools.cache
def tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """A small tokenizer of the kind that a family of models has."""
    if kind == "byte-level":  # RoBERTa, ModernBERT: no space is added before the first word
        backend = Tokenizer(models.BPE(unk_token="<unk>"))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    elif kind == "wordpiece":  # BERT
        backend = Tokenizer(models.WordPiece(unk_token="<unk>"))
        backend.normalizer, backend.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=SPECIAL, show_progress=False)
    elif kind == "gemma":  # spaces are replaced, nothing is split: BPE alone decides
        backend = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=False))
        backend.normalizer = normalizers.Replace(" ", "▁")
        backend.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
        trainer = trainers.BpeTrainer(vocab_size=250, special_tokens=SPECIAL, show_progress=False)
    else:  # XLM-RoBERTa and others
        backend = Tokenizer(models.Unigram())
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=kind.removeprefix("metaspace "))
        trainer = trainers.UnigramTrainer(vocab_size=250, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    backend.train_from_iterator(SENTENCES * 4, trainer)
    ids = [(token, backend.token_to_id(token)) for token in ("<s>", "</s>")]
    backend.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> $B </s>", ids)
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def rows(words: list[str], kind: str, max_length: int = 512) -> list[Row]:
    tags = tuple(str(number) for number in range(len(words)))
    return rows_of_tags([TaggedSentence(tuple(words), tags)], tokenizer(kind), {tag: int(tag) for tag in tags}, max_length)


def labelled(row: Row) -> list[int]:
    return [label for label in row.labels if label != IGNORED]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", SENTENCES)
def test_subwords_are_those_of_the_running_text(kind: str, text: str) -> None:
    words = text.split(" ")
    (row,) = rows(words, kind)
    assert row.input_ids == tokenizer(kind)(text)["input_ids"]
    assert labelled(row) == list(range(len(words)))
    assert [label != IGNORED for label in (row.labels[0], row.labels[-1])] == [False, False]


def test_a_byte_level_tokenizer_reads_words_with_the_space_before_them() -> None:
    (row,) = rows(["The", "old", "captain"], "byte-level")
    tokens = tokenizer("byte-level").convert_ids_to_tokens(list(row.input_ids))
    firsts = [token for token, label in zip(tokens, row.labels, strict=True) if label != IGNORED]
    assert firsts[0].startswith("T")
    assert all(token.startswith("Ġ") for token in firsts[1:])


@pytest.mark.parametrize("kind", ["wordpiece", "metaspace always"])
@pytest.mark.parametrize("text", SENTENCES)
def test_where_words_were_read_as_in_text_before_nothing_changes(kind: str, text: str) -> None:
    """XTREME's protocol, also of languages without spaces: the words of a sentence have a space between them."""
    (row,) = rows(text.split(" "), kind)
    encoded = tokenizer(kind)(text.split(" "), is_split_into_words=True)
    assert row.input_ids == encoded["input_ids"]
    previous = [None, *encoded.word_ids()[:-1]]
    firsts = [word for word, last in zip(encoded.word_ids(), previous, strict=True) if word is not None and word != last]
    assert labelled(row) == firsts


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6).filter(str.strip), min_size=1, max_size=12
    ),
    st.sampled_from(KINDS),
    st.integers(4, 20),
)
def test_every_word_has_one_label_in_order_and_rows_are_short_enough(words: list[str], kind: str, max_length: int) -> None:
    found = rows(words, kind, max_length)
    assert [label for row in found for label in labelled(row)] == list(range(len(words)))
    assert all(len(row.input_ids) == len(row.labels) <= max_length for row in found)
    whole = rows(words, kind)[0].input_ids[1:-1]
    if tokenizer(kind).unk_token_id not in whole:
        assert whole == tokenizer(kind)(" ".join(words), add_special_tokens=False, split_special_tokens=True)["input_ids"]


def test_later_rows_of_a_long_sentence_begin_as_in_the_text() -> None:
    words = SENTENCES[0].split(" ")
    whole = rows(words, "byte-level")[0].input_ids[1:-1]
    short = rows(words, "byte-level", 12)
    assert len(short) > 1
    assert [token for row in short for token in row.input_ids[1:-1]] == whole


def test_words_without_a_subword_of_their_own_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "mlctl")
    (row,) = rows(["The", "\u200b", "captain"], "wordpiece")
    assert labelled(row) == [0, 1, 2]
    assert row.input_ids[row.labels.index(1)] == tokenizer("wordpiece").unk_token_id
    assert "1 of 3 tagged words have no subword of their own" in caplog.text


def test_text_that_looks_like_a_special_token_is_text() -> None:
    (row,) = rows(["a", "</s>", "b"], "byte-level")
    assert tokenizer("byte-level").eos_token_id not in row.input_ids[1:-1]
    assert labelled(row) == [0, 1, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_without_a_tag_is_read_and_has_no_label(kind: str) -> None:
    words = tuple(SENTENCES[0].split())
    label_ids = {"A": 0, "B": 1}
    tags = tuple("A" if number % 2 else "B" for number in range(len(words)))
    (whole,) = rows_of_tags([TaggedSentence(words, tags)], tokenizer(kind), label_ids, 512)
    (partly,) = rows_of_tags([TaggedSentence(words, (NO_TAG, *tags[1:]))], tokenizer(kind), label_ids, 512)
    assert partly.input_ids == whole.input_ids
    first = next(place for place, label in enumerate(whole.labels) if label != IGNORED)
    assert partly.labels == [*whole.labels[:first], IGNORED, *whole.labels[first + 1 :]]
