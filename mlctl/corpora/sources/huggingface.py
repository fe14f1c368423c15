"""Source kind `huggingface`: datasets on the Hugging Face hub or in a folder, read by the library `datasets`."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from mlctl.config import HuggingfaceSource, Languages
from mlctl.core.distribution import install_extras
from mlctl.core.url_redaction import redact_text
from mlctl.corpora.corpus import Row, select_targets
from mlctl.corpora.file_info import written_at
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.readers.records import Columns
from mlctl.corpora.readers.selection import PairSelection
from mlctl.corpora.sources.source_kind import FetchContext, SourceKind
from mlctl.corpora.sources.source_state import Inspection, SourceState
from mlctl.errors import InputError

log = logging.getLogger(__name__)

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_TIMEOUT = 10.0  # seconds to the first answer
_BATCH_ROWS = 1024


class _Card(NamedTuple):
    """What a dataset card states; known before any text is fetched."""

    version: str
    licence: str


class HuggingfaceCorpus:
    """A dataset with a column of translations, or with two columns of text.

    A dataset on the hub is read at one commit: the one that `revision` pointed to when this object was created. Text is fetched when
    it is first read, and cached in `scratch`.

    Raises:
        InputError: on construction: the dataset, the revision or the folder does not exist, or the hub cannot be reached; while
            reading: the dataset lacks the subset, the split, the columns or the languages.
    """

    kind = "huggingface"

    def __init__(self, source: HuggingfaceSource, languages: Languages, scratch: Path) -> None:
        self._source = source
        self._language = languages.source
        self._cache = scratch / "huggingface"
        self._folder = local_folder(source)
        self.targets = select_targets(source.targets, languages)
        self._check_columns()
        card = _local_card(self._folder) if self._folder else _hub_card(source)
        self.name = source.name or source.dataset.rstrip("/").rpartition("/")[2]
        self.version = card.version
        self.licence = source.licence or card.licence

    @property
    def address(self) -> str:
        """The name on the hub with the commit; of a folder only its name, as paths differ from machine to machine."""
        return self._folder.name if self._folder else f"{self._source.dataset}@{self.version}"

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for target in self.targets:
            for row in self.rows(target):
                scores = [dict(row.scores)] if row.scores else []
                digest.update(json.dumps([target, row.source, row.target, *scores], ensure_ascii=False).encode() + b"\n")
        return digest.hexdigest()

    def sha256(self) -> str:
        """Return the digest of the text and the scores that are read: it does not depend on how the hub packs the files."""
        return self._digest

    def retrieved(self) -> Mapping[str, str]:
        """Return when text was fetched from the hub; nothing for a folder."""
        return {} if self._folder else {self.address: written_at(self._cache)}

    def rows(self, target: str) -> Iterator[Row]:
        """Yield the rows of one target language in the order of the dataset."""
        source = self._source
        columns = Columns(PairSelection(self._language, target, source.columns, source.side, source.scores))
        dataset = self._load(target)
        needed = columns.needed(dataset.column_names)
        batches = (dataset.select_columns(needed) if needed else dataset).iter(batch_size=_BATCH_ROWS if needed else 1)
        number = 0
        for batch in batches:
            for values in zip(*batch.values(), strict=True):
                number += 1
                where = f"{self.name}, split {self._source.split!r}, row {number}"
                row = columns.row(dict(zip(batch, values, strict=True)), where, f"{self._source.split}#{number}")
                if row:
                    yield row

    def _load(self, target: str) -> Any:
        datasets = _library()
        subset = self._subset(target)
        log.info("reading %s%s, split %s", self.name, f" ({subset})" if subset else "", self._source.split)
        try:
            return datasets.load_dataset(
                str(self._folder or self._source.dataset),
                name=subset or None,
                split=self._source.split,
                revision=None if self._folder else self.version,
                cache_dir=str(self._cache),
            )
        except Exception as error:  # the library and its HTTP client raise many types, depending on the files
            raise self._unreadable(error) from None

    def _subset(self, target: str) -> str:
        pair = "-".join(sorted((self._language, target)))
        return self._source.subset.replace("{target}", target).replace("{pair}", pair)

    def _unreadable(self, error: Exception) -> InputError:
        remedy = "check subset and split of this source, then run again: fetched files are kept and the download resumes"
        return InputError(f"{self.name} ({self.address}) cannot be read: {_first_line(error)}", remedy)

    def _check_columns(self) -> None:
        """Refuse named columns for several languages, unless a setting of the source contains the language."""
        source = self._source
        is_named = len(source.columns) == 2 or source.side == "target"
        if len(self.targets) > 1 and is_named and "{" not in "".join((*source.columns, source.subset)):
            problem = f"{source.dataset}: columns {list(source.columns)} are the same for {', '.join(self.targets)}"
            raise InputError(problem, "write {target} in columns or subset, or set the source's targets")


class HuggingfaceKind(SourceKind[HuggingfaceSource]):
    """A dataset on the Hugging Face hub or in a folder."""

    @property
    def name(self) -> str:
        """Name in the recipe, else the dataset's."""
        return self.source.name or self.source.dataset

    def local_files(self) -> Mapping[str, Path]:
        """Return the files of the folder by name within it, hidden ones left out; nothing for a dataset on the hub."""
        folder = local_folder(self.source)
        if folder is None:
            return {}
        files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
        return {name.as_posix(): path for name, path in files.items() if not any(part.startswith(".") for part in name.parts)}

    def validate(self) -> None:
        """Check that the library `datasets` is installed, and that the name is one of a folder or of the hub."""
        if importlib.util.find_spec("datasets") is None:
            raise _no_library()
        local_folder(self.source)

    def pins(self, lock: Lockfile) -> list[str] | None:
        """Return the commit; None for a branch, a tag or a folder."""
        del lock
        is_fixed = _COMMIT.fullmatch(self.source.revision) and not local_folder(self.source)
        return [self.source.revision] if is_fixed else None

    def inspect(self, inspection: Inspection) -> SourceState:
        """Return the commit that the revision points to; of a folder the digests of its files."""
        source, name = self.source, self.source.dataset
        if local_folder(source):
            return SourceState([source], inspection.file_states(name, self.local_files().values()))
        state, fallback = SourceState(), inspection.known_content(name) or source.revision
        commit = inspection.query(name, lambda: _commit(source), fallback, state.unreachable)
        state.states[name] = (commit, "")
        state.sizes[name] = None
        state.sources.append(source.model_copy(update={"revision": commit}))
        return state

    def open(self, context: FetchContext) -> Iterator[HuggingfaceCorpus]:
        """Yield the dataset as one corpus; its text is fetched when it is read."""
        yield HuggingfaceCorpus(self.source, self.languages, context.scratch)


