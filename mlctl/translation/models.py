"""Where a translation model lies, what it is, and what it computes with. Imports no torch."""

from __future__ import annotations

import functools
import importlib.metadata
import json
from pathlib import Path
from typing import Any

from mlctl.config import Model, Translate
from mlctl.core.hashing import file_digest, named_digest
from mlctl.errors import InputError
from mlctl.modeling import model_sources

_CONVERTED = "model.bin"  # what CTranslate2 calls its weights
_FILES = ("*.json", "*.txt", "*.model", "*.spm", "*.safetensors", "pytorch_model*.bin", _CONVERTED)
_ON_A_CPU, _ON_A_GPU = 1024, 16_384  # padded tokens of a batch
_AUTO = {("ctranslate2", "cpu"): "int8", ("ctranslate2", "cuda"): "bf16"}


def folder_of(settings: Translate, name: str) -> Path:
    """Return the local folder of a model, fetched from the hub where `name` is no folder.

    Raises:
        InputError: there is no such model, or the hub cannot be reached.
    """
    local = Path(name).expanduser()
    if settings.backend == "ctranslate2" and is_converted(local):
        return local
    try:
        return model_sources.resolve(Model(name=name, revision=settings.revision))
    except InputError as error:
        problem, remedy = (text.replace("model.", "translate.") for text in (error.problem, error.remedy))
        raise InputError(problem.replace("translate.name", "translate.model"), remedy) from None


def is_on_hub(name: str) -> bool:
    """Tell whether a model's name can only mean one on the hub."""
    return not Path(name).expanduser().is_dir() and not name.startswith(("/", ".", "~")) and name.count("/") < 2


def is_converted(folder: Path) -> bool:
    """Tell whether a folder holds a model in CTranslate2's own format."""
    return (folder / _CONVERTED).is_file() and (folder / "config.json").is_file()


def digest(folder: Path) -> str:
    """Return sha256 over the sorted (name, sha256) of the files that decide what a model says."""
    stats = ((file, file.stat()) for file in model_sources.matching(folder, _FILES))
    return named_digest((file.name, _file_digest(file, stat.st_size, stat.st_mtime_ns)) for file, stat in stats)


def identity(settings: Translate, folder: Path) -> dict[str, str]:
    """Return what the translations of a neural model depend on. Where it lies and what its folder is called does not matter."""
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
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"translate.model: {folder / 'config.json'} cannot be read ({error})", "fetch the model again") from None
    return found if isinstance(found, dict) else {}


def most_tokens(settings: Translate, folder: Path, tokenizer_says: int) -> int:
    """Return how many tokens a text may have: what the recipe says, or less where the model has fewer positions."""
    positions = config(folder).get("max_position_embeddings", settings.max_tokens)
    return min(settings.max_tokens, int(positions), tokenizer_says)


def batch_tokens(settings: Translate, device: str) -> int:
    """Return the padded source tokens of a batch on a device ("cpu", "cuda"): small ones keep all cores busy to the end."""
    return settings.batch_tokens or (_ON_A_CPU if device == "cpu" else _ON_A_GPU)


def devices(settings: Translate) -> tuple[str, list[int]]:
    """Return "cpu" or "cuda", and the numbers of the GPUs that translate.

    Raises:
        InputError: the recipe asks for a GPU that is not there.
    """
    import ctranslate2

    there = ctranslate2.get_cuda_device_count()
    wanted, _, number = settings.device.partition(":")
    if wanted == "cpu" or (wanted == "auto" and not there):
        return "cpu", []
    if not there or int(number or 0) >= there:
        raise InputError(f"translate.device: {settings.device!r}: there are {there} GPUs", "use auto or cpu")
    numbers = [int(number)] if number else list(range(there))
    return "cuda", numbers[: settings.workers or None]


def precision(settings: Translate) -> str:
    """Return the arithmetic that `auto` stands for here, or the one that the recipe names.

    Raises:
        InputError: the device does not have it.
    """
    device, _ = devices(settings)
    if settings.precision == "auto":
        return _AUTO.get((settings.backend, device), "fp32")
    if settings.backend == "ctranslate2" and device == "cpu" and settings.precision in ("fp16", "bf16"):
        raise InputError(f"translate.precision: ctranslate2 has no {settings.precision} on a CPU", "use int8, fp32 or auto")
    return settings.precision


@functools.lru_cache(maxsize=256)
def _file_digest(file: Path, size: int, changed: int) -> str:
    del size, changed  # a file that changed is read again
    return file_digest(file)
