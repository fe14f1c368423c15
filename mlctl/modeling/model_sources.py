"""Resolving the recipe's encoder: a local folder, or a snapshot from the Hugging Face hub. Imports no torch."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from mlctl.config import Model
from mlctl.core.hashing import content_digest, file_digest, named_digest
from mlctl.errors import InputError
from mlctl.modeling.model_files import CONFIG, check_tokenizer_files, is_pickle, read_config, weight_files
from mlctl.modeling.sentence_config import sentence_files
from mlctl.modeling.sentence_modules import MODULES, read_modules

#: Identity of a model from scratch, which follows from the recipe alone.
SCRATCH = "scratch"

#: What `identity` digests.
Part = Literal["tokenizer", "weights", "sentences"]

_HUB_NAME = re.compile(r"(?=.{1,96}$)\w[\w.-]*(/\w[\w.-]*)?")  # as the hub's client demands
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
_HUB_CONFIGS = ("*.json",)
# The card says the licence; pickled weights only where there are no others.
_HUB_FILES = ("*.json", "*.txt", "*.model", "*.spm", "*.safetensors", "README.md")
#: Modules of sentence-transformers, such as 1_Pooling; other folders hold other frameworks' weights.
_MODULE_FILES = re.compile(r"\d+_\w+/[^/]+\.(json|safetensors)")
_MODULE_PICKLE = re.compile(r"\d+_\w+/pytorch_model\.bin")
_HUB_TIMEOUT = 10.0  # seconds
_MAX_SHOWN = 200  # characters of a name in a message


def resolve(model: Model, setting: str = "model.name") -> Path:
    """Return the local folder of the recipe's encoder; if `model.name` is not a folder, download it from the hub.

    Raises:
        InputError: the recipe names no encoder, the folder holds none that may be loaded, or the hub does not have it or is
            unreachable.
    """
    folder = _local_folder(model, setting) or _from_hub(model, setting, _HUB_FILES)
    _check_folder(folder, model, setting)
    return folder


def resolve_config(model: Model, setting: str = "model.name") -> Path:
    """Return a local folder with the encoder's JSON files; those of a model on the hub are fetched without its weights.

    Raises:
        InputError: see `resolve`.
    """
    folder = _local_folder(model, setting) or _from_hub(model, setting, _HUB_CONFIGS)
    _check_config(folder, setting)
    return folder


def _local_folder(model: Model, setting: str) -> Path | None:
    """Return the folder that `model.name` names; None: it may be a name on the hub."""
    if not model.name:
        raise InputError("the recipe names no encoder", f"set {setting} to a Hugging Face folder or hub name")
    folder = Path(model.name).expanduser()
    with contextlib.suppress(OSError, ValueError):  # a name that is too long for a file, or has a NUL
        if folder.is_dir():
            return folder
    if not _HUB_NAME.fullmatch(model.name):
        shown = model.name if len(model.name) <= _MAX_SHOWN else f"{model.name[:_MAX_SHOWN]}…"
        raise InputError(f"{setting}: there is no folder {shown!r}", "name an existing folder, or a model of the hub such as a/b")
    return None


def identity(model: Model, what: Part, setting: str = "model.name") -> str:
    """Return a digest of the encoder's tokenizer, of its configuration and weights, or of what it says about sentence vectors.

    The digest is sha256 over the sorted (name, sha256) of these files, so it does not depend on their folder; "scratch" if no encoder is
    named.
    """
    if what == "tokenizer":
        source = tokenizer_model(model)
        return files_digest(tokenizer_files(resolve(source, setting))) if source else SCRATCH
    if not model.name:
        return SCRATCH
    folder = resolve(model, setting)
    if what == "sentences":
        files = sentence_files(folder, model.allow_pickle)
        return named_digest((name, file_digest(file)) for name, file in files.items())
    return weights_digest(folder)


def encoder_digest(model: Model, setting: str) -> str:
    """Return the digest of an encoder, of its tokenizer and of what it says about sentence vectors; see `identity`."""
    parts: tuple[Part, ...] = ("tokenizer", "weights", "sentences")
    return content_digest({part: identity(model, part, setting) for part in parts})


def weights_digest(folder: Path) -> str:
    """Return the digest of the configuration and the weights in a folder."""
    return files_digest([folder / CONFIG, *weight_files(folder)])


def tokenizer_model(model: Model) -> Model | None:
    """Return the model whose tokenizer is used: the recipe's, or that of a model from scratch; None: a tokenizer is trained."""
    if model.name:
        return model
    name = model.scratch.tokenizer or model.start
    return Model(name=name, allow_pickle=model.allow_pickle) if name else None


