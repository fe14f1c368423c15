"""From a Hugging Face folder to CTranslate2's format: done once for each content, kept for all runs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from pathlib import Path
from typing import Any

from filelock import FileLock

from mlctl.core.files import commit, discard
from mlctl.errors import InputError
from mlctl.translation import models
from mlctl.translation.tokenisation import unreadable

#: What CTranslate2 calls the recipe's arithmetic.
COMPUTE_TYPES = {"int8": "int8", "fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def converted(folder: Path, precision: str, cache: Path) -> Path:
    """Return the folder of a model in CTranslate2's format; one that is in it already stays where it is.

    The conversion lies in `cache` under a digest of the model, the converter's version and the arithmetic. It is written under
    another name and renamed when it is whole; one process converts and the others wait.

    Raises:
        InputError: the folder holds no model that can be converted.
    """
    if models.is_converted(folder):
        return folder
    parts = (models.digest(folder), importlib.metadata.version("ctranslate2"), COMPUTE_TYPES[precision])
    place = cache / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        if not place.is_dir():
            _convert(folder, COMPUTE_TYPES[precision], place)
    return place


def _convert(folder: Path, compute_type: str, place: Path) -> None:
    _check_marian(folder)
    temporary = place.with_name(f".part-{place.name}-{os.getpid()}")
    for left in place.parent.glob(f".part-{place.name}-*"):  # of a process that was killed: the lock is ours
        discard(left)
    try:
        _write(folder, compute_type, temporary)
    except InputError:
        raise
    except Exception as error:  # whatever the converter and the readers of all models raise
        discard(temporary)
        raise unreadable(folder, error) from None
    commit(temporary, place)


def _write(folder: Path, compute_type: str, place: Path) -> None:
    from ctranslate2.converters import TransformersConverter
    from transformers.utils import logging as transformers_logging

    class Converter(TransformersConverter):  # type: ignore[misc]
        def load_tokenizer(self, tokenizer_class: Any, model_name_or_path: str, **options: Any) -> Any:
            return _with_all_tokens(super().load_tokenizer(tokenizer_class, model_name_or_path, **options))

    transformers_logging.disable_progress_bar()
    Converter(str(folder)).convert(str(place), quantization=compute_type)


def _with_all_tokens(tokenizer: Any) -> Any:
    """Let a tokenizer list its language codes: M2M-100's does not, and the model would have more rows than names."""
    codes = getattr(tokenizer, "lang_token_to_id", {})
    vocabulary = {**tokenizer.get_vocab(), **codes}
    tokenizer.get_vocab = lambda: vocabulary
    return tokenizer


def _check_marian(folder: Path) -> None:
    """Refuse a Marian model that would come out wrong: the converter takes the last row for padding and starts from zeros."""
    config = models.config(folder)
    if config.get("model_type") != "marian":
        return
    pad, start = config.get("pad_token_id"), config.get("decoder_start_token_id")
    if pad != config.get("vocab_size", 0) - 1 or start != pad or not _is_zero(folder, pad):
        raise InputError(
            f"translate.model: {folder} is a Marian model that CTranslate2 would translate wrongly with: answers have to start from "
            "padding, and its embedding has to be the last one and zero",
            "use translate.backend=transformers",
        )


def _is_zero(folder: Path, row: int) -> bool:
    """Tell whether a row of the shared embedding is zero; weights in other files than safetensors are taken at their word."""
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="np") as weights:
            opened: Any = weights
            for name in ("model.shared.weight", "model.decoder.embed_tokens.weight"):
                if name in opened.keys():  # noqa: SIM118 - no mapping
                    return not opened.get_slice(name)[row : row + 1].any()
    return True
