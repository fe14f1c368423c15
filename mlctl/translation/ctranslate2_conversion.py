"""Conversion of Hugging Face models to CTranslate2's format, once for each content, in a cache that all runs share."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlctl.core.files import discard
from mlctl.core.locks import locked
from mlctl.core.workspace import Workspace
from mlctl.core.write_errors import is_disk_full
from mlctl.errors import InputError
from mlctl.translation import models
from mlctl.translation.tokenizer import unreadable_model

#: CTranslate2's names of `translate.precision`.
COMPUTE_TYPES = {"int8": "int8", "fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def convert(folder: Path, precision: str, cache: Path) -> Path:
    """Return the folder of a model in CTranslate2's format: `folder` itself if it is in that format already, else the converted one.

    The converted model is stored in `cache` under a digest of the model, the converter's version and the precision. It is written under
    a temporary name and renamed when it is complete; one process converts and the others wait.

    Raises:
        InputError: the folder has no model that can be converted.
    """
    if models.is_converted(folder):
        return folder
    name, workspace = _name(models.digest(folder), precision), Workspace(cache)
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / f"{name}.lock"):
        if not workspace.has(name):
            _convert(folder, COMPUTE_TYPES[precision], workspace, name)
    return workspace.path(name)


def converted_folders(identity: Mapping[str, str], cache: Path) -> list[Path]:
    """Return the folders of `cache` with the converted models of a backend, by its identity; none for other backends, and for models
    that were in CTranslate2's format already.
    """
    prefixes = [name.removesuffix("backend") for name in identity if name == "backend" or name.endswith(" backend")]
    folders = [
        cache / _name(identity[f"{prefix}digest"], identity[f"{prefix}precision"])
        for prefix in prefixes
        if identity[f"{prefix}backend"] == "ctranslate2"
    ]
    return [folder for folder in folders if folder.is_dir()]


def _name(digest: str, precision: str) -> str:
    """Return the name of a converted model's folder."""
    parts = (digest, importlib.metadata.version("ctranslate2"), COMPUTE_TYPES[precision])
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _convert(folder: Path, compute_type: str, workspace: Workspace, name: str) -> None:
    _check_marian(folder)
    with workspace.part(name) as temporary:  # for one process: this one holds the lock
        try:
            _run_converter(folder, compute_type, temporary)
        except InputError:
            raise
        except Exception as error:  # the converter and each model type raise errors of other types
            discard(temporary)
            if is_disk_full(error):
                raise
            raise unreadable_model(folder, error) from None


def _run_converter(folder: Path, compute_type: str, output: Path) -> None:
    from ctranslate2.converters import TransformersConverter
    from transformers.utils import logging as transformers_logging

    class Converter(TransformersConverter):  # type: ignore[misc]
        def load_tokenizer(self, tokenizer_class: Any, model_name_or_path: str, **options: Any) -> Any:
            return _with_all_tokens(super().load_tokenizer(tokenizer_class, model_name_or_path, **options))

    transformers_logging.disable_progress_bar()
    Converter(str(folder)).convert(str(output), quantization=compute_type)


def _with_all_tokens(tokenizer: Any) -> Any:
    """Add the language codes to a tokenizer's vocabulary: M2M-100's leaves them out, and the model would have more rows than tokens."""
    codes = getattr(tokenizer, "lang_token_to_id", {})
    vocabulary = {**tokenizer.get_vocab(), **codes}
    tokenizer.get_vocab = lambda: vocabulary
    return tokenizer


def _check_marian(folder: Path) -> None:
    """Reject a Marian model that would be converted wrongly: the converter takes the last row for padding and starts from zeros."""
    config = models.config(folder)
    if config.get("model_type") != "marian":
        return
    pad, start = config.get("pad_token_id"), config.get("decoder_start_token_id")
    if pad != config.get("vocab_size", 0) - 1 or start != pad or not _is_zero(folder, pad):
        raise InputError(
            f"translate.model: {folder} is a Marian model with which CTranslate2 would translate wrongly: outputs must start from "
            "padding, whose embedding must be the last one and zero",
            "use translate.backend=transformers",
        )


def _is_zero(folder: Path, row: int) -> bool:
    """Return whether a row of the shared embedding is zero; weights in other formats than safetensors are not checked."""
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="np") as weights:
            tensors: Any = weights
            for name in ("model.shared.weight", "model.decoder.embed_tokens.weight"):
                if name in tensors.keys():  # noqa: SIM118 - not a mapping
                    return not tensors.get_slice(name)[row : row + 1].any()
    return True
