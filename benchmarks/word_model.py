"""A Marian model of any geometry that translates word by word without training: for speed benchmarks with a known reference.

Words are random vectors; the vector of a translation is that of the word with neighbouring dimensions swapped. The last layer of the
decoder attends to the word at its own position, by the sines and cosines of the position embeddings, and swaps; all other layers are
computed in full and add nothing. Sentences therefore end correctly, and the reference is known.
"""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import MarianConfig, MarianMTModel, MarianTokenizer

#: Maximum tokens of a sentence.
MOST_TOKENS = 128
MEAN_WORDS, SPREAD, MOST_WORDS = 22, 0.55, 100  # of a log-normal distribution, as in news
CONTENT = 30.0  # norm of a word's vector at the first layer; that of a position is sqrt(width / 2)
SHARP, LOUD = (
    5.0,
    8.0,
)  # sharpness of the decoder's attention to one position (higher values give denormal, slow weights), and the gain of its output over the residual


@dataclass(frozen=True)
class Geometry:
    width: int
    layers: int
    heads: int
    hidden: int
    words: int  # words of each language


USUAL = Geometry(512, 6, 8, 2048, 32_500)
LARGE = Geometry(1024, 12, 16, 4096, 128_000)
SMALL = Geometry(128, 1, 4, 256, 500)


def generate_words(number: int, seed: int) -> list[str]:
    """Return distinct words of two to four syllables."""
    rng, words = random.Random(seed), dict[str, None]()
    while len(words) < number:
        words["".join(rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4)))] = None
    return list(words)


