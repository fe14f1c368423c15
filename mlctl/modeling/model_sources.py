"""Resolving the recipe's encoder: a local folder, or a snapshot from the Hugging Face hub. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from mlctl.config import Model
from mlctl.core.hashing import file_digest, named_digest
from mlctl.errors import InputError
from mlctl.modeling.sentence_config import sentence_files

#: Identity of a model from scratch, which follows from the recipe alone.
SCRATCH = "scratch"

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_TOKENIZER_FILES = (
    "*.model",
    "added_tokens.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
_SAFETENSORS, _PICKLED = ("*.safetensors", "*.safetensors.index.json"), ("pytorch_model*.bin", "pytorch_model*.bin.index.json")
_HUB_FILES = ("*.json", "*.txt", "*.model", "*.spm", "*.safetensors")  # pickled weights only where there are no others
#: Modules of sentence-transformers, such as 1_Pooling; other folders hold other frameworks' weights.
_MODULE_FILES = re.compile(r"\d+_\w+/[^/]+\.(json|safetensors)")
_HUB_TIMEOUT = 10.0  # seconds


def resolve(model: Model) -> Path:
    """Return the local folder of the recipe's encoder; if `model.name` is not a folder, download it from the hub.

    Raises:
        InputError: the recipe names no encoder, the folder holds none, or the hub does not have it or is unreachable.
    """
    if not model.name:
        raise InputError("the recipe names no encoder", "set model.name to a Hugging Face folder or hub name")
    folder = Path(model.name).expanduser()
    if folder.is_dir():
        return _checked(folder)
    if not _HUB_NAME.fullmatch(model.name):
        raise InputError(
            f"model.name: there is no folder {model.name!r}", "name an existing folder, or a model of the hub such as a/b"
        )
    return _checked(_from_hub(model.name, model.revision))


def identity(model: Model, what: Literal["tokenizer", "weights", "sentences"]) -> str:
    """Return a digest of the encoder's tokenizer, of its configuration and weights, or of what it says about sentence vectors.

    The digest is sha256 over the sorted (name, sha256) of these files, so it does not depend on their folder; "scratch" if no encoder is
    named.
    """
    if what == "tokenizer":
        source = tokenizer_model(model)
        return files_digest(tokenizer_files(resolve(source))) if source else SCRATCH
    if not model.name:
        return SCRATCH
    folder = resolve(model)
    if what == "sentences":
        return named_digest((name, file_digest(file)) for name, file in sentence_files(folder).items())
    return files_digest([folder / "config.json", *weight_files(folder)])


def tokenizer_model(model: Model) -> Model | None:
    """Return the model whose tokenizer is used: the recipe's, or that of a model from scratch; None: a tokenizer is trained."""
    if model.name:
        return model
    name = model.scratch.tokenizer or model.start
    return Model(name=name) if name else None


def start_model(model: Model) -> Model | None:
    """Return the encoder whose weights training starts from (`model.start`); None: the recipe's own weights, or random ones."""
    return Model(name=model.start) if model.start else None


def files_digest(files: Iterable[Path]) -> str:
    """Return the sha256 over the sorted (name, sha256) of files; it does not depend on their folder."""
    return named_digest((file.name, file_digest(file)) for file in sorted(files))


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files of a Hugging Face tokenizer in `folder`, sorted."""
    return find_files(folder, _TOKENIZER_FILES)


def find_files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files of `folder` (not of its subfolders) that match one of the patterns, sorted, each once."""
    return sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})


def _checked(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise InputError(f"model.name: {folder} has no config.json", "name a folder written by save_pretrained")
    if not weight_files(folder):
        raise InputError(f"model.name: {folder} has no weights", "it needs model.safetensors (or pytorch_model.bin)")
    return folder


def weight_files(folder: Path) -> list[Path]:
    """Return the files of a model's weights with their index, sorted: safetensors, or pickled ones where there are no others."""
    return find_files(folder, _SAFETENSORS) or find_files(folder, _PICKLED)


def _from_hub(name: str, revision: str) -> Path:
    """Return the hub's snapshot folder; if the hub is unreachable, the one in the local cache."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().model_info(name, revision=revision, timeout=_HUB_TIMEOUT)
        files = _wanted([sibling.rfilename for sibling in info.siblings or ()])
        return Path(snapshot_download(name, revision=revision, allow_patterns=files))
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise InputError(
            f"model.name: neither a folder nor a model on the hub: {name!r} (revision {revision!r})",
            "check the spelling and model.revision; a private model needs `hf auth login`",
        ) from None
    except Exception as error:  # whatever the hub client's transport raises: offline, refused, timed out, interrupted
        return _from_cache(name, revision, error)


def _wanted(files: Sequence[str]) -> list[str]:
    """Return the files of a model on the hub that are downloaded: those of the encoder, and of modules of sentence-transformers."""
    own = [file for file in files if "/" not in file]
    patterns = _HUB_FILES if any(file.endswith(".safetensors") for file in own) else (*_HUB_FILES, "*.bin")
    return [file for file in own if any(fnmatch(file, pattern) for pattern in patterns)] + list(
        filter(_MODULE_FILES.fullmatch, files)
    )


def _from_cache(name: str, revision: str, reason: Exception) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=list(_HUB_FILES), ignore_patterns=["*/*"], local_files_only=True
            )  # the patterns say what must be there
        )
    except LocalEntryNotFoundError:
        raise InputError(
            f"model.name: {name!r} is not a folder, and the hub cannot be reached ({reason})",
            "connect to the hub once, or give the folder of a downloaded model",
        ) from None
