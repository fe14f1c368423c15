"""A folder's sentence encoder makes the unit vectors that sentence-transformers makes from the same folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_encoders import publish_with_dense
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel

from mlctl.errors import InputError
from mlctl.modeling.sentence_encoder import SentenceEncoder

TEXTS = ["a b c", "d", "e e a b d c a", "b a", "d"]


@pytest.fixture
def encoder(tokenizer_folder: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "encoder"
    torch.manual_seed(2)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=10, initializer_range=0.6, **sizes)).save_pretrained(folder)
    shutil.copytree(tokenizer_folder, folder, dirs_exist_ok=True)
    return folder


def assert_same_as_library(folder: Path) -> None:
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, normalize_embeddings=True)
    vectors = SentenceEncoder(folder, device="cpu", batch_rows=2).encode(TEXTS)
    assert vectors.shape == expected.shape
    assert np.allclose(vectors, expected, atol=1e-5)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_folder_without_modules_is_pooled_as_the_mean_of_its_last_layer(encoder: Path) -> None:
    assert_same_as_library(encoder)


def test_pooling_modules_and_prompt_of_the_folder_are_used(encoder: Path) -> None:
    publish_with_dense(encoder, 8, 5)
    (encoder / "config_sentence_transformers.json").write_text(
        json.dumps({"prompts": {"query": "a b "}, "default_prompt_name": "query"}), encoding="utf-8"
    )
    assert SentenceEncoder(encoder, device="cpu").vector_size == 5
    assert_same_as_library(encoder)


def test_no_text_has_no_vectors(encoder: Path) -> None:
    assert SentenceEncoder(encoder, device="cpu").encode([]).shape == (0, 8)


def test_folder_without_encoder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        SentenceEncoder(tmp_path, device="cpu")
