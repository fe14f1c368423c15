"""Neural translation models: their folder, identity, device and precision. Imports no torch."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlctl.config import Model, Translate
from mlctl.config.translate import NEURAL_BACKENDS
from mlctl.core.hashing import file_digest, named_digest
from mlctl.errors import InputError
from mlctl.modeling import model_sources

_CTRANSLATE2_WEIGHTS = "model.bin"
_FILES = ("*.json", "*.txt", "*.model", "*.spm", "*.safetensors", "pytorch_model*.bin", _CTRANSLATE2_WEIGHTS)
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin", _CTRANSLATE2_WEIGHTS)  # a folder may have them in several formats
_CPU_BATCH_TOKENS, _GPU_BATCH_TOKENS = 1024, 16_384  # padded source tokens
_AUTO_PRECISION = {("ctranslate2", "cpu"): "int8", ("ctranslate2", "cuda"): "bf16"}


def resolve_folder(settings: Translate, name: str) -> Path:
    """Return the local folder of a model, fetched from the hub if `name` is not a folder.

    Raises:
        InputError: the model does not exist, or the hub cannot be reached.
    """
    local = Path(name).expanduser()
    if settings.backend == "ctranslate2" and is_converted(local):
        return local
    # Most published translation models have pickles alone; transformers reads nothing but tensors from them (weights_only).
    return model_sources.resolve(Model(name=name, revision=settings.revision, allow_pickle=True), "translate.model")


def is_on_hub(name: str) -> bool:
    """Return whether a model's name can only mean a model on the hub."""
    return not Path(name).expanduser().is_dir() and not name.startswith(("/", ".", "~")) and name.count("/") < 2


def is_converted(folder: Path) -> bool:
    """Return whether a folder has a model in CTranslate2's format."""
    return (folder / _CTRANSLATE2_WEIGHTS).is_file() and (folder / "config.json").is_file()


def digest(folder: Path) -> str:
    """Return the SHA-256 over the sorted (name, SHA-256) of the files that determine a model's output."""
    stats = ((file, file.stat()) for file in model_sources.find_files(folder, _FILES))
    return named_digest((file.name, _file_digest(file, stat.st_size, stat.st_mtime_ns)) for file, stat in stats)


def identity(settings: Translate, folder: Path) -> dict[str, str]:
    """Return what the translations of a neural model depend on, which the path of its folder does not belong to."""
    content = digest(folder)
    kind = config(folder).get("model_type") or "converted"
    return {
        "backend": settings.backend,
        "model": f"{kind}-{content[:8]}",
        "digest": content,
        "precision": precision(settings),
        "beams": str(settings.beams),
        "version": ".".join(importlib.metadata.version(settings.backend).split(".")[:2]),
    }


def config(folder: Path) -> dict[str, Any]:
    """Return a model's config.json.

    Raises:
        InputError: it cannot be read.
    """
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"translate.model: {folder / 'config.json'} cannot be read ({error})", "fetch the model again") from None
    return content if isinstance(content, dict) else {}


def max_tokens(settings: Translate, folder: Path, tokenizer_limit: int) -> int:
    """Return the most tokens of a text: the recipe's limit, or less where the model has fewer positions."""
    positions = config(folder).get("max_position_embeddings", settings.max_tokens)
    return min(settings.max_tokens, int(positions), tokenizer_limit)


def batch_tokens(settings: Translate, device: str) -> int:
    """Return the padded source tokens of a batch on a device ("cpu", "cuda"). Small batches keep all cores busy to the end."""
    return settings.batch_tokens or (_CPU_BATCH_TOKENS if device == "cpu" else _GPU_BATCH_TOKENS)


def devices(settings: Translate) -> tuple[str, list[int]]:
    """Return "cpu" or "cuda", and the indices of this machine's GPUs that may be used.

    Raises:
        InputError: the recipe's GPU does not exist.
    """
    import ctranslate2

    available = ctranslate2.get_cuda_device_count()
    kind, _, index = settings.device.partition(":")
    if kind == "cpu" or (kind == "auto" and not available):
        return "cpu", []
    if not available or int(index or 0) >= available:
        raise InputError(f"translate.device: {settings.device!r} does not exist: {available} GPUs were found", "use auto or cpu")
    return "cuda", [int(index)] if index else list(range(available))


def gpu_names(settings: Translate) -> list[str]:
    """Return the names of this machine's GPUs that the recipe's backend may use ("cuda:0"); none where it runs on a CPU.

    Raises:
        InputError: the recipe's GPU does not exist.
    """
    if settings.backend not in NEURAL_BACKENDS:
        return []
    _, indices = devices(settings)
    if indices and settings.backend == "transformers" and settings.device == "auto":
        import torch

        if not torch.cuda.is_available():  # torch was built without CUDA
            return []
    return [f"cuda:{index}" for index in indices]


def weights_bytes(settings: Translate, pairs: Iterable[tuple[str, str]]) -> int:
    """Return the size of the weights of all models for these language pairs; a model that is not there counts nothing."""
    names, total = {settings.model_for(*pair) for pair in pairs}, 0
    for name in names:
        with contextlib.suppress(InputError):
            folder = resolve_folder(settings, name)
            total += max(sum(file.stat().st_size for file in folder.glob(pattern)) for pattern in _WEIGHTS)
    return total


def precision(settings: Translate) -> str:
    """Return the recipe's precision, with `auto` resolved for the device.

    Raises:
        InputError: the device does not support it.
    """
    device, _ = devices(settings)
    if settings.precision == "auto":
        return _AUTO_PRECISION.get((settings.backend, device), "fp32")
    if settings.backend == "ctranslate2" and device == "cpu" and settings.precision in ("fp16", "bf16"):
        raise InputError(
            f"translate.precision: ctranslate2 does not support {settings.precision} on a CPU", "use int8, fp32 or auto"
        )
    return settings.precision


@functools.lru_cache(maxsize=256)
def _file_digest(file: Path, size: int, modified: int) -> str:
    del size, modified  # a changed file is another cache entry
    return file_digest(file)
