"""Small sentence encoders whose tokens are words: one with random weights, and one that knows which words translate each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def save_word_encoder(folder: Path, translations: Mapping[str, str], seed: int = 0, knows: bool = True) -> Path:
    """Save a BERT with random weights; `knows`: words that translate each other have the same embedding."""
    words = list(dict.fromkeys([*translations, *translations.values()]))
    vocabulary = {word: number for number, word in enumerate([*_SPECIAL, *words])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=32, **names).save_pretrained(folder)
    torch.manual_seed(seed)
    model = BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=32, initializer_range=0.5, **_SIZES))
    if knows:
        with torch.no_grad():
            table = model.embeddings.word_embeddings.weight
            for source, target in translations.items():
                table[vocabulary[target]] = table[vocabulary[source]]
            model.embeddings.position_embeddings.weight.zero_()
    model.save_pretrained(folder)
    return folder
