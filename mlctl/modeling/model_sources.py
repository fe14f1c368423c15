"""Where an encoder lies: a folder as given, or a snapshot from the Hugging Face hub. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from mlctl.config import Model
from mlctl.core.hashing import file_digest, named_digest
from mlctl.errors import InputError

#: Identity of what is made from the recipe alone.
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
_HUB_FILES = ["*.json", "*.txt", "*.model", "*.spm", "*.safetensors"]  # pickled weights only where there are no others
_HUB_LEFT = ["*/*"]  # folders hold other frameworks' weights
_HUB_TIMEOUT = 10.0  # seconds to the first answer


def resolve(model: Model) -> Path:
    """Return the local folder of the recipe's encoder, fetching it from the hub where `model.name` is no folder.

    Raises:
        InputError: the recipe names no encoder, the folder holds none, or the hub does not have it or cannot be reached.
    """
    if not model.name:
        raise InputError("the recipe names no encoder", "set model.name to a Hugging Face folder or hub name")
    folder = Path(model.name).expanduser()
    if folder.is_dir():
        return _checked(folder)
    if not _HUB_NAME.fullmatch(model.name):
        raise InputError(f"model.name: there is no folder {model.name!r}", "name an existing folder, or a hub name such as a/b")
    return _checked(_from_hub(model.name, model.revision))


def identity(model: Model, what: Literal["tokenizer", "weights"]) -> str:
    """Return a digest of the encoder's tokenizer, or of its configuration and weights; "scratch" where none is named.

    The digest is sha256 over the sorted (name, sha256) of the files that matter, so it is the same wherever they lie.
    """
    if what == "tokenizer":
        words = with_words(model)
        return digest_of(tokenizer_files(resolve(words))) if words else SCRATCH
    if not model.name:
        return SCRATCH
    folder = resolve(model)
    return digest_of([folder / "config.json", *_weight_files(folder)])


def with_words(model: Model) -> Model | None:
    """Return the model whose tokenizer is taken: the recipe's, or what one from scratch is given; None: it trains its own."""
    if model.name:
        return model
    given = model.scratch.tokenizer or model.start
    return Model(name=given) if given else None


def start_of(model: Model) -> Model | None:
    """Return the encoder whose weights training starts from; None: the recipe's model as it is, or random ones."""
    return Model(name=model.start) if model.start else None


def digest_of(files: Iterable[Path]) -> str:
    """Return the sha256 over the sorted (name, sha256) of files: the same wherever they lie."""
    return named_digest((file.name, file_digest(file)) for file in sorted(files))


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files of a Hugging Face tokenizer in `folder`, sorted."""
    return matching(folder, _TOKENIZER_FILES)


def matching(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files of `folder` (not below it) that fit one of the patterns, sorted, each once."""
    return sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})


def _checked(folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise InputError(f"model.name: {folder} has no config.json", "name a folder that save_pretrained wrote")
    if not _weight_files(folder):
        raise InputError(f"model.name: {folder} has no weights", "it needs model.safetensors (or pytorch_model.bin)")
    return folder


def _weight_files(folder: Path) -> list[Path]:
    return matching(folder, _SAFETENSORS) or matching(folder, _PICKLED)


def _from_hub(name: str, revision: str) -> Path:
    """Return the hub's snapshot folder; when the hub is out of reach, the one that lies in the local cache."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().model_info(name, revision=revision, timeout=_HUB_TIMEOUT)
        safe = any(re.fullmatch(r"[^/]+\.safetensors", sibling.rfilename) for sibling in info.siblings or ())
        wanted = _HUB_FILES if safe else [*_HUB_FILES, "*.bin"]
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted, ignore_patterns=_HUB_LEFT))
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise InputError(
            f"model.name: neither a folder nor a model on the hub: {name!r} (revision {revision!r})",
            "check the spelling and model.revision; a private model needs `hf auth login`",
        ) from None
    except Exception as error:  # whatever the hub client's transport raises: offline, refused, timed out, broken off
        return _from_cache(name, revision, error)


def _from_cache(name: str, revision: str, reason: Exception) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                name, revision=revision, allow_patterns=_HUB_FILES, ignore_patterns=_HUB_LEFT, local_files_only=True
            )
        )
    except LocalEntryNotFoundError:
        raise InputError(
            f"model.name: {name!r} is no folder, and the hub cannot be reached ({reason})",
            "connect to the hub once, or give the folder of a downloaded model",
        ) from None
