from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from mlctl.alignment.word_tokenization import WordTokenizer
from mlctl.sharding import tokenizer as trained
from mlctl.sharding.subword_spans import SpanTokenizer

# Words apart by |, so that the places of words are known in scripts with and without spaces.
SENTENCES = {
    "fr": "Les| |enfants| |mangent| |l'|été| |des| |pommes| |rouges|.",
    "de": "Die| |Straßenbahn| |fährt| |über| |die| |Brücke|.",
    "ru": "Дети| |читают| |интересные| |книги|.",
    "ar": "الأطفال| |يقرؤون| |الكتب| |في| |المدرسة|.",
    "zh": "孩子|们|喜欢|看书|。",
    "ja": "子供|たち|は|コンピューター|が|好き|です|。",
    "th": "เด็ก|ชอบ|อ่าน|หนังสือ",
    "hi": "बच्चे| |किताबें| |पढ़ते| |हैं|।",
    "emoji": "I| |😀| |like| |𠀀𠀁| |it|!",
}
TEXTS = {language: marked.replace("|", "") for language, marked in SENTENCES.items()}
WORDS = {
    language: marked.split("|") for language, marked in SENTENCES.items()
}  # tokenizers are trained on: no piece is two words


def marked_spans(marked: str) -> list[tuple[int, int]]:
    ends = list(itertools.accumulate(map(len, marked.split("|")), initial=0))
    return [(start, end) for start, end in itertools.pairwise(ends) if not marked.replace("|", "")[start:end].isspace()]


@cache
def wordpiece(language: str) -> Tokenizer:
    return trained._train(200, lambda: [[*WORDS[language] * 3, TEXTS[language]]])


@cache
def unigram(language: str) -> Tokenizer:
    """As XLM-R's: white space becomes ▁."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(vocab_size=40, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(WORDS[language], trainer)
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    )
    return tokenizer


@cache
def byte_level_trimmed(language: str) -> Tokenizer:
    """As RoBERTa's: a character may be several tokens."""
    tokenizer = byte_level(language)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return tokenizer


