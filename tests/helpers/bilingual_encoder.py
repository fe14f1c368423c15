"""A small sentence encoder of two made-up languages: each word has the vector of its translation, so that translations are near."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

CONSONANTS, VOWELS = "bdfgklmnprst", "aeiou"


def words(count: int = 400) -> list[str]:
    """Return words of the first language, all different."""
    draw, found = random.Random(7), dict[str, None]()
    while len(found) < count:
        found["".join(draw.choice(CONSONANTS) + draw.choice(VOWELS) for _ in range(draw.randint(2, 3)))] = None
    return list(found)


def translated(sentence: str) -> str:
    """Return the translation: each word is reversed, with an x before it."""
    return " ".join(f"x{word.rstrip('.')[::-1]}" + "." * word.endswith(".") for word in sentence.split())


def sentences(count: int, seed: int = 0, length: tuple[int, int] = (5, 9)) -> list[str]:
    """Return sentences of the first language, all different, each with a full stop."""
    draw, vocabulary, found = random.Random(seed), words(), dict[str, None]()
    while len(found) < count:
        chosen = [draw.choice(vocabulary) for _ in range(draw.randint(*length))]
        found[" ".join(chosen).capitalize() + "."] = None
    return list(found)


def write_encoder(folder: Path, size: int = 64) -> Path:
    """Write the encoder: a BERT without effective layers, whose word embeddings are equal for a word and its translation."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    vocabulary = words()
    types = ["[PAD]", "[UNK]", ".", *vocabulary, *map(translated, vocabulary)]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(types)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", model_max_length=128)
    fast.save_pretrained(folder)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(types), hidden_size=size, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=128, initializer_range=0.02,
    )  # fmt: skip
    model = BertModel(config)
    with torch.no_grad():
        embeddings = model.embeddings.word_embeddings.weight
        embeddings.normal_(0, 1)
        first = 3
        noise = 0.3 * torch.randn(len(vocabulary), size)
        embeddings[first + len(vocabulary) :] = embeddings[first : first + len(vocabulary)] + noise
        embeddings[2] = 0
        model.embeddings.position_embeddings.weight.zero_()
        model.embeddings.token_type_embeddings.weight.zero_()
    model.save_pretrained(folder)
    return folder


def mixed(pairs: int, alone: int, seed: int = 0) -> tuple[list[str], list[str], set[tuple[str, str]]]:
    """Return sentences of either language in random order: translations of one another, and others; and the translations."""
    draw = random.Random(seed)
    source = sentences(pairs + 2 * alone, seed)
    gold = {(sentence, translated(sentence)) for sentence in source[:pairs]}
    first = source[: pairs + alone]
    second: Sequence[str] = [*source[:pairs], *source[pairs + alone :]]
    mine, other = list(first), list(map(translated, second))
    draw.shuffle(mine)
    draw.shuffle(other)
    return mine, other, gold
