"""Small encoders with the tokenizers of published ones: WordPiece, Unigram, and two kinds of BPE; random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaTokenizer,
)

from mlctl.modeling.sentence_config import Pooling
from mlctl.modeling.sentence_transformers_export import write_modules

ENGLISH, FRENCH, GERMAN = ([sentence[number] for sentence in tiny.sentences()] for number in range(3))
RUSSIAN = ["сад и зелёная лодка", "моя сестра рисует лодку", "старый капитан поёт зимой"] * 4
CORPUS = [*ENGLISH, *FRENCH, *GERMAN, *RUSSIAN]
SIZES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 36, "initializer_range": 0.4}
BERTS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


def bert(folder: Path) -> Any:
    """WordPiece as of mBERT."""
    core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer, core.pre_tokenizer = normalizers.BertNormalizer(lowercase=False), pre_tokenizers.BertPreTokenizer()
    core.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=400, special_tokens=[*BERTS.values()], show_progress=False)
    )
    core.decoder = decoders.WordPiece()
    core.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    PreTrainedTokenizerFast(tokenizer_object=core, **BERTS).save_pretrained(folder)
    return BertForMaskedLM(BertConfig(vocab_size=core.get_vocab_size(), max_position_embeddings=40, **SIZES))


def xlmr(folder: Path) -> Any:
    """Unigram as of XLM-R: the mask behind all others, positions that count from the padding's id, more embeddings than tokens."""
    core = Tokenizer(models.Unigram())
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=500, special_tokens=special, unk_token="<unk>", show_progress=False)
    core.train_from_iterator(CORPUS, trainer)
    pieces = [(piece, score) for piece, score in json.loads(core.to_str())["model"]["vocab"] if piece not in special]
    vocabulary = [*((piece, 0.0) for piece in special), *pieces, ("<mask>", 0.0)]
    XLMRobertaTokenizer(vocab=vocabulary).save_pretrained(folder)
    sizes = {"vocab_size": len(vocabulary) + 5, "max_position_embeddings": 50, "pad_token_id": 1, "type_vocab_size": 1}
    return XLMRobertaForMaskedLM(XLMRobertaConfig(**sizes, **SIZES))


def modern_bert(folder: Path, core: Tokenizer) -> Any:
    """A ModernBERT for a tokenizer of BPE that is trained."""
    number = core.token_to_id
    ends = [(token, number(token)) for token in ("<bos>", "<eos>")]
    core.post_processor = processors.TemplateProcessing(single="<bos> $A <eos>", special_tokens=ends)
    names = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", "mask_token": "<mask>"}
    PreTrainedTokenizerFast(tokenizer_object=core, cls_token="<bos>", sep_token="<eos>", **names).save_pretrained(folder)
    ids = {"pad_token_id": number("<pad>"), "bos_token_id": number("<bos>"), "eos_token_id": number("<eos>")}
    ends_of_model = {"cls_token_id": number("<bos>"), "sep_token_id": number("<eos>")}
    sizes = {**SIZES, "vocab_size": core.get_vocab_size(), "max_position_embeddings": 40}
    return ModernBertForMaskedLM(ModernBertConfig(**ids, **ends_of_model, **sizes))


def bpe_with_bytes(folder: Path) -> Any:
    """BPE with a fallback to bytes, as of mmBERT and Gemma: a text is one word."""
    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    core.normalizer, core.decoder = normalizers.Replace(" ", "▁"), decoders.Replace("▁", " ")
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    core.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=900, special_tokens=special, show_progress=False))
    return modern_bert(folder, core)


def bpe_of_bytes(folder: Path) -> Any:
    """BPE over bytes, as of ModernBERT: special tokens have the largest ids."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False))
    core.add_special_tokens(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"])
    return modern_bert(folder, core)


Make = Callable[[Path], Any]
KINDS: list[Make] = [bert, xlmr, bpe_with_bytes, bpe_of_bytes]


def save(folder: Path, make: Make) -> Path:
    """Save an encoder with its tokenizer, both layers pooled, and two prompts, one of them the default."""
    folder.mkdir()
    torch.manual_seed(0)
    make(folder).save_pretrained(folder)
    write_modules(folder, 24, 2, 32, Pooling((1, 2)))
    settings = json.loads((folder / "config_sentence_transformers.json").read_text())
    prompts = {"prompts": {"query": "Suche: ", "passage": "Absatz: "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps({**settings, **prompts}))
    return folder