@cache
def byte_level_with_spaces(language: str) -> Tokenizer:
    """As GPT-2's: a token's characters may begin with the space before its word."""
    tokenizer = byte_level(language)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def byte_level(language: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False)
    words = [space + word for word in WORDS[language] for space in ("", " ")]
    tokenizer.train_from_iterator(words * 3, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


KINDS = [wordpiece, unigram, byte_level_trimmed, byte_level_with_spaces]


def spans_of(encoder: SpanTokenizer, text: str, words: Sequence[tuple[int, int]]) -> tuple[list[int], list[tuple[int, int]]]:
    """Encode the text between two others, so that its index in the batch matters, and return its ids and the words' spans."""
    coded = encoder.tokenise(["x 世界", text, "", text])
    spans = coded.spans(np.full(len(words), 1), np.array(words, dtype=np.int64).reshape(-1, 2))
    return coded.ids[coded.bounds[1] : coded.bounds[2]].tolist(), [(int(start), int(end)) for start, end in spans]


def plain(text: str) -> str:
    return "".join(text.lower().replace("##", "").split())


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_span_covers_exactly_the_words_subwords(kind: Callable[[str], Tokenizer], language: str) -> None:
    tokenizer = kind(language)
    text, words = TEXTS[language], marked_spans(SENTENCES[language])
    ids, spans = spans_of(SpanTokenizer(tokenizer.to_str(), 128), text, words)
    exact = 0
    for (start, end), (first, last) in zip(words, spans, strict=True):
        if first >= 0:
            exact += 1
            assert plain(tokenizer.decode(ids[first:last])) == plain(text[start:end])
            assert plain(tokenizer.decode(ids[:first])) == plain(text[:start])
            assert plain(tokenizer.decode(ids[last:])) == plain(text[end:])
        else:  # a subword crosses the word's border: no range of tokens is the word
            ranges = itertools.combinations(range(len(ids) + 1), 2)
            assert not any(
                plain(tokenizer.decode(ids[a:b])) == plain(text[start:end])
                and plain(tokenizer.decode(ids[:a])) == plain(text[:start])
                for a, b in ranges
            )
    assert exact >= 0.6 * len(words)


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_block_of_words_has_the_range_from_its_first_to_its_last(kind: Callable[[str], Tokenizer], language: str) -> None:
    tokenizer = kind(language)
    text, words = TEXTS[language], marked_spans(SENTENCES[language])
    encoder = SpanTokenizer(tokenizer.to_str(), 128)
    ids, single = spans_of(encoder, text, words)
    for length in (2, 3):
        blocks = [(first[0], last[1]) for first, last in zip(words, words[length - 1 :], strict=False)]
        _, spans = spans_of(encoder, text, blocks)
        for number, ((start, end), (first, last)) in enumerate(zip(blocks, spans, strict=True)):
            inner = single[number : number + length]
            if all(one[0] >= 0 for one in inner):
                assert (first, last) == (inner[0][0], inner[-1][1])
            if first >= 0:
                assert plain(tokenizer.decode(ids[first:last])) == plain(text[start:end])


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("fi", "EU:ssa ja USA:n k:lo"),
        ("ca", "la il·lusió de col·laborar"),
        ("uk", "Прив'язана п’є сім’ю"),
        ("uz", "Oʻzbekiston g'alaba G‘arb"),
        ("he", 'צה"ל עם ג׳ירפה'),
        ("km", "ភាសា\u200bខ្មែរ\u200bល្អ"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_words_with_punctuation_inside_have_whole_spans(kind: Callable[[str], Tokenizer], language: str, text: str) -> None:
    words = WordTokenizer(language).spans(text)
    WORDS[language] = [text[start:end] for start, end in words]
    TEXTS[language] = text.replace("\u200b", " ")
    tokenizer = kind(language)
    ids, spans = spans_of(SpanTokenizer(tokenizer.to_str(), 128), text, words)
    for (start, end), (first, last) in zip(words, spans, strict=True):
        if first < 0:  # BERT's normaliser removes word borders: a subword can cross them
            assert (kind, language) == (wordpiece, "km")
        else:
            assert plain(tokenizer.decode(ids[first:last])).strip("\u200b") == plain(text[start:end])


def ids_of(pieces: Iterable[str], tokenizer: Tokenizer) -> list[int]:
    return [tokenizer.token_to_id(piece) for piece in pieces]


def hand_made() -> Tokenizer:
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "un", "##der", "##stand", "we", "the", "##y", "mask", "[", "]", "."]
    tokenizer = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(pieces[:5])
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def test_a_hand_computed_example() -> None:
    text = "We understand  they."
    ids, spans = spans_of(
        SpanTokenizer(hand_made().to_str(), 16), text, [(0, 2), (3, 13), (15, 19), (19, 20), (3, 8), (15, 20), (0, 13)]
    )
    assert ids == ids_of(["[CLS]", "we", "un", "##der", "##stand", "the", "##y", ".", "[SEP]"], hand_made())
    assert spans == [(1, 2), (2, 5), (5, 7), (7, 8), (2, 4), (5, 8), (1, 5)]
    _, inside = spans_of(SpanTokenizer(hand_made().to_str(), 16), text, [(4, 13), (3, 9), (16, 19), (15, 16)])
    assert inside == [(-1, -1)] * 4


def test_unknown_words_have_no_span_and_special_words_in_a_text_are_words() -> None:
    text = "we xyz [MASK]"
    ids, spans = spans_of(SpanTokenizer(hand_made().to_str(), 16), text, [(0, 2), (3, 6), (7, 13), (8, 12)])
    assert spans == [(1, 2), (-1, -1), (3, 6), (4, 5)]
    assert hand_made().token_to_id("[MASK]") not in ids


@pytest.mark.parametrize(("max_length", "expected"), [(9, (6, 8)), (8, None), (7, None), (6, None), (5, None)])
def test_a_word_that_was_cut_has_no_span(max_length: int, expected: tuple[int, int] | None) -> None:
    text = "we we we we we they"  # [CLS] we we we we we the ##y [SEP]
    ids, spans = spans_of(SpanTokenizer(hand_made().to_str(), max_length), text, [(15, 19), (0, 2)])
    assert len(ids) == min(9, max_length)
    assert spans == [expected or (-1, -1), (1, 2)]


def test_padding_and_truncation_that_a_tokenizer_brings_along_do_not_count() -> None:
    tokenizer = hand_made()
    tokenizer.enable_padding(length=32)
    tokenizer.enable_truncation(3)
    ids, spans = spans_of(SpanTokenizer(tokenizer.to_str(), 16), "we they", [(3, 7)])
    assert len(ids) == 5
    assert spans == [(2, 4)]


def test_no_text_and_no_words() -> None:
    encoder = SpanTokenizer(hand_made().to_str(), 16)
    assert encoder.tokenise([]).spans(np.empty(0, np.int64), np.empty((0, 2), np.int64)).shape == (0, 2)
    assert spans_of(encoder, "", [])[1] == []
