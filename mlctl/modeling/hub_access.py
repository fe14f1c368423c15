"""Checks that the Hugging Face hub has the models and data sets of a recipe, without downloading them. Imports no torch.

Of a sentence encoder the configurations of its modules are fetched, which are a few hundred bytes each.
"""

from __future__ import annotations

import difflib
import re
from concurrent.futures import Future
from pathlib import Path
from threading import Lock
from typing import Any, Literal, cast

from mlctl.config import Model
from mlctl.core.url_redaction import redact_text
from mlctl.errors import InputError
from mlctl.modeling import model_sources
from mlctl.modeling.sentence_config import read_sentence_config
from mlctl.modeling.sentence_modules import MODULES, UnsupportedModuleError, refused_pickle

Kind = Literal["model", "dataset"]

_TIMEOUT = 5.0  # seconds to the first response
_MODULE_CONFIGS = re.compile(r"modules\.json|config\.json|(config_)?sentence_\w+\.json|\d+_\w+/config\.json")
_WEIGHTS = re.compile(r"[^/]+\.safetensors|pytorch_model[^/]*\.bin")
_LOG_IN = "run `hf auth login`, or set HF_TOKEN"
# Suggested for names that do not exist, besides what was downloaded before.
_WELL_KNOWN = (
    "FacebookAI/xlm-roberta-base",
    "FacebookAI/xlm-roberta-large",
    "bert-base-multilingual-cased",
    "google-bert/bert-base-multilingual-cased",
    "intfloat/multilingual-e5-base",
    "intfloat/multilingual-e5-large",
    "intfloat/multilingual-e5-small",
    "jhu-clsp/mmBERT-base",
    "sentence-transformers/LaBSE",
    "xlm-roberta-base",
    "facebook/m2m100_418M",
    "facebook/nllb-200-distilled-600M",
    "google/madlad400-3b-mt",
    "google/xtreme",
    "Helsinki-NLP/opus-100",
)


class HubUnreachableError(InputError):
    """The hub does not answer, and what the recipe names was not downloaded before."""

    def __init__(self, setting: str, name: str, reason: str) -> None:
        super().__init__(
            f"{setting}: {name!r} is not a folder, and the hub cannot be reached ({reason})",
            f"check the network, or run `hf download {name}` where there is one and name that folder",
        )
        self.needed = f"{setting} {name!r}"
        self.reason = reason


class HubAccess:
    """Asks the hub about each name once.

    Args:
        online: whether the hub is asked at all; if not, names that are no folders are taken for right.
    """

    def __init__(self, online: bool = True) -> None:
        self._online = online
        self._answers: dict[tuple[str, str, str], Future[Any]] = {}
        self._lock = Lock()

    def check_model(self, model: Model, setting: str) -> None:
        """Check the model that a setting names: a folder with a model, or one on the hub that may be downloaded or is cached.

        Raises:
            InputError: there is no such model or revision, or access is restricted.
            HubUnreachableError: only the hub could tell.
        """
        if _is_folder(model.name, setting):
            model_sources.resolve(model, setting)
            return
        if not self._online or is_cached(model.name, model.revision):
            return
        info = self._ask("model", model.name, model.revision, setting)
        files = [sibling.rfilename for sibling in info.siblings or ()]
        if "config.json" not in files or not any(map(_WEIGHTS.fullmatch, files)):
            missing = "weights that transformers loads" if "config.json" in files else "config.json"
            problem = f"{setting}: {model.name!r} on the hub has no {missing}"
            raise InputError(problem, "name a model in the format of transformers (safetensors)")
        if not any(file.endswith(".safetensors") and "/" not in file for file in files):
            model_sources.check_pickle_allowed(model, setting)

    def check_sentence_modules(self, model: Model) -> None:
        """Check the modules of a sentence encoder on the hub; that there is such a model, `check_model` checks.

        Raises:
            UnsupportedModuleError: mlctl cannot reproduce one of them.
        """
        files = self._files_of(model)
        folder = _module_configs(model, files) if files is None or MODULES in files else None
        if folder is None:
            return
        try:
            config = read_sentence_config(folder, complete=False)
        except UnsupportedModuleError:
            raise
        except InputError:  # a copy without all of its files: the rest is downloaded, and then checked
            return
        for module in config.pooling.modules if config and files else ():
            pickle, safetensors = (f"{module.path}/{name}" for name in ("pytorch_model.bin", "model.safetensors"))
            if pickle in cast(list[str], files) and safetensors not in cast(list[str], files) and not model.allow_pickle:
                raise refused_pickle(f"{model.name}/{module.path}")

    def _files_of(self, model: Model) -> list[str] | None:
        """Return the names of a model's files on the hub, none if it does not answer; None: it is cached, and nothing is asked."""
        if not self._online or is_cached(model.name, model.revision):
            return None
        try:
            return [sibling.rfilename for sibling in self._ask("model", model.name, model.revision, "model.name").siblings or ()]
        except InputError:
            return []

    def check_dataset(self, name: str, revision: str, setting: str) -> None:
        """Check the data set that a setting names: a folder, or one on the hub.

        Raises: as `check_model`.
        """
        if not _is_folder(name, setting) and self._online:
            self._ask("dataset", name, revision, setting)

    def _ask(self, kind: Kind, name: str, revision: str, setting: str) -> Any:
        key = (kind, name, revision)
        with self._lock:
            is_first = key not in self._answers
            asked = self._answers.setdefault(key, Future())
        if is_first:
            asked.set_result(_query(kind, name, revision))
        answer = asked.result()
        if isinstance(answer, Exception):
            raise _explained(answer, kind, name, revision, setting)
        return answer


