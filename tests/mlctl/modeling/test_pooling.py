from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertModel

from mlctl.errors import InputError
from mlctl.modeling.pooling import encode_tokens, full_precision, layer_numbers, mean_pool, pad, pad_batch, span_pool


def stub(*layers: list[list[list[float]]]) -> object:
    """Stand in for an encoder whose layers give these states whatever it is fed."""
    hidden = tuple(torch.tensor(layer) for layer in layers)
    return lambda **_: SimpleNamespace(hidden_states=hidden, last_hidden_state=hidden[-1])


def test_hand_computed_cce() -> None:
    # Two sentences of H = 2; the second is one token shorter. First layer, then last: sums worked out by hand.
    embeddings = [[[9.0, 9], [9, 9], [9, 9]], [[9, 9], [9, 9], [9, 9]]]
    first = [[[1.0, 0], [2, 0], [3, 0]], [[4, 1], [6, 1], [100, 100]]]
    middle = [[[50.0, 50], [50, 50], [50, 50]]] * 2
    last = [[[0.0, 1], [0, 2], [0, 6]], [[0, 1], [2, 3], [100, 100]]]
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    states = encode_tokens(stub(embeddings, first, middle, last), torch.zeros(2, 3), mask)
    assert states.tolist() == [[[1, 1], [2, 2], [3, 6]], [[4, 2], [8, 4], [200, 200]]]
    assert mean_pool(states, mask).tolist() == [[2, 3], [6, 3]]
    words = span_pool(states, np.array([[0, 1, 3], [1, 1, 2], [0, 0, 1]]))
    assert words.tolist() == [[2.5, 4], [8, 4], [1, 1]]


def test_layers_of_a_real_encoder() -> None:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=3, num_attention_heads=2, intermediate_size=8)
    encoder = BertModel(config).eval()
    ids, mask = torch.randint(20, (2, 5)), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    states = encode_tokens(encoder, ids, mask)
    kept: dict[int, torch.Tensor] = {}
    for number in (0, 2):
        encoder.encoder.layer[number].register_forward_hook(
            lambda _m, _i, out, number=number: kept.__setitem__(number, out[0] if isinstance(out, tuple) else out)
        )
    encoder(input_ids=ids, attention_mask=mask)
    torch.testing.assert_close(states, kept[0] + kept[2])


@pytest.mark.parametrize(
    ("layers", "sums"), [("first-and-last", 10001), ("last", 10000), ("all", 11101), ((2,), 100), ((1, 3), 1001), ((4, 1), 10001)]
)
def test_layers_are_added_up(layers: str | tuple[int, ...], sums: float) -> None:
    hidden = [[[[number]]] for number in (0.5, 1.0, 100.0, 1000.0, 10000.0)]
    states = encode_tokens(stub(*hidden), torch.zeros(1, 1), torch.ones(1, 1), layer_numbers(layers, 4))
    assert states.item() == sums


def test_a_layer_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"train\.layers names layer 5, but the encoder has 4\n.*up to 4"):
        layer_numbers((1, 5), 4)


@given(st.lists(st.lists(st.integers(0, 99), max_size=6), min_size=1, max_size=5), st.integers(0, 9))
def test_padded_batch(sequences: list[list[int]], pad_id: int) -> None:
    input_ids, attention_mask = pad_batch(sequences, pad_id)
    width = max(map(len, sequences))
    assert input_ids.tolist() == [ids + [pad_id] * (width - len(ids)) for ids in sequences]
    assert attention_mask.tolist() == [[1] * len(ids) + [0] * (width - len(ids)) for ids in sequences]
    assert input_ids.dtype == attention_mask.dtype == torch.int64
    assert torch.equal(pad([np.array(ids, np.int32) for ids in sequences], pad_id), input_ids)


def test_padding_does_not_matter() -> None:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8)
    encoder = BertModel(config).eval()
    short = torch.tensor([[3, 4, 5]])
    long = torch.tensor([[3, 4, 5, 0, 0, 0]])
    one = mean_pool(encode_tokens(encoder, short, torch.ones(1, 3)), torch.ones(1, 3))
    mask = torch.tensor([[1, 1, 1, 0, 0, 0]])
    torch.testing.assert_close(one, mean_pool(encode_tokens(encoder, long, mask), mask))


@given(st.data())
def test_spans_against_a_loop(data: st.DataObject) -> None:
    sentences, length = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    span = st.tuples(st.integers(0, sentences - 1), st.integers(0, length - 1), st.integers(1, length))
    spans = data.draw(st.lists(span.filter(lambda s: s[1] < s[2]), max_size=8))
    states = torch.randn(sentences, length, 3, dtype=torch.float64)
    expected = np.array([states[row, start:end].mean(0).numpy() for row, start, end in spans]).reshape(-1, 3)
    np.testing.assert_allclose(span_pool(states, np.array(spans, np.int64).reshape(-1, 3)).numpy(), expected, rtol=1e-12)


def test_gradient_of_spans() -> None:
    states = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)
    where = np.array([[0, 0, 2], [0, 1, 4], [1, 2, 3]])  # two spans overlap
    assert torch.autograd.gradcheck(lambda s: span_pool(s, where), states)


def test_half_precision_is_widened() -> None:
    assert full_precision(torch.ones(1, dtype=torch.bfloat16)).dtype == torch.float32
    assert full_precision(torch.ones(1, dtype=torch.float64)).dtype == torch.float64