def start_model(model: Model) -> Model | None:
    """Return the encoder whose weights training starts from (`model.start`); None: the recipe's own weights, or random ones."""
    return Model(name=model.start, allow_pickle=model.allow_pickle) if model.start else None


def files_digest(files: Iterable[Path]) -> str:
    """Return the sha256 over the sorted (name, sha256) of files; it does not depend on their folder."""
    return named_digest((file.name, file_digest(file)) for file in sorted(files))


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the files of a Hugging Face tokenizer in `folder`, sorted."""
    return find_files(folder, _TOKENIZER_FILES)


def find_files(folder: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files of `folder` (not of its subfolders) that match one of the patterns, sorted, each once."""
    return sorted({file for pattern in patterns for file in folder.glob(pattern) if file.is_file()})


def _check_folder(folder: Path, model: Model, setting: str) -> None:
    """Check what can be checked without reading weights, so that it is noticed before a run begins."""
    _check_config(folder, setting)
    weights = weight_files(folder)
    if not weights:
        raise InputError(f"{setting}: {folder} has no weights", "it needs model.safetensors, or its shards and their index")
    if is_pickle(weights[0]):
        check_pickle_allowed(model, setting)
    check_tokenizer_files(tokenizer_files(folder))


def _check_config(folder: Path, setting: str) -> None:
    if not (folder / CONFIG).is_file():
        if (folder / MODULES).is_file():
            read_modules(folder)  # names the module that takes the encoder's place, such as StaticEmbedding
        raise InputError(f"{setting}: {folder} has no config.json", "name a folder written by save_pretrained")
    read_config(folder)


def _from_hub(model: Model, setting: str, patterns: Sequence[str]) -> Path:
    """Return the hub's snapshot folder with the files of some patterns; if the hub is unreachable, the one in the local cache."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    name, revision = model.name, model.revision
    try:
        info = HfApi().model_info(name, revision=revision, timeout=_HUB_TIMEOUT)
        files = [sibling.rfilename for sibling in info.siblings or ()]
        if patterns == _HUB_FILES and not any(file.endswith(".safetensors") and "/" not in file for file in files):
            check_pickle_allowed(model, setting)
            patterns = (*patterns, "*.bin")
        wanted = _wanted(files, patterns) + (_pickled_modules(files) if model.allow_pickle else [])
        return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise InputError(
            f"{setting}: neither a folder nor a model on the hub: {name!r} (revision {revision!r})",
            f"check the spelling{_revision_of(setting)}; a private model needs `hf auth login`",
        ) from None
    except InputError:
        raise
    except Exception as error:  # whatever the hub client's transport raises: offline, refused, timed out, interrupted
        return _from_cache(name, revision, setting, patterns, error)


def _revision_of(setting: str) -> str:
    """Return the setting of the revision, for a message; an argument of a command has none."""
    section, _, name = setting.rpartition(".")
    return f" and {section.partition('.')[0]}.revision" if name and section else ""


def _wanted(files: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Return the files of a model on the hub that are downloaded: those of the encoder, and of modules of sentence-transformers."""
    own = [file for file in files if "/" not in file and any(fnmatch(file, pattern) for pattern in patterns)]
    return own + list(filter(_MODULE_FILES.fullmatch, files))


def _pickled_modules(files: Sequence[str]) -> list[str]:
    """Return the weights of modules of sentence-transformers that a model on the hub has as pickles alone."""
    pickles = [file for file in files if _MODULE_PICKLE.fullmatch(file)]
    return [file for file in pickles if f"{file.rpartition('/')[0]}/model.safetensors" not in files]


def check_pickle_allowed(model: Model, setting: str) -> None:
    """Raise an InputError unless the recipe allows pickles."""
    if not model.allow_pickle:
        raise InputError(
            f"{setting}: {model.name} has its weights as pickles (pytorch_model.bin), which can run code when they are loaded",
            "name a model with safetensors, or set model.allow_pickle=true for a model that you trust",
        )


def _from_cache(name: str, revision: str, setting: str, patterns: Sequence[str], reason: Exception) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    with contextlib.suppress(LocalEntryNotFoundError):
        folder = Path(
            snapshot_download(
                name, revision=revision, allow_patterns=list(patterns), ignore_patterns=["*/*"], local_files_only=True
            )  # the patterns say what must be there
        )
        if "*.safetensors" not in patterns or weight_files(folder):  # else only its configuration was fetched
            return folder
    raise InputError(
        f"{setting}: {name!r} is not a folder, and the hub cannot be reached ({reason})",
        "connect to the hub once, or give the folder of a downloaded model",
    ) from None
