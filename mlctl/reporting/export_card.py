"""The model card of an export: what it tells about a reduced vocabulary and ONNX files, and the card of a model that has none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mlctl import languages as codes
from mlctl.errors import InputError
from mlctl.modeling.model_files import read_json
from mlctl.modeling.sentence_config import read_sentence_config
from mlctl.reporting.card_metadata import UNKNOWN, hub_languages
from mlctl.reporting.formatting import format_number, format_percent

CARD = "README.md"

_LENGTH = 512  # tokens, of an encoder that states no limit

_ONNX_USAGE = """```python
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder = "path/of/this/folder"
tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
tokenizer.enable_padding(pad_id=PAD_ID, pad_token="PAD_TOKEN")
tokenizer.enable_truncation(MAX_LENGTH)
session = onnxruntime.InferenceSession(f"{folder}/FILE")
batch = tokenizer.encode_batch([PROMPTtext for text in ["A sentence.", "Une phrase."]])
inputs = {"input_ids": [row.ids for row in batch], "attention_mask": [row.attention_mask for row in batch]}
[embeddings] = session.run(["sentence_embedding"], {name: np.array(rows) for name, rows in inputs.items()})
print(embeddings @ embeddings.T)
```"""


def write_plain_card(folder: Path, name: str, base_model: str) -> None:
    """Write a card for a model that has none: what it is and, in the hub's header, the model that it is a copy of.

    Args:
        folder: of the model.
        name: title.
        base_model: name on the hub; empty: it is not on the hub.
    """
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        base_model=base_model or None,
        license=UNKNOWN,
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["feature-extraction"],
    )
    text = f"---\n{data.to_yaml()}\n---\n\n# {name}\n\nA text encoder, exported by mlctl. Its model had no card: its licence is not known.\n"
    (folder / CARD).write_text(text, encoding="utf-8")


def add_variants(folder: Path, languages: Sequence[str], done: Mapping[str, Any]) -> None:
    """Tell in the card of a model what an export changed.

    Args:
        folder: of the model, after the change.
        languages: whose vocabulary was kept; empty: all.
        done: what `apply_variants` returns.

    Raises:
        InputError: the header of the card is damaged.
    """
    from huggingface_hub import ModelCard

    file = folder / CARD
    try:
        card = ModelCard(file.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(
            f"{file.name} of the model has a damaged header: {error}", "repair the YAML between its lines ---"
        ) from None
    data: Any = card.data
    if languages:
        data.language = hub_languages(languages)
    if "onnx" in done:
        data.tags = list(dict.fromkeys([*(data.tags or []), "onnx"]))
    sections = ["\n".join(lines(folder, done[name])) for name, lines in _SECTIONS.items() if name in done]
    card.text = "\n\n".join([card.text.strip(), *sections])
    file.write_text(f"{str(card).rstrip()}\n", encoding="utf-8")


def _vocabulary(folder: Path, found: Mapping[str, Any]) -> Iterator[str]:
    del folder
    (tokens, kept), (size, left) = found["tokens"], found["bytes"]
    names = ", ".join(codes.name(language) for language in found["sentences"])
    yield "## Vocabulary\n"
    yield (
        f"Reduced to {names}: {format_number(kept)} of {format_number(tokens)} tokens, {_megabytes(left)} of {_megabytes(size)} of weights. "
        f"All text that the tokens were counted on is split as before, and its sentence vectors differ by at most "
        f"{found['difference']:.1g} in a component. Text with other tokens is split into characters or bytes, and embedded otherwise: not "
        "for other languages.\n"
    )
    yield "| language | sentences | held out | of these split as before, by the vocabulary of the others |"
    yield "|---|--:|--:|--:|"
    for language, count in found["sentences"].items():
        held = found["heldout"][language]
        yield f"| {language} | {format_number(count)} | {format_number(held['sentences'])} | {format_percent(held['same'])} |"


def _onnx(folder: Path, files: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "## ONNX\n"
    yield "From token ids to sentence vectors of length 1, on a CPU without torch:\n"
    yield "| file | size | cosine to the model, mean | least | sentences |"
    yield "|---|--:|--:|--:|--:|"
    for file in files:
        cosines = f"{file['mean']:.4f} | {file['least']:.4f}"
        yield f"| `{file['name']}` | {_megabytes(file['bytes'])} | {cosines} | {format_number(file['sentences'])} |"
    yield f"\n{_usage(folder, files[-1]['name'])}"


def _usage(folder: Path, name: str) -> str:
    """Return a program that makes sentence vectors with an ONNX file."""
    config, tokenizer = read_json(folder / "config.json"), read_json(folder / "tokenizer.json")
    sentences = read_sentence_config(folder)
    pad = config.get("pad_token_id") or 0
    token = next((token["content"] for token in tokenizer["added_tokens"] if token["id"] == pad), "")
    prompt = f"{json.dumps(sentences.prompt, ensure_ascii=False)} + " if sentences and sentences.prompt else ""
    limit = (sentences.max_length if sentences else None) or config.get("max_position_embeddings") or _LENGTH
    values = {"PAD_ID": pad, "PAD_TOKEN": token, "MAX_LENGTH": limit, "FILE": name, "PROMPT": prompt}
    usage = _ONNX_USAGE
    for place, value in values.items():
        usage = usage.replace(place, str(value))
    return usage


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


_SECTIONS: dict[str, Callable[[Path, Any], Iterator[str]]] = {"vocabulary": _vocabulary, "onnx": _onnx}