def build(folder: Path, geometry: Geometry) -> tuple[list[str], list[str]]:
    """Save a Marian model that translates word by word; return the words of both languages."""
    words = generate_words(2 * geometry.words, seed=0)
    source, target = words[: geometry.words], words[geometry.words :]
    folder.mkdir(parents=True)
    vocabulary = {name: number for number, name in enumerate(["</s>", "<unk>", *(f"▁{word}" for word in words), "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    for side in ("source", "target"):
        (folder / f"{side}.spm").write_bytes(pieces(list(vocabulary)[2:-1]))
    MarianTokenizer(*(str(folder / name) for name in ("source.spm", "target.spm", "vocab.json"))).save_pretrained(folder)
    model = marian(len(vocabulary), geometry)
    with torch.no_grad():
        set_embeddings(model, geometry)
        zero_outputs(model)
        set_attention(model, geometry)
    model.save_pretrained(folder)
    return source, target


def pieces(names: Sequence[str]) -> bytes:
    """Return a sentencepiece model of whole words: a protocol buffer of (piece, score, type), and an identity normaliser."""
    unknown, control, normal = 2, 3, 1
    vocabulary = [
        ("<unk>", 0.0, unknown),
        ("<s>", 0.0, control),
        ("</s>", 0.0, control),
        *((name, -1.0, normal) for name in names),
    ]
    return b"".join(
        field(1, field(1, name.encode()) + b"\x15" + struct.pack("<f", score) + bytes([0x18, kind]))
        for name, score, kind in vocabulary
    ) + field(3, field(1, b"identity"))


def field(number: int, content: bytes) -> bytes:
    length, size = bytearray(), len(content)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


def marian(vocabulary: int, geometry: Geometry) -> MarianMTModel:
    torch.manual_seed(0)
    pad = vocabulary - 1
    config = MarianConfig(
        vocab_size=vocabulary,
        d_model=geometry.width,
        encoder_layers=geometry.layers,
        decoder_layers=geometry.layers,
        encoder_attention_heads=geometry.heads,
        decoder_attention_heads=geometry.heads,
        encoder_ffn_dim=geometry.hidden,
        decoder_ffn_dim=geometry.hidden,
        max_position_embeddings=512,
        activation_function="swish",
        scale_embedding=True,
        pad_token_id=pad,
        eos_token_id=0,
        decoder_start_token_id=pad,
        forced_eos_token_id=None,
    )
    model = MarianMTModel(config).eval()
    model.generation_config.bad_words_ids = [[pad]]
    return model


def halves(width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the dimensions that distinguish positions (fast sines and cosines), and the remaining ones, used for words."""
    pairs = width // 2
    fast = torch.arange(pairs * 3 // 8)
    slow = torch.arange(pairs - 1, pairs * 3 // 8 - 1, -1)  # the first two are zero at all positions of a sentence
    return torch.cat([fast, fast + pairs]), torch.cat([slow, slow + pairs])


def swap_dimensions(rows: torch.Tensor) -> torch.Tensor:
    """Map a word's vector to that of its translation: swap neighbouring dimensions except the first two, which mark the end."""
    swapped = rows.clone()
    swapped[..., 2::2], swapped[..., 3::2] = rows[..., 3::2], -rows[..., 2::2]
    return swapped


def set_embeddings(model: MarianMTModel, geometry: Geometry) -> None:
    """Give each word a random vector and its translation the swapped one; the end of a sentence has its own dimension."""
    _, slow = halves(geometry.width)
    words = torch.randn(geometry.words, len(slow))
    words[:, :2] = 0
    words = remove_position_components(words, position_embeddings(model)[:, slow])
    words /= words.norm(dim=1, keepdim=True)
    table = torch.zeros(model.config.vocab_size, len(slow))
    table[0, 0] = 1
    table[2:-1] = torch.cat([words, swap_dimensions(words)])
    shared = model.model.shared.weight
    shared.zero_()
    shared[:, slow] = table * CONTENT / math.sqrt(geometry.width)


def position_embeddings(model: MarianMTModel) -> torch.Tensor:
    """Return the position embeddings: (positions, width)."""
    return model.model.encoder.embed_positions.weight[: MOST_TOKENS + 1].detach()


def remove_position_components(words: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Project the common part of the positions out of words and translations, so that no word is favoured by its norm."""
    common = torch.linalg.svd(positions, full_matrices=False).Vh[:4]
    directions = torch.cat([common, torch.ones(1, positions.shape[1])])
    directions[:, :2] = 0
    basis = torch.linalg.qr(torch.cat([directions, swap_dimensions(directions)]).T).Q
    return words - words @ basis @ basis.T


def zero_outputs(model: MarianMTModel) -> None:
    """Make all layers add nothing: everything is computed and then multiplied by zero."""
    for name, weight in model.named_parameters():
        if "out_proj" in name or "fc2" in name:
            weight.zero_()


def set_attention(model: MarianMTModel, geometry: Geometry) -> None:
    """Make the last decoder layer attend to the word at its own position and output its translation."""
    fast, slow = halves(geometry.width)
    size = geometry.width // geometry.heads
    sharpest = torch.arange(min(size, len(fast)) // 2)
    dimensions = torch.cat([fast[sharpest], fast[sharpest + len(fast) // 2]])
    attention = model.model.decoder.layers[-1].encoder_attn
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
        projection.weight.zero_()
        projection.bias.zero_()
    for head in range(geometry.heads):
        rows = head * size + torch.arange(len(dimensions))
        attention.q_proj.weight[rows, dimensions] = SHARP
        attention.k_proj.weight[rows, dimensions] = SHARP
        for projection in (
            attention.q_proj,
            attention.k_proj,
        ):  # a zero dimension carries the mean that the preceding layer norm has subtracted
            projection.weight[rows, slow[1]] = -SHARP
    indices = torch.arange(len(slow))
    attention.v_proj.weight[indices, slow] = 1.0
    attention.out_proj.weight[slow[:, None], indices[None, :]] = LOUD * swap_dimensions(torch.eye(len(slow))).T


def sentences(source: Sequence[str], target: Sequence[str], number: int) -> tuple[list[str], list[str]]:
    """Return sentences and their translations, with lengths as in news and words by a power law."""
    rng = random.Random(1)
    pairs = []
    for _ in range(number):
        length = min(MOST_WORDS, max(1, round(rng.lognormvariate(math.log(MEAN_WORDS) - SPREAD**2 / 2, SPREAD))))
        words = [min(len(source) - 1, int(rng.paretovariate(0.6)) - 1) for _ in range(length)]
        pairs.append((" ".join(source[word] for word in words), " ".join(target[word] for word in words)))
    return [source_text for source_text, _ in pairs], [target_text for _, target_text in pairs]
