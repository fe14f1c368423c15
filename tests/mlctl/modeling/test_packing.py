"""Packed encoder passes: the states and gradients of padded ones, for each architecture, and for encoders that cannot be packed."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import AutoConfig, AutoModel

from mlctl.modeling.packing import ATTENTION, Packing, _jagged_attention, _padded_attention, enable_packing, encode_packed

GEOMETRY = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "vocab_size": 40,
    "pad_token_id": 1,
}
MODERN = {"local_attention": 8, "global_attn_every_n_layers": 2}
ARCHITECTURES = {
    "bert": {},
    "camembert": {"max_position_embeddings": 60},
    "modernbert": MODERN,
    "roberta": {"max_position_embeddings": 60},
    "xlm-roberta": {"max_position_embeddings": 60},
    "xlm-roberta-xl": {"max_position_embeddings": 60},
    "electra": {},  # padded
    "distilbert": {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 24},  # padded
}
LENGTHS = np.array([3, 1, 17, 9])


def encoder_of(architecture: str) -> Any:
    """Return an encoder with random weights, in double precision and without dropout."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(architecture, **GEOMETRY | ARCHITECTURES[architecture])
    encoder = AutoModel.from_config(config).double().eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return encoder


def tokens(lengths: np.ndarray = LENGTHS) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(5, 40, lengths.sum()))


def one_by_one(encoder: Any, ids: Tensor) -> list[Tensor]:
    """Return the hidden states of sequences that are encoded alone, so without any padding."""
    outputs = [encoder(input_ids=part[None], output_hidden_states=True).hidden_states for part in ids.split(LENGTHS.tolist())]
    return [torch.cat([states.squeeze(0) for states in layer]) for layer in zip(*outputs, strict=True)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_states_and_gradients_are_those_of_sequences_encoded_alone(architecture: str) -> None:
    encoder, ids = encoder_of(architecture), tokens()
    alone = copy.deepcopy(encoder)
    packs = enable_packing(encoder)
    assert packs == (architecture not in ("electra", "distilbert"))

    states = encode_packed(encoder, ids, Packing.of_lengths(LENGTHS))
    expected = one_by_one(alone, ids)
    assert len(states) == len(expected) == 4
    for layer, expected_layer in zip(states, expected, strict=True):
        torch.testing.assert_close(layer, expected_layer)

    last = [alone(input_ids=part[None]).last_hidden_state.squeeze(0) for part in ids.split(LENGTHS.tolist())]
    torch.testing.assert_close(states[-1], torch.cat(last), msg="a masked-LM head reads the last layer's states")

    weights = torch.randn(len(ids), 16, dtype=torch.float64)
    for layers in (states, expected):
        torch.stack([(layer * weights).sum() for layer in layers]).sum().backward()
    gradients = {name: parameter.grad for name, parameter in alone.named_parameters()}
    for name, parameter in encoder.named_parameters():
        if gradients[name] is not None:
            torch.testing.assert_close(parameter.grad, gradients[name], msg=name)


def test_kernels_for_jagged_tensors_give_the_attention_of_padded_ones() -> None:
    packing = Packing.of_lengths(LENGTHS)
    parts = [torch.randn(LENGTHS.sum(), 2, 8, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    jagged, padded = _jagged_attention(parts, packing, 0.0, 0.3), _padded_attention(parts, packing, 0.0, 0.3, None)
    torch.testing.assert_close(jagged, padded)
    weights = torch.randn_like(jagged)
    gradients = [torch.autograd.grad((output * weights).sum(), parts) for output in (jagged, padded)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta", "modernbert"])
def test_padded_batches_run_as_before(architecture: str) -> None:
    encoder = encoder_of(architecture)
    packed = copy.deepcopy(encoder)
    assert enable_packing(packed)
    assert packed.config._attn_implementation == ATTENTION
    packing = Packing.of_lengths(LENGTHS)
    inputs = {"input_ids": packing.pad(tokens()), "attention_mask": packing.mask}
    before, after = (model(**inputs).last_hidden_state for model in (encoder, packed))
    assert torch.equal(packing.unpad(before), packing.unpad(after))


def test_token_types_are_read() -> None:
    encoder, ids = encoder_of("bert"), tokens()
    types = torch.arange(len(ids)) % 2
    padded = encode_packed(encoder, ids, Packing.of_lengths(LENGTHS), token_types=types)
    enable_packing(encoder)
    packed = encode_packed(encoder, ids, Packing.of_lengths(LENGTHS), token_types=types)
    torch.testing.assert_close(packed[-1], padded[-1])
    assert not torch.allclose(packed[-1], encode_packed(encoder, ids, Packing.of_lengths(LENGTHS))[-1])


def test_the_name_of_the_attention_function_is_not_saved(tmp_path: Any) -> None:
    encoder = encoder_of("bert")
    enable_packing(encoder)
    encoder.save_pretrained(tmp_path)
    assert ATTENTION not in (tmp_path / "config.json").read_text()
    assert AutoModel.from_pretrained(tmp_path).config._attn_implementation != ATTENTION


@given(lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6))
def test_padding_and_back(lengths: list[int]) -> None:
    packing = Packing.of_lengths(np.array(lengths))
    values = torch.arange(1, sum(lengths) + 1).unsqueeze(1) * torch.tensor([1, -1])
    padded = packing.pad(values)
    assert padded.shape == (len(lengths), max(lengths), 2) == (*packing.mask.shape, 2)
    assert packing.longest == max(lengths)
    assert torch.equal(packing.unpad(padded), values)
    assert torch.equal(padded[..., 0] > 0, packing.mask), "zeros elsewhere"
    for index, part in enumerate(values.split(lengths)):
        assert torch.equal(padded[index, : len(part)], part)
        first, last = packing.offsets[index : index + 2].tolist()
        assert torch.equal(values[first:last], part)
        assert packing.positions[first:last].tolist() == list(range(len(part)))
    assert packing.shortest == min(lengths)