def local_folder(source: HuggingfaceSource) -> Path | None:
    """Return the folder that a source names; None if it names a dataset on the hub.

    Raises:
        InputError: it is neither.
    """
    folder = Path(source.dataset).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if not _HUB_NAME.fullmatch(source.dataset):
        raise InputError(f"there is no folder {source.dataset!r}", "name an existing folder, or a dataset on the hub such as a/b")
    return None


def _commit(source: HuggingfaceSource) -> str:
    return source.revision if _COMMIT.fullmatch(source.revision) else _hub_card(source).version


def _library() -> Any:
    try:
        import datasets
    except ImportError:
        raise _no_library() from None
    datasets.disable_progress_bars()
    return datasets


def _no_library() -> InputError:
    return InputError("sources of kind huggingface need the library `datasets`", f"run `{install_extras('corpora')}`")


def _local_card(folder: Path) -> _Card:
    from huggingface_hub import DatasetCard

    readme = folder / "README.md"
    try:
        data = DatasetCard.load(readme).data if readme.is_file() else None
    except Exception as error:  # YAML written by hand fails in many ways
        raise InputError(f"{readme} is not a valid dataset card: {str(error).splitlines()[0]}", "fix its YAML header") from None
    return _Card("", _licence_of(data))


def _hub_card(source: HuggingfaceSource) -> _Card:
    """Ask the hub for the commit of the revision and the licence that the card states."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    name, revision = source.dataset, source.revision
    try:
        info = HfApi().dataset_info(name, revision=revision, timeout=_HUB_TIMEOUT)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise InputError(
            f"neither a folder nor a dataset on the hub: {name!r} (revision {revision!r})",
            "check the spelling and the revision; a private dataset needs `hf auth login`",
        ) from None
    except Exception as error:  # the hub's HTTP client raises many types: offline, refused, timed out, broken off
        remedy = "check the network, or name the folder of a downloaded dataset"
        raise InputError(f"{name!r} is no folder, and the hub cannot be reached: {_first_line(error)}", remedy) from None
    return _Card(str(info.sha or revision), _licence_of(info.card_data))


def _first_line(error: Exception) -> str:
    """Return the first line of a message; URLs in it may be signed."""
    return redact_text((str(error).strip() or type(error).__name__).splitlines()[0])


def _licence_of(card_data: Any) -> str:
    values = card_data.to_dict() if card_data is not None else {}
    stated = values.get("license") if isinstance(values, Mapping) else None
    licences = [stated] if isinstance(stated, str) else stated or []
    return " AND ".join(map(str, licences)) or "unknown"
