"""A trimmed encoder splits and embeds the text of its languages as the whole one, and predicts the same words of it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_encoders import BERTS, FRENCH, GERMAN, KINDS, RUSSIAN, SIZES, save
from tokenizers import Tokenizer, models
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from mlctl.errors import InputError
from mlctl.modeling.sentence_encoder import SentenceEncoder
from mlctl.modeling.vocabulary_trimming import TOLERANCE, HeldOut, trim_vocabulary

COUNTED = GERMAN[::2]  # with all words of the grammar
TEXTS = {"de": COUNTED}
PROMPTS = ("", "Suche: ", "Absatz: ")
UNSEEN = ["🙂 漁師", "wholly different words"]


@pytest.fixture(scope="module", params=KINDS, ids=lambda make: make.__name__)
def trimmed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Any]:
    """An encoder, the same with the vocabulary of German, and what trimming says."""
    folder = tmp_path_factory.mktemp("models")
    whole = save(folder / "whole", request.param)
    shutil.copytree(whole, folder / "german")
    return whole, folder / "german", trim_vocabulary(folder / "german", TEXTS)


def tokens(folder: Path, texts: Sequence[str]) -> list[list[str]]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return [tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]) for text in texts]


def test_text_of_the_language_is_split_and_embedded_as_before(trimmed: tuple[Path, Path, Any]) -> None:
    whole, german, made = trimmed
    assert tokens(german, COUNTED) == tokens(whole, COUNTED)
    prompted = [f"Absatz: {text}" for text in COUNTED]
    assert tokens(german, prompted) == tokens(whole, prompted)
    vectors = [SentenceEncoder(folder, "cpu").encode(COUNTED) for folder in (whole, german)]
    assert np.abs(vectors[0] - vectors[1]).max() <= TOLERANCE
    assert made.difference <= TOLERANCE
    assert np.linalg.matrix_rank(vectors[0]) > 10, "these vectors tell sentences apart"
    assert made.tokens[1] < 0.75 * made.tokens[0]
    assert made.bytes[1] < made.bytes[0]
    assert made.bytes[1] == (german / "model.safetensors").stat().st_size
    assert made.sentences == {"de": len(COUNTED)}


def test_the_language_modelling_head_predicts_the_same(trimmed: tuple[Path, Path, Any]) -> None:
    whole, german, _ = trimmed
    text = COUNTED[1]
    found = []
    for folder in (whole, german):
        tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder).eval()
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        ids[0, 2] = tokenizer.mask_token_id
        with torch.inference_mode():
            logits = model(input_ids=ids).logits[0]
        named = {token: logits[:, number] for token, number in tokenizer.get_vocab().items() if number < logits.shape[1]}
        found.append(named)
    assert set(found[1]) < set(found[0])
    for token, logits in found[1].items():
        torch.testing.assert_close(logits, found[0][token], atol=1e-5, rtol=0)


def test_other_text_has_characters_or_bytes_and_special_tokens_stay(trimmed: tuple[Path, Path, Any]) -> None:
    whole, german, _ = trimmed
    before, after = (AutoTokenizer.from_pretrained(folder) for folder in (whole, german))
    assert after.special_tokens_map == before.special_tokens_map
    for text in (*UNSEEN, *RUSSIAN[:3], *FRENCH[:20]):
        old, new = (tokenizer(text)["input_ids"] for tokenizer in (before, after))
        assert (new.count(after.unk_token_id) > 0) <= (old.count(before.unk_token_id) > 0), "no text becomes unknown"
        assert after.decode(new, skip_special_tokens=True) == before.decode(old, skip_special_tokens=True)
    assert SentenceEncoder(german, "cpu").encode(UNSEEN).shape == (2, 24)


def test_held_out_text_is_split_as_before_if_its_tokens_are_in_the_other_text(trimmed: tuple[Path, Path, Any]) -> None:
    whole, _, made = trimmed
    held = [text for text in COUNTED if hashlib.sha256(text.encode()).digest()[0] % 20 == 0]
    rest = shutil.copytree(whole, whole.parent / "rest")
    trim_vocabulary(rest, {"de": [text for text in COUNTED if text not in held]})
    same = [
        tokens(rest, [f"{prompt}{text}" for prompt in PROMPTS]) == tokens(whole, [f"{prompt}{text}" for prompt in PROMPTS])
        for text in held
    ]
    assert len(held) > 1
    assert made.heldout["de"] == HeldOut(len(held), sum(same) / len(held))


def test_a_tokenizer_without_pieces_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "words"
    core = Tokenizer(models.WordLevel({token: number for number, token in enumerate([*BERTS.values(), "a"])}, unk_token="[UNK]"))
    PreTrainedTokenizerFast(tokenizer_object=core, **BERTS).save_pretrained(folder)
    BertForMaskedLM(BertConfig(vocab_size=6, max_position_embeddings=40, **SIZES)).save_pretrained(folder)
    with pytest.raises(InputError, match="a tokenizer of the kind WordLevel cannot be trimmed"):
        trim_vocabulary(folder, {"de": ["a"]})
