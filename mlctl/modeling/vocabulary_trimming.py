"""An encoder with the vocabulary of some languages: most weights of a small multilingual encoder are embeddings of tokens of other languages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.torch import save_file
from torch import Tensor

from mlctl.errors import InputError
from mlctl.modeling.encoders import load_tokenizer
from mlctl.modeling.model_export import read_weights
from mlctl.modeling.model_files import CONFIG, read_json, weight_files
from mlctl.modeling.sentence_config import MODEL_CONFIG, read_sentence_config
from mlctl.modeling.sentence_encoder import SentenceEncoder
from mlctl.modeling.tokenizer_trimming import check_kind, kept_tokens, trim

Ids = npt.NDArray[np.int32]

#: Largest difference of a component of a sentence vector of length 1.
TOLERANCE = 1e-6

_TOKENIZER, _TOKENIZER_CONFIG, _GENERATION = "tokenizer.json", "tokenizer_config.json", "generation_config.json"
_WEIGHTS = "model.safetensors"
_OLDER_FILES = ("*.model", "added_tokens.json", "merges.txt", "vocab.json", "vocab.txt")  # of the whole vocabulary
_HELD_OUT = 20  # every so many-th sentence, by its hash
_COMPARED = 200  # sentences of a language whose vectors are compared
_BATCH = 10_000
_EXPORT_WHOLE = "leave out --languages to export the whole vocabulary"


@dataclass(frozen=True)
class HeldOut:
    """How a vocabulary of 19 twentieths of the text of a language does on the rest.

    Attributes:
        sentences: their number.
        same: share of them whose tokens are all in that vocabulary: they are split and embedded as before.
    """

    sentences: int
    same: float


@dataclass(frozen=True)
class TrimmedVocabulary:
    """What trimming did.

    Attributes:
        tokens: number of token embeddings before and after.
        bytes: size of the weights before and after.
        sentences: number of sentences of each language that the vocabulary was counted on; all are split into the same tokens.
        heldout: of each language.
        difference: largest difference of a component of the sentence vectors, of length 1, of up to 200 sentences of each language.
    """

    tokens: tuple[int, int]
    bytes: tuple[int, int]
    sentences: Mapping[str, int]
    heldout: Mapping[str, HeldOut]
    difference: float


def trim_vocabulary(folder: Path, texts: Mapping[str, Sequence[str]]) -> TrimmedVocabulary:
    """Leave in an encoder's folder only the tokens that some text has, special tokens, characters and bytes.

    Args:
        folder: a Hugging Face folder, which is changed: it is of no use after an error.
        texts: of each language that is kept.

    Raises:
        InputError: the tokenizer is of another kind, or the embeddings of the text are not what they were.
    """
    sample = {language: _evenly(of_language, _COMPARED) for language, of_language in texts.items()}
    compared = [text for of_language in sample.values() for text in of_language]
    before, size = SentenceEncoder(folder, "cpu").encode(compared), _weights_size(folder)
    tokens = {language: _tokens(folder, of_language) for language, of_language in texts.items()}
    content = _read_tokenizer(folder)
    rows = _vocabulary_size(folder)
    kept = kept_tokens(
        content, _types(text for of_language in tokens.values() for text in of_language) | _config_ids(folder, rows)
    )
    whole = [token for token in kept if token < rows]  # a tokenizer may have tokens without embeddings
    _write_weights(folder, rows, whole)
    _write_tokenizer(folder, trim(content, kept), kept)
    _check_tokens(folder, texts, tokens, kept)
    difference = float(np.abs(SentenceEncoder(folder, "cpu").encode(compared) - before).max(initial=0.0))
    if not difference <= TOLERANCE:
        problem = f"the vocabulary of {', '.join(texts)} alone changes sentence vectors by up to {difference:.1g}"
        raise InputError(problem, _EXPORT_WHOLE)
    counts = {language: len(of_language) for language, of_language in texts.items()}
    heldout = _heldout(content, texts, tokens)
    return TrimmedVocabulary((rows, len(whole)), (size, _weights_size(folder)), counts, heldout, difference)


def _tokens(folder: Path, texts: Sequence[str]) -> list[Ids]:
    """Return the tokens of each text, without special ones, first alone and then behind each of the encoder's prompts."""
    by_prompt = [_tokenise(folder, [prompt + text for text in texts]) for prompt in _prompts(folder)]
    return [np.concatenate(of_text) for of_text in zip(*by_prompt, strict=True)]


def _prompts(folder: Path) -> list[str]:
    """Return the prompts of the encoder's folder, and none."""
    config = read_json(folder / MODEL_CONFIG) if (folder / MODEL_CONFIG).is_file() else {}
    read_sentence_config(folder)  # names what is wrong with them
    return list(dict.fromkeys(["", *(str(prompt) for prompt in (config.get("prompts") or {}).values() if prompt)]))


def _tokenise(folder: Path, texts: Sequence[str]) -> Iterator[Ids]:
    tokenizer = load_tokenizer(folder).backend_tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for start in range(0, len(texts), _BATCH):
        for encoded in tokenizer.encode_batch(texts[start : start + _BATCH], add_special_tokens=False):
            yield np.array(encoded.ids, np.int32)


def _read_tokenizer(folder: Path) -> dict[str, Any]:
    if not (folder / _TOKENIZER).is_file():
        load_tokenizer(folder).save_pretrained(folder)
    content = read_json(folder / _TOKENIZER)
    check_kind(content)
    return content


