"""A head over a mixture of layers: the formula, and models of several architectures."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from mlctl.modeling.layer_mixture import MIXTURE, LayerMixture, mix_layers

SIZES = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
CONFIGS: dict[str, dict[str, Any]] = {
    "Bert": {},
    "XLMRoberta": {"pad_token_id": 0},
    "Albert": {"embedding_size": 8},
    "Electra": {"embedding_size": 16},
    "DebertaV2": {},
    "RemBert": {"input_embedding_size": 16},
    "BigBird": {"attention_type": "original_full"},
    "ModernBert": {"pad_token_id": 0, "global_attn_every_n_layers": 1},
    "DistilBert": {"vocab_size": 40, "dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32},
}


def test_the_mixture_is_the_weighted_mean_with_its_gradient() -> None:
    torch.manual_seed(0)
    mixture, states = LayerMixture(3).double(), [torch.randn(2, 5, 4, dtype=torch.float64) for _ in range(4)]
    torch.testing.assert_close(mixture(states), torch.stack(states).mean(0))
    with torch.no_grad():
        mixture.logits.copy_(torch.tensor([0.5, -1, 2, 0]))
    shares = mixture.logits.exp() / mixture.logits.exp().sum()
    torch.testing.assert_close(mixture(states), sum(share * state for share, state in zip(shares, states, strict=True)))
    assert torch.autograd.gradcheck(
        lambda logits: torch.func.functional_call(mixture, {"logits": logits}, (states,)), mixture.logits
    )


@pytest.mark.parametrize("auto", [AutoModelForSequenceClassification, AutoModelForTokenClassification])
@pytest.mark.parametrize("kind", CONFIGS)
def test_a_mixture_of_the_last_layer_alone_is_the_model_itself(kind: str, auto: Any) -> None:
    """Another mixture is another model, and its numbers learn."""
    torch.manual_seed(0)
    sizes = CONFIGS[kind] if kind == "DistilBert" else {**SIZES, **CONFIGS[kind]}
    model = auto.from_config(getattr(transformers, f"{kind}Config")(num_labels=3, initializer_range=0.5, **sizes)).eval()
    inputs = {"input_ids": torch.randint(5, 40, (2, 7)), "attention_mask": torch.ones(2, 7, dtype=torch.long)}
    expected = model(**inputs).logits
    mix_layers(model)
    mean = model(**inputs).logits
    assert not torch.allclose(mean, expected, atol=1e-4)
    mean.square().sum().backward()
    logits = getattr(model, MIXTURE).logits
    assert logits.shape == (4,)
    assert logits.grad.abs().min() > 0
    with torch.no_grad():
        logits[-1] = 100
        torch.testing.assert_close(model(**inputs).logits, expected)