def _module_configs(model: Model, files: list[str] | None) -> Path | None:
    """Return a folder with the configurations of a model's modules, from the hub or, without names of files, its cache; None: neither."""
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    if files is None:
        cached = try_to_load_from_cache(model.name, MODULES, revision=model.revision) if _is_hub_name(model.name) else None
        return Path(cached).parent if isinstance(cached, str) else None
    try:
        wanted = list(filter(_MODULE_CONFIGS.fullmatch, files))
        return Path(snapshot_download(model.name, revision=model.revision, allow_patterns=wanted))
    except Exception:  # the client's transport raises many types; the same check follows when the model is downloaded
        return None


def is_cached(name: str, revision: str) -> bool:
    """Return whether a model of the hub, with its weights, is on this machine."""
    from huggingface_hub import try_to_load_from_cache

    if not _is_hub_name(name):
        return False
    config = try_to_load_from_cache(name, "config.json", revision=revision)
    return isinstance(config, str) and any(
        _WEIGHTS.fullmatch(file.name) and file.is_file() for file in Path(config).parent.iterdir()
    )


def _query(kind: Kind, name: str, revision: str) -> Any:
    """Return the hub's description, or the error of its client."""
    from huggingface_hub import HfApi

    hub = HfApi()
    ask = hub.model_info if kind == "model" else hub.dataset_info
    try:
        info = ask(name, revision=revision, timeout=_TIMEOUT)
        if info.gated:
            hub.auth_check(name, repo_type=kind)
        return info
    except Exception as error:  # the client's transport raises many types
        return error


def _explained(error: Exception, kind: Kind, name: str, revision: str, setting: str) -> InputError:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    what = "data set" if kind == "dataset" else kind
    if isinstance(error, GatedRepoError):
        page = f"https://huggingface.co/{'datasets/' if kind == 'dataset' else ''}{name}"
        return InputError(
            f"{setting}: access to the {what} {name!r} is restricted", f"accept its conditions at {page}, then {_LOG_IN}"
        )
    if isinstance(error, RevisionNotFoundError):
        return InputError(
            f"{setting}: the {what} {name!r} has no revision {revision!r}", "name a branch, tag or commit of it, or main"
        )
    if isinstance(error, RepositoryNotFoundError):
        similar = difflib.get_close_matches(name, [*_cached_names(), *_WELL_KNOWN], n=1, cutoff=0.75)
        hint = f"did you mean {similar[0]}? " if similar else ""
        return InputError(
            f"{setting}: neither a folder nor a {what} on the hub: {name!r}",
            f"{hint}check the spelling; if it is private, {_LOG_IN}",
        )
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return HubUnreachableError(setting, name, redact_text(reason))


def _is_folder(name: str, setting: str) -> bool:
    """Return whether a folder is named, else a name on the hub.

    Raises:
        InputError: it is neither; the message suggests a similar folder.
    """
    path = Path(name).expanduser()
    try:
        if path.is_dir():
            return True
        siblings = [str(folder) for folder in path.parent.iterdir() if folder.is_dir()] if path.parent.is_dir() else []
    except OSError:  # a name that no folder can have
        siblings = []
    if _is_hub_name(name):
        return False
    similar = difflib.get_close_matches(str(path), siblings, n=1, cutoff=0.75)
    hint = f"did you mean {similar[0]}? " if similar else ""
    raise InputError(
        f"{setting}: there is no folder {name!r}", f"{hint}name an existing folder, or a name on the hub such as a/b"
    )


def _is_hub_name(name: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def _cached_names() -> list[str]:
    from huggingface_hub.constants import HF_HUB_CACHE

    return [folder.name.partition("--")[2].replace("--", "/") for folder in Path(HF_HUB_CACHE).glob("*s--*")]
