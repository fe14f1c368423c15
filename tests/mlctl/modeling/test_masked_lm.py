from typing import Any

import pytest
import torch
import transformers

from mlctl.errors import InputError
from mlctl.modeling.masked_lm import MaskedLmHead

COMMON = {
    "vocab_size": 40,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "pad_token_id": 0,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "Bert": COMMON,
    "Roberta": COMMON,
    "XLMRoberta": COMMON,
    "MPNet": COMMON,
    "DebertaV2": COMMON,
    "Electra": {**COMMON, "embedding_size": 8},
    "Albert": {**COMMON, "embedding_size": 4},
    "ModernBert": {**COMMON, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
    "DistilBert": {"vocab_size": 40, "dim": 8, "n_layers": 1, "n_heads": 2, "hidden_dim": 8},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_same_logits_as_the_whole_model(family: str) -> None:
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**FAMILIES[family])
    model = getattr(transformers, f"{family}ForMaskedLM")(config).eval()
    ids, mask = torch.randint(5, 40, (2, 6)), torch.ones(2, 6)
    states = model.base_model(input_ids=ids, attention_mask=mask).last_hidden_state
    expected = model(input_ids=ids, attention_mask=mask).logits
    indices = torch.tensor([1, 4, 8])
    torch.testing.assert_close(MaskedLmHead(model)(states.flatten(0, 1)[indices]), expected.flatten(0, 1)[indices])


def test_unknown_head_is_named() -> None:
    with pytest.raises(InputError, match=r"Identity has no masked-LM head.*\n.*mlm_weight=0"):
        MaskedLmHead(torch.nn.Identity())