def _vocabulary_size(folder: Path) -> int:
    """Return the number of token embeddings.

    Raises:
        InputError: the configuration does not state it, or has the same number in another place.
    """
    config = read_json(folder / CONFIG)
    size = config.get("vocab_size")
    if not isinstance(size, int):
        raise InputError(f"{folder.name}: {CONFIG} states no vocab_size", _EXPORT_WHOLE)
    if others := [name for name, value in config.items() if value == size and name != "vocab_size"]:
        raise InputError(f"{folder.name}: the vocabulary is as large as {others[0]} ({size})", _EXPORT_WHOLE)
    return size


def _config_ids(folder: Path, rows: int) -> set[int]:
    """Return the ids of tokens that the configuration names (`pad_token_id` and so on)."""
    values = [value for name, value in read_json(folder / CONFIG).items() if name.endswith("_token_id")]
    ids = {number for value in values for number in (value if isinstance(value, list) else [value])}
    return {number for number in ids if isinstance(number, int) and 0 <= number < rows}


def _write_weights(folder: Path, rows: int, kept: Sequence[int]) -> None:
    """Leave the kept rows of every tensor that has one for each token: embeddings, and weights and biases of a language-modelling head."""
    weights = {name: _rows(tensor, rows, kept) for name, tensor in sorted(read_weights(folder).items())}
    for file in weight_files(folder):
        file.unlink()
    save_file(weights, folder / _WEIGHTS, metadata={"format": "pt"})
    _renumber_config(folder / CONFIG, kept, vocab_size=len(kept))
    if (folder / _GENERATION).is_file():
        _renumber_config(folder / _GENERATION, kept)


def _rows(tensor: Tensor, rows: int, kept: Sequence[int]) -> Tensor:
    return tensor[list(kept)].contiguous() if tensor.ndim and tensor.shape[0] == rows else tensor.contiguous()


def _renumber_config(file: Path, kept: Sequence[int], **changed: Any) -> None:
    new_ids = {old: new for new, old in enumerate(kept)}

    def renumbered(value: Any) -> Any:
        return [renumbered(one) for one in value] if isinstance(value, list) else new_ids.get(value, value)

    config = read_json(file)
    config = {name: renumbered(value) if name.endswith("_token_id") else value for name, value in config.items()}
    _write_json(file, {**config, **changed})


def _write_tokenizer(folder: Path, content: dict[str, Any], kept: Sequence[int]) -> None:
    """Write the tokenizer as `tokenizer.json` alone, and its configuration."""
    for pattern in _OLDER_FILES:
        for file in folder.glob(pattern):
            file.unlink()
    (folder / _TOKENIZER).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    config = read_json(folder / _TOKENIZER_CONFIG) if (folder / _TOKENIZER_CONFIG).is_file() else {}
    if decoder := config.get("added_tokens_decoder"):
        new_ids = {old: new for new, old in enumerate(kept)}
        config["added_tokens_decoder"] = {str(new_ids[int(old)]): token for old, token in decoder.items() if int(old) in new_ids}
        _write_json(folder / _TOKENIZER_CONFIG, config)


def _check_tokens(
    folder: Path, texts: Mapping[str, Sequence[str]], tokens: Mapping[str, Sequence[Ids]], kept: Sequence[int]
) -> None:
    """Check that the trimmed tokenizer splits all texts as the whole one did."""
    old_ids = np.array(kept, np.int32)
    for language, of_language in texts.items():
        for text, old, new in zip(of_language, tokens[language], _tokens(folder, of_language), strict=True):
            if not np.array_equal(old_ids[new], old):
                problem = f"with the vocabulary of {', '.join(texts)} alone the tokenizer splits {text[:80]!r} otherwise"
                raise InputError(problem, _EXPORT_WHOLE)


def _heldout(
    content: dict[str, Any], texts: Mapping[str, Sequence[str]], tokens: Mapping[str, Sequence[Ids]]
) -> dict[str, HeldOut]:
    """Return, for each language, how the vocabulary of the text that is not held out does on the text that is."""
    held = {language: [_is_held_out(text) for text in of_language] for language, of_language in texts.items()}
    kept = set(
        kept_tokens(content, _types(text for language in texts for text in _where(tokens[language], held[language], False)))
    )
    found = {}
    for language, of_language in tokens.items():
        same = [kept.issuperset(text.tolist()) for text in _where(of_language, held[language], True)]
        found[language] = HeldOut(len(same), sum(same) / len(same) if same else 1.0)
    return found


def _where(texts: Sequence[Ids], held: Sequence[bool], wanted: bool) -> Iterator[Ids]:
    return (text for text, is_held in zip(texts, held, strict=True) if is_held is wanted)


def _types(texts: Iterable[Ids]) -> set[int]:
    """Return the different tokens of some texts."""
    return set(np.unique(np.concatenate([*texts, np.empty(0, np.int32)])).tolist())


def _is_held_out(text: str) -> bool:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[0] % _HELD_OUT == 0


def _evenly(texts: Sequence[str], count: int) -> list[str]:
    """Return up to so many texts, evenly spaced."""
    return list(texts) if len(texts) <= count else [texts[index * len(texts) // count] for index in range(count)]


def _weights_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in weight_files(folder))


def _write_json(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
