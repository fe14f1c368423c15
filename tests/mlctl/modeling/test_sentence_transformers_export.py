"""sentence-transformers, the real library, reads a saved folder and makes the vectors that mlctl judges by."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaTokenizer,
)

from mlctl.evaluation.embedding.token_embeddings import encode
from mlctl.modeling.encoders import load_encoder
from mlctl.modeling.model_export import save_model
from mlctl.modeling.sentence_config import Pooling, read_sentence_config

WORDS = "der Gärtner malt das grüne Boot jeden Morgen kvinnan läser сад и лодка 漁師 は 歌う".split()
TEXTS = ["der Gärtner malt", "сад и лодка и сад и лодка", "漁師 は 歌う unbekannt", "das", "grüne grüne Boot jeden Morgen läser"]
SIZES = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, "initializer_range": 0.3}

Made = tuple[Path, Tokenizer]


def bert(folder: Path, depth: int, *layers: int) -> Made:
    """A BERT whose tokenizer names a limit below the model's."""
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    vocabulary = [*special.values(), *(word.lower() for word in WORDS)]
    words = Tokenizer(models.WordPiece({word: number for number, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    words.normalizer, words.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=20, **special).save_pretrained(folder / "tokenizer")
    config = BertConfig(vocab_size=len(vocabulary), num_hidden_layers=depth, max_position_embeddings=24, **SIZES)
    return save(BertForMaskedLM(config), folder, *layers)


def xlmr(folder: Path, layers: int) -> Made:
    """An XLM-R, whose positions begin behind that of the padding, with a tokenizer that names no limit."""
    vocabulary = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")]
    vocabulary += [(f"▁{word}", -2.0) for word in WORDS] + [("▁", -5.0), ("<mask>", 0.0)]
    XLMRobertaTokenizer(vocab=vocabulary).save_pretrained(folder / "tokenizer")
    config = XLMRobertaConfig(
        vocab_size=len(vocabulary),
        num_hidden_layers=layers,
        max_position_embeddings=26,
        type_vocab_size=1,
        pad_token_id=1,
        **SIZES,
    )
    return save(XLMRobertaForMaskedLM(config), folder)


def save(model: Any, folder: Path, *layers: int) -> Made:
    with torch.no_grad():  # states that differ much from layer to layer, so that a wrong one shows
        for weights in model.parameters():
            weights.add_(torch.randn_like(weights) * 0.2)
    depth = model.config.num_hidden_layers
    save_model(model, folder / "tokenizer", folder / "model", Pooling(layers or tuple(sorted({1, depth}))))
    return folder / "model", Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))


KINDS = [(bert, 3), (xlmr, 2)]


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind[0].__name__}-{kind[1]}")
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    torch.manual_seed(0)
    make: Callable[[Path, int], Made] = request.param[0]
    return make(tmp_path, request.param[1])


def open_sentences(folder: Path) -> SentenceTransformer:
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def test_the_vectors_are_those_that_mlctl_judges_by(made: Made) -> None:
    compare(*made)


def test_a_single_layer_is_first_and_last(tmp_path: Path) -> None:
    compare(*bert(tmp_path, 1))


@pytest.mark.parametrize("layers", [(4,), (2,), (1, 2), (1, 2, 3, 4), (1, 4)])
def test_other_layers_are_pooled_in_evaluation_too(tmp_path: Path, layers: tuple[int, ...]) -> None:
    folder, tokenizer = bert(tmp_path, 4, *layers)
    compare(folder, tokenizer)
    encoder = load_encoder(folder)
    pooling = pooling_in(folder)
    assert pooling == Pooling(layers)
    ids = torch.tensor([tokenizer.encode(TEXTS[0]).ids])
    hidden = encoder(ids, output_hidden_states=True).hidden_states
    expected = sum(hidden[index] for index in layers).mean(1)
    torch.testing.assert_close(encode(encoder, ids.tolist(), (), 1, pooling)[0], expected)


def pooling_in(folder: Path) -> Pooling:
    config = read_sentence_config(folder)
    assert config
    return config.pooling


def compare(folder: Path, tokenizer: Tokenizer) -> None:
    sentences = open_sentences(folder)
    ids = [encoding.ids for encoding in tokenizer.encode_batch(TEXTS)]
    assert [sentences.tokenizer(text)["input_ids"] for text in TEXTS] == ids
    ours = torch.nn.functional.normalize(encode(load_encoder(folder), ids, (), 2, pooling_in(folder))[0].double())
    theirs = torch.nn.functional.normalize(torch.from_numpy(sentences.encode(TEXTS, batch_size=3)).double())
    assert (ours @ ours.T - torch.eye(len(TEXTS))).max() < 0.999, "the texts must differ for the comparison to mean something"
    torch.testing.assert_close(theirs @ ours.T, ours @ ours.T, atol=1e-5, rtol=0)
    torch.testing.assert_close(sentences.similarity(theirs, theirs), ours @ ours.T, atol=1e-5, rtol=0)


def test_longest_input_is_what_encoder_and_tokenizer_can_take(made: Made) -> None:
    folder, _ = made
    sentences = open_sentences(folder)
    limit = {"bert": 20, "xlm-roberta": 24}[AutoModel.from_pretrained(folder).config.model_type]
    assert sentences.max_seq_length == limit
    short, long = (" ".join(["das"] * count) for count in (limit - 2, 60))
    torch.testing.assert_close(*torch.from_numpy(sentences.encode([short, long])))
    assert not torch.allclose(*torch.from_numpy(sentences.encode([short, short.removesuffix(" das")])))


def test_transformers_reads_the_folder_as_before(made: Made) -> None:
    output = AutoModel.from_pretrained(made[0])(torch.tensor([[2, 5, 3]]))
    assert output.hidden_states is None
    assert output.last_hidden_state.shape == (1, 3, 16)


def test_saved_again_by_sentence_transformers_it_stays_the_same(made: Made, tmp_path: Path) -> None:
    before = open_sentences(made[0])
    before.save_pretrained(str(tmp_path / "again"))
    torch.testing.assert_close(
        torch.from_numpy(open_sentences(tmp_path / "again").encode(TEXTS)), torch.from_numpy(before.encode(TEXTS))
    )
