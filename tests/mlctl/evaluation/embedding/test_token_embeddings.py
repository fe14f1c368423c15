"""Sentence and word embeddings against states averaged by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from mlctl.errors import InputError
from mlctl.evaluation.embedding.token_embeddings import check_vocabulary, encode, open_encoder, token_states
from mlctl.modeling.sentence_config import Pooling

SENTENCES = [[2, 10, 11, 12, 3], [2, 20, 3], [2, 30, 31, 32, 33, 34, 3], [2, 40, 41, 3]]
SPANS = [(0, 1, 3), (2, 2, 6), (0, 3, 4), (3, 1, 2)]


def by_hand(folder: Path, sentence: list[int]) -> torch.Tensor:
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder).eval()(torch.tensor([sentence]), output_hidden_states=True).hidden_states
    return (states[1] + states[-1])[0]


@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_means_of_first_and_last_layer(trained: Path, batch_rows: int) -> None:
    encoder = open_encoder(trained / "model", "cpu")
    sentences, words = encode(encoder, SENTENCES, SPANS, batch_rows, Pooling((1, 2)))
    for row, sentence in enumerate(SENTENCES):
        torch.testing.assert_close(sentences[row], by_hand(trained / "model", sentence).mean(0), atol=1e-5, rtol=1e-4)
    for index, (row, start, end) in enumerate(SPANS):
        expected = by_hand(trained / "model", SENTENCES[row])[start:end].mean(0)
        torch.testing.assert_close(words[index], expected, atol=1e-5, rtol=1e-4)


def test_states_of_one_sentence(trained: Path) -> None:
    states = token_states(open_encoder(trained / "model", "cpu"), SENTENCES[2], Pooling((1, 2)))
    torch.testing.assert_close(states, by_hand(trained / "model", SENTENCES[2]), atol=1e-5, rtol=1e-4)


def test_ids_of_another_tokenizer_are_an_error(trained: Path) -> None:
    with pytest.raises(InputError, match=r"70 token embeddings.*id 70"):
        check_vocabulary(open_encoder(trained / "model", "cpu"), trained / "model", 70)


def test_a_device_that_is_not_there_is_an_error(trained: Path) -> None:
    with pytest.raises(InputError, match=r"evaluate\.device: 'cuda:77'"):
        open_encoder(trained / "model", "cuda:77")
    with pytest.raises(InputError, match=r"evaluate\.device: 'toaster'"):
        open_encoder(trained / "model", "toaster")
