"""Source kind `huggingface`: data sets in the hub's format, from the hub or from a folder, read by the library `datasets`."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from mlctl.config import HuggingfaceSource, Languages
from mlctl.core.url_redaction import hide
from mlctl.corpora.corpus import Row, wanted_targets
from mlctl.corpora.file_info import written_at
from mlctl.corpora.readers.records import Columns
from mlctl.corpora.readers.wanted import Wanted
from mlctl.errors import InputError

log = logging.getLogger(__name__)

_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_TIMEOUT = 10.0  # seconds to the first answer
_BATCH_ROWS = 1024
_NO_LIBRARY = "install mlctl with the extra `corpora`: it brings the library `datasets`"


class _Card(NamedTuple):
    """What is known before any text is fetched."""

    version: str
    licence: str


class HuggingfaceCorpus:
    """A data set with a column of translations, or with two columns of text.

    A data set on the hub is read at one commit: what `revision` pointed to when the corpus was made. Text is fetched and kept in
    `scratch` when it is first read.

    Raises:
        InputError: there is no such data set, revision or folder, or the hub cannot be reached; while reading: the data set
            lacks the subset, the split, the columns or the languages.
    """

    kind = "huggingface"

    def __init__(self, source: HuggingfaceSource, languages: Languages, scratch: Path) -> None:
        self._source = source
        self._language = languages.source
        self._cache = scratch / "huggingface"
        self._folder = local_folder(source)
        self.targets = wanted_targets(source.targets, languages)
        self._check_languages()
        card = _local_card(self._folder) if self._folder else _hub_card(source)
        self.name = source.name or source.dataset.rstrip("/").rpartition("/")[2]
        self.version = card.version
        self.licence = source.licence or card.licence

    @property
    def address(self) -> str:
        """The name on the hub with the commit; of a folder its name alone, paths differ from machine to machine."""
        return self._folder.name if self._folder else f"{self._source.dataset}@{self.version}"

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for target in self.targets:
            for row in self.rows(target):
                digest.update(json.dumps([target, row.source, row.target], ensure_ascii=False).encode() + b"\n")
        return digest.hexdigest()

    def sha256(self) -> str:
        """Return the digest of the text that is read: how the hub packs it may change while it stays the same."""
        return self._digest

    def retrieved(self) -> Mapping[str, str]:
        """Return when text came from the hub; nothing for a folder."""
        return {} if self._folder else {self.address: written_at(self._cache)}

    def rows(self, target: str) -> Iterator[Row]:
        """Yield the rows of one target language in the order of the data set."""
        columns = Columns(Wanted(self._language, target, self._source.columns, self._source.side))
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
        except Exception as error:  # whatever the library and its transport raise: the files are anybody's
            raise self._unreadable(error) from None

    def _subset(self, target: str) -> str:
        pair = "-".join(sorted((self._language, target)))
        return self._source.subset.replace("{target}", target).replace("{pair}", pair)

    def _unreadable(self, error: Exception) -> InputError:
        reason = _reason(error)
        remedy = "check subset and split of this source; what was fetched is kept, so that a new run goes on from there"
        return InputError(f"{self.name} ({self.address}) cannot be read: {reason}", remedy)

    def _check_languages(self) -> None:
        """Refuse named columns for several languages, unless something in the source names the language."""
        source = self._source
        by_name = len(source.columns) == 2 or source.side == "target"
        if len(self.targets) > 1 and by_name and "{" not in "".join((*source.columns, source.subset)):
            problem = f"{source.dataset}: columns {list(source.columns)} are the same for {', '.join(self.targets)}"
            raise InputError(problem, "write {target} in columns or subset, or set the source's targets")


def local_folder(source: HuggingfaceSource) -> Path | None:
    """Return the folder that a source names; None where it names a data set of the hub.

    Raises:
        InputError: it is neither.
    """
    folder = Path(source.dataset).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if not _HUB_NAME.fullmatch(source.dataset):
        raise InputError(
            f"there is no folder {source.dataset!r}", "name an existing folder, or a data set of the hub such as a/b"
        )
    return None


def commit_of(source: HuggingfaceSource) -> str:
    """Return the commit that the revision of a data set of the hub is now.

    Raises:
        InputError: there is no such data set or revision, or the hub cannot be reached.
    """
    return source.revision if _COMMIT.fullmatch(source.revision) else _hub_card(source).version


def folder_files(source: HuggingfaceSource) -> dict[str, Path]:
    """Return the files of a source's folder by name within it, hidden ones left out; nothing for a data set of the hub."""
    folder = local_folder(source)
    if folder is None:
        return {}
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name.as_posix(): path for name, path in files.items() if not any(part.startswith(".") for part in name.parts)}


def _library() -> Any:
    try:
        import datasets
    except ImportError:
        raise InputError("sources of kind huggingface need the library `datasets`", _NO_LIBRARY) from None
    datasets.disable_progress_bars()
    return datasets


def _local_card(folder: Path) -> _Card:
    from huggingface_hub import DatasetCard

    readme = folder / "README.md"
    try:
        data = DatasetCard.load(readme).data if readme.is_file() else None
    except Exception as error:  # a card is YAML written by hand
        raise InputError(f"{readme} is no data set card: {str(error).splitlines()[0]}", "mend its YAML header") from None
    return _Card("", _licence_of(data))


def _hub_card(source: HuggingfaceSource) -> _Card:
    """Ask the hub which commit the revision is and what licence the card states."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    name, revision = source.dataset, source.revision
    try:
        info = HfApi().dataset_info(name, revision=revision, timeout=_HUB_TIMEOUT)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise InputError(
            f"neither a folder nor a data set of the hub: {name!r} (revision {revision!r})",
            "check the spelling and the revision; a private data set needs `hf auth login`",
        ) from None
    except Exception as error:  # whatever the hub client's transport raises: offline, refused, timed out, broken off
        reason = _reason(error)
        remedy = "check the network, or name the folder of a downloaded data set"
        raise InputError(f"{name!r} is no folder, and the hub cannot be reached: {reason}", remedy) from None
    return _Card(str(info.sha or revision), _licence_of(info.card_data))


def _reason(error: Exception) -> str:
    """Return the first line of a message; addresses in it may be signed."""
    return hide((str(error).strip() or type(error).__name__).splitlines()[0])


def _licence_of(data: Any) -> str:
    stated = data.to_dict() if data is not None else {}
    value = stated.get("license") if isinstance(stated, Mapping) else None
    listed = [value] if isinstance(value, str) else value or []
    return " AND ".join(str(one) for one in listed) or "unknown"
