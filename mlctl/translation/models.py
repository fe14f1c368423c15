"""Where a translation model lies, and the digest of its content. Imports no torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mlctl.config import Model, Translate
from mlctl.errors import InputError
from mlctl.modeling import sources

_FILES = ("*.json", "*.txt", "*.model", "*.spm", "*.safetensors", "pytorch_model*.bin")


def folder_of(settings: Translate, name: str) -> Path:
    """Return the local folder of a model, fetched from the hub where `name` is no folder.

    Raises:
        InputError: there is no such model, or the hub cannot be reached.
    """
    try:
        return sources.resolve(Model(name=name, revision=settings.revision))
    except InputError as error:
        problem, remedy = (text.replace("model.", "translate.") for text in (error.problem, error.remedy))
        raise InputError(problem.replace("translate.name", "translate.model"), remedy) from None


def digest(folder: Path) -> str:
    """Return sha256 over the sorted (name, sha256) of the files that decide what a model says."""
    whole = hashlib.sha256()
    for file in sources.matching(folder, _FILES):
        whole.update(f"{file.name}\0{sources.file_digest(file)}\n".encode())
    return whole.hexdigest()
