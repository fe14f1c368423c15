"""Two toy languages, x and y, and a tiny encoder of both: a word and its translation have the same embedding, plus one per language."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from mlctl.alignment.aligner import Links, Pair, Sentence

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
MEANINGS = 26
HIDDEN = 64
torch.set_num_threads(1)  # models this small are slower on more


def word(language: str, meaning: int) -> str:
    """The word of a meaning: two subwords, `xa` and `##xa`."""
    return f"{language}{chr(97 + meaning)}" * 2


def save_encoder(folder: Path, limit: int = 24, layers: int = 3) -> Path:
    """Write an encoder whose layers change their input little, and its tokenizer."""
    types = [language + chr(97 + meaning) for language in "xy" for meaning in range(MEANINGS)]
    vocabulary = [*SPECIAL, *types, *(f"##{piece}" for piece in types)]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=HIDDEN,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=limit,
    )
    model = BertModel(config, add_pooling_layer=False)
    _set_embeddings(model)
    model.save_pretrained(folder)
    words = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=limit, **names).save_pretrained(folder)
    return folder


def _set_embeddings(model: BertModel) -> None:
    table = model.embeddings.word_embeddings.weight.data
    meanings, language = torch.randn(MEANINGS, HIDDEN), torch.randn(HIDDEN)
    pieces = torch.cat([meanings + language, meanings - language])
    table[len(SPECIAL) :] = torch.cat([pieces, pieces])
    model.embeddings.position_embeddings.weight.data *= 0.1


def sentence(words: list[str], joiner: str = " ") -> Sentence:
    """A sentence of words, joined by white space."""
    spans, end = [], 0
    for item in words:
        spans.append((end, end + len(item)))
        end += len(item) + len(joiner)
    return Sentence(joiner.join(words), spans)


def pair(source: list[int], target: list[int]) -> Pair:
    """A sentence pair of meanings in the toy languages x and y."""
    return sentence([word("x", meaning) for meaning in source]), sentence([word("y", meaning) for meaning in target])


def translations(source: list[int], target: list[int]) -> list[list[int]]:
    """The correct links of sentences in which no meaning occurs twice."""
    return [[i, target.index(meaning)] for i, meaning in enumerate(source) if meaning in target]


def listed(links: Links) -> list[list[int]]:
    """Links as lists, after checks of their types, shapes and order."""
    assert links.words.dtype.name == "int32"
    assert links.confidence.dtype.name == "float32"
    assert links.words.shape == (len(links.confidence), 2)
    words: list[list[int]] = links.words.tolist()
    assert words == sorted(words)
    assert len(set(map(tuple, words))) == len(words)
    return words


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The toy languages' tools, and `folder`, their encoder of three layers and 24 tokens."""
    folder = save_encoder(tmp_path_factory.mktemp("toy"))
    tools = (word, sentence, pair, translations, listed, save_encoder)
    return SimpleNamespace(folder=folder, **{tool.__name__: tool for tool in tools})
