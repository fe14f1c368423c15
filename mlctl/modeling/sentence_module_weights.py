"""Weights of the modules of sentence-transformers: safetensors, or pickles where the recipe allows them. torch is loaded for pickles alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mlctl.core.hashing import file_digest
from mlctl.errors import InputError
from mlctl.modeling.model_files import is_pickle, tensor_shapes, weight_files

if TYPE_CHECKING:
    from torch import Tensor


def check_weights(module: Path, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Check the weights of a module against their shapes by name.

    Returns:
        The digest of their file, of a pickle that of the same weights as safetensors.

    Raises:
        InputError: there are no weights, they are damaged, or they are others.
    """
    file = weights_file(module)
    found = {name: tuple(tensor.shape) for name, tensor in read_pickle(file).items()} if is_pickle(file) else tensor_shapes(file)
    if found != dict(shapes):
        raise damaged(file, f"it holds {_listed(found)}, but its config.json describes {_listed(shapes)}")
    return hashlib.sha256(as_safetensors(file)).hexdigest() if is_pickle(file) else file_digest(file)


def weights_file(module: Path) -> Path:
    """Return the file with the weights of a module.

    Raises:
        InputError: there is none, or there are several.
    """
    files = weight_files(module)
    if len(files) != 1:
        raise damaged(module, f"it has {len(files)} files of weights instead of one, model.safetensors")
    return files[0]


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Return the weights of a module.

    Raises:
        InputError: the file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if is_pickle(file):
        return read_pickle(file)
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise damaged(file, str(error).strip().partition("\n")[0]) from None


def read_vector(file: Path, name: str) -> list[float]:
    """Return a tensor of one dimension from the weights of a module.

    Raises:
        InputError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if is_pickle(file):
        return [float(value) for value in read_pickle(file)[name]]
    try:
        with safe_open(file, framework="np") as tensors:
            return [float(value) for value in tensors.get_tensor(name)]
    except (OSError, SafetensorError, TypeError) as error:  # TypeError: bfloat16, which NumPy does not have
        raise damaged(file, str(error).strip().partition("\n")[0]) from None


def read_pickle(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a pickle; code in it is not run.

    Raises:
        InputError: it is damaged, or holds something else.
    """
    import torch

    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch and the unpickler raise on such files
        raise damaged(file, str(error).strip().partition("\n")[0]) from None
    if not isinstance(tensors, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in tensors.values()):
        raise damaged(file, "it holds no tensors by name")
    return {str(name): tensor.detach().contiguous().clone() for name, tensor in tensors.items()}


def as_safetensors(file: Path) -> bytes:
    """Return the weights of a pickle as the content of a safetensors file, the same on every machine."""
    from safetensors.torch import save

    return save(read_pickle(file), metadata={"format": "pt"})


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {list(shape)}" for name, shape in sorted(shapes.items())) or "no tensors"


def damaged(file: Path, reason: str) -> InputError:
    """Return the error that a file of a model cannot be used."""
    return InputError(f"{file} cannot be used: {reason}", "download or save the model again")
