"""Small translation models: one that is trained to translate word by word, others with random weights of each family."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from tokenizers import Tokenizer
from tokenizers.decoders import Metaspace as MetaspaceDecoder
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from tokenizers.processors import TemplateProcessing
from transformers import (
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Tokenizer,
    MarianConfig,
    MarianMTModel,
    MarianTokenizer,
    NllbTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

#: The training data: every word has one translation.
WORDS = {
    "the": "le", "cat": "chat", "dog": "chien", "house": "maison", "sees": "voit", "walks": "marche", "under": "sous",
    "over": "sur", "green": "vert", "old": "vieux", "new": "neuf", "boat": "bateau", "river": "fleuve", "and": "et",
    "sleeps": "dort", "bird": "oiseau", "sings": "chante", "child": "enfant", "reads": "lit", "book": "livre",
}  # fmt: skip


def sentences(number: int, seed: int = 0, most: int = 12) -> list[str]:
    """Return sentences of 1 to `most` words, all different."""
    draw = random.Random(seed)
    distinct: dict[str, None] = {}
    while len(distinct) < number:
        distinct[" ".join(draw.choices(list(WORDS), k=draw.randint(1, most)))] = None
    return list(distinct)


def translated(sentence: str) -> str:
    """Return the translation of a perfect model."""
    return " ".join(WORDS[word] for word in sentence.split())


def train_marian(folder: Path, steps: int = 300, width: int = 64) -> Path:
    """Train a Marian on the word map and save it. Seconds on one core; deterministic."""
    folder.mkdir(parents=True)
    vocabulary = _save_vocabulary(folder)
    tokenizer = MarianTokenizer(str(folder / "source.spm"), str(folder / "target.spm"), str(folder / "vocab.json"))
    model = _marian(vocabulary, width)
    _fit(model, tokenizer, steps)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _save_vocabulary(folder: Path) -> dict[str, int]:
    text = [text for sentence in sentences(400) for text in (sentence, translated(sentence))]
    for side in ("source", "target"):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(text),
            model_prefix=str(folder / side),
            vocab_size=90,
            hard_vocab_limit=False,
            model_type="unigram",
            minloglevel=2,
        )
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
    known = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    pieces = [known.id_to_piece(number) for number in range(3, known.get_piece_size())]
    vocabulary = {piece: number for number, piece in enumerate(["</s>", "<unk>", *pieces, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    return vocabulary


def _marian(vocabulary: dict[str, int], width: int) -> MarianMTModel:
    torch.manual_seed(0)
    pad = vocabulary["<pad>"]
    config = MarianConfig(
        vocab_size=len(vocabulary),
        d_model=width,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        max_position_embeddings=64,
        activation_function="swish",
        scale_embedding=True,
        init_std=0.1,
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
        forced_eos_token_id=0,  # as published models have it
        dropout=0.0,
    )
    model = MarianMTModel(config)
    model.generation_config.bad_words_ids = [[pad]]
    return model


def _fit(model: MarianMTModel, tokenizer: Any, steps: int) -> None:
    pad, embedding = tokenizer.pad_token_id, model.model.shared.weight
    with torch.no_grad():
        embedding[pad] = 0
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.0, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=steps)
    text = sentences(2000, seed=1)
    model.train()
    for step in range(steps):
        loss = model(**_batch(tokenizer, [text[(step * 32 + row) % len(text)] for row in range(32)])).loss
        loss.backward()
        embedding.grad[pad] = 0  # the converter starts outputs from zeros
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
    model.eval()


def _batch(tokenizer: Any, texts: Sequence[str]) -> dict[str, torch.Tensor]:
    batch = tokenizer(list(texts), text_target=[translated(text) for text in texts], padding=True, return_tensors="pt")
    batch["labels"][batch["labels"] == tokenizer.pad_token_id] = -100
    return dict(batch)


def _pieces(folder: Path) -> list[str]:
    text = [text for sentence in sentences(200) for text in (sentence, translated(sentence))]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text), model_prefix=str(folder / "sp"), vocab_size=90, hard_vocab_limit=False, minloglevel=2
    )
    known = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sp.model"))
    return [known.id_to_piece(number) for number in range(3, known.get_piece_size())]


def save_m2m(folder: Path) -> Path:
    """Save an M2M-100 with random weights: the source's code before the text, the target's before the output."""
    folder.mkdir(parents=True)
    known = ["<s>", "<pad>", "</s>", "<unk>", *_pieces(folder)]
    (folder / "vocab.json").write_text(json.dumps({piece: n for n, piece in enumerate(known)}), encoding="utf-8")
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(folder / "sp.model"), src_lang="de")
    languages = max(tokenizer.lang_code_to_id.values()) + 1
    return _save_random(folder, tokenizer, languages + tokenizer.num_madeup_words)


def save_nllb(folder: Path) -> Path:
    """Save a model with NLLB's tokenizer: codes such as fra_Latn."""
    folder.mkdir(parents=True)
    characters = ["▁", *sorted(set("".join(WORDS) + "".join(WORDS.values())))]
    vocabulary = {piece: n for n, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *characters])}
    tokenizer = NllbTokenizer(vocab=vocabulary, merges=[], src_lang="deu_Latn")
    return _save_random(folder, tokenizer, len(tokenizer))


def save_madlad(folder: Path) -> Path:
    """Save a T5 whose texts begin with the target language: <2fr>."""
    folder.mkdir(parents=True)
    known = ["<unk>", "<s>", "</s>", "<2fr>", "<2de>", *_pieces(folder)]
    core = Tokenizer(Unigram([(piece, -float(n > 4)) for n, piece in enumerate(known)], unk_id=0))
    core.pre_tokenizer, core.decoder = Metaspace(), MetaspaceDecoder()
    core.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", unk_token="<unk>", pad_token="<s>")
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(known), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_decoder_layers=1, num_heads=2, pad_token_id=1,
        eos_token_id=2, decoder_start_token_id=0, feed_forward_proj="gated-gelu", initializer_factor=3.0, tie_word_embeddings=False,
    )  # fmt: skip
    model = T5ForConditionalGeneration(config)
    with torch.no_grad():
        model.lm_head.weight[2] *= 3  # so that some outputs end
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _save_random(folder: Path, tokenizer: Any, vocabulary: int) -> Path:
    torch.manual_seed(0)
    config = M2M100Config(
        vocab_size=vocabulary, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64, init_std=1.0,
    )  # fmt: skip
    model = M2M100ForConditionalGeneration(config)
    with torch.no_grad():
        model.model.shared.weight[2] *= 3  # so that some outputs end
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
