"""Source kind `mtdata`: a corpus of mtdata's index, fetched by mlctl instead of by mtdata."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from mlctl.config import FileFormat, FilesSource, MtdataSource
from mlctl.core.checksums import CheckedPath
from mlctl.core.unpack_limits import UnpackLimits
from mlctl.corpora.archives import unpack
from mlctl.corpora.catalog.mtdata_index import MtdataEntry, find_entry
from mlctl.corpora.corpus import select_targets
from mlctl.corpora.licences import UNKNOWN
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.files import FilesCorpus
from mlctl.corpora.sources.licence_notes import licence_in_archive
from mlctl.corpora.sources.source_kind import FetchContext
from mlctl.corpora.sources.web import (
    WebCorpus,
    WebSourceKind,
    discarded_if_damaged,
    file_name,
    local_path,
    slug,
    unpack_folder,
)  # fmt: skip
from mlctl.corpora.text_files import TextFiles
from mlctl.corpora.transfer import DownloadRequest, Fetched
from mlctl.errors import InputError

_OPUS_ARCHIVE = re.compile(r"https?://[^/]+/OPUS-[^/]+/[^/]+/moses/[^/]+\.txt\.zip")
_FORMATS: dict[str, FileFormat] = {"txt": "moses", "raw": "moses", "tsv": "tsv", "tmx": "tmx"}
_UNSUPPORTED = {
    "sgm": "SGML of WMT", "wmt21xml": "XML of WMT", "csvwithheader": "CSV", "xlsx": "an Excel sheet", "opus_xces": "XCES of OPUS",
}  # fmt: skip
_HUB = "https://huggingface.co/datasets/"


class MtdataCorpus(WebCorpus):
    """Text of an entry: the files for a target language, one after the other."""

    def __init__(self, files: Mapping[str, Sequence[FilesCorpus]], fetched: Mapping[str, Fetched]) -> None:
        super().__init__("mtdata", next(iter(files.values()))[0], fetched)
        self.targets = tuple(files)
        self._by_target = files

    def texts(self, target: str) -> list[TextFiles]:
        """Return the files of one target language, in order."""
        return [text for file in self._by_target[target] for text in file.texts(target)]


class MtdataKind(WebSourceKind[MtdataSource]):
    """A corpus of mtdata's index.

    All methods raise InputError if the index has no such id, or the corpus is of other languages or in an unsupported format.
    """

    @property
    def name(self) -> str:
        """The id in the index."""
        return self.source.id

    def addresses(self, lock: Lockfile) -> list[str]:
        """Return the URLs of the entry."""
        del lock
        return list(self._entry.urls)

    def stated_licence(self) -> str:
        """Return the licence of the recipe or of the index; empty: it is in the archive."""
        if self.source.licence:
            return self.source.licence
        entry = find_entry(self.source.id)
        return entry.licence or ("" if _is_opus_archive(entry) else UNKNOWN)

    def open(self, context: FetchContext) -> Iterator[MtdataCorpus]:
        """Fetch and unpack the files, yield them as one corpus."""
        entry = self._entry
        fetched = _fetch(entry, context)
        texts = _unpack(entry, fetched, context)
        licence = self.source.licence or entry.licence or _licence_in_notes(entry, fetched, context) or UNKNOWN
        files = {target: self._files(target, texts, licence) for target in self._targets_of(entry)}
        context.lock.record(fetched)
        yield MtdataCorpus(files, fetched)

    @cached_property
    def _entry(self) -> MtdataEntry:
        """The entry of the source, which is in a supported format and has text for the recipe's languages."""
        entry = find_entry(self.source.id)
        if reason := unsupported_reason(entry):
            dataset = entry.urls[0].removeprefix(_HUB)
            remedy = f"use `kind: huggingface` with `dataset: {dataset}`" if entry.format == "hfds" else "use another corpus"
            raise InputError(f"{entry.id} is not supported: it is {reason}", remedy)
        if not self._targets_of(entry):
            requested = ", ".join(self.source.targets or self.languages.targets)
            languages = " and ".join(entry.languages)
            problem = f"{entry.id} is text in {languages}, the recipe needs {self.languages.source} with {requested}"
            remedy = "correct the id or the languages of the recipe" + (
                "" if len(entry.languages) == 2 else ": text without translation must be in one of them"
            )
            raise InputError(problem, remedy)
        return entry

    def _targets_of(self, entry: MtdataEntry) -> tuple[str, ...]:
        """Return the target languages that an entry has text for: all of them if it is text in the source language."""
        source, targets = self.languages.source, select_targets(self.source.targets, self.languages)
        if entry.languages == (source,):
            return targets
        return tuple(tag for tag in targets if sorted(entry.languages) in (sorted((source, tag)), [tag]))

    def _files(self, target: str, texts: Sequence[Path], licence: str) -> list[FilesCorpus]:
        """Return the readers of the texts for one target language."""
        entry, file_format = self._entry, _file_format(self._entry)
        paths = [texts[0].with_suffix(".{language}")] if file_format == "moses" else texts
        sources = (
            FilesSource(
                name=entry.id,
                path=str(path),
                format=file_format,
                columns=_columns(entry, self.languages.source) if file_format == "tsv" else (),
                side="target" if entry.languages == (target,) else "source",
                targets=(target,),
                version=entry.version,
                licence=licence,
            )
            for path in paths
        )
        return [FilesCorpus(source, self.languages) for source in sources]


def unsupported_reason(entry: MtdataEntry) -> str:
    """Return why the text of an entry cannot be read; empty: it can."""
    if entry.urls[0].startswith(_HUB) and entry.format == "hfds":
        return "a dataset on the Hugging Face hub"
    if entry.format not in _FORMATS:
        return _UNSUPPORTED.get(entry.format, f"in the format {entry.format}")
    if any(name.endswith(".bz2") for name in (entry.file, *entry.urls, *entry.members)):
        return "packed by bzip2"
    return _inconsistency(entry)


def _inconsistency(entry: MtdataEntry) -> str:
    """Return how the number of files and languages of an entry disagree; empty: they fit."""
    sides = entry.members or entry.urls
    is_pair = len(entry.languages) == 2
    if entry.format == "tsv" and len(entry.urls) > 1:
        return "a table for each side"
    if _FORMATS[entry.format] == "moses" and len(sides) != len(entry.languages):
        return f"text in {len(sides)} files for {len(entry.languages)} languages"
    if _FORMATS[entry.format] == "moses" and is_pair and len(set(sides)) == 1:
        return f"{sides[0]} on both sides, an error in the index"
    return "a translation memory in one language" if entry.format == "tmx" and not is_pair else ""


def _fetch(entry: MtdataEntry, context: FetchContext) -> dict[str, Fetched]:
    lock = context.lock
    requests = [
        DownloadRequest((url,), local_path(url, _file_name(entry, url), context.folder), lock.pinned_digest(url), str(lock.path))
        for url in entry.urls
    ]
    return dict(zip(entry.urls, context.downloader.fetch_all(requests, entry.id), strict=True))


def _file_name(entry: MtdataEntry, url: str) -> str:
    """Return the name of a fetched file; of a single one the index's, as the URL may not contain it (`…/download?id=3`)."""
    return entry.file if len(entry.urls) == 1 else file_name(url)


def _unpack(entry: MtdataEntry, fetched: Mapping[str, Fetched], context: FetchContext) -> list[Path]:
    """Unpack the text of an entry and return its files: one for each side, or any number with pairs."""
    folder = unpack_folder(fetched, entry.id, context)
    paths = [folder / name for name in _text_names(entry)]
    for index, (url, file) in enumerate(fetched.items()):
        texts = paths if len(fetched) == 1 else [paths[index]]
        if not all(CheckedPath.at(path).is_finished() for path in texts):
            _unpack_file(entry, url, file, texts, context.unpack_limits)
    return paths


def _text_names(entry: MtdataEntry) -> list[str]:
    name, file_format = slug(entry.id), _file_format(entry)
    if file_format == "moses":
        return [f"{name}.{tag}" for tag in entry.languages]
    return [f"{name}{f'-{number + 1}' if number else ''}.{file_format}" for number in range(len(entry.members) or 1)]


def _unpack_file(entry: MtdataEntry, url: str, file: Fetched, paths: Sequence[Path], limits: UnpackLimits) -> None:
    name = _file_name(entry, url)
    with discarded_if_damaged(file, url):
        members = _members(entry, file.path, name, limits)
        unpack.unpack(file.path, dict(zip(members, paths, strict=True)), name, limits)


def _members(entry: MtdataEntry, path: Path, name: str, limits: UnpackLimits) -> list[str]:
    """Return the names of an entry's members; a pattern must match exactly one member of the archive."""
    if not any(re.search(r"[*?\[]", member) for member in entry.members):
        return list(entry.members) or [""]
    listed = unpack.members(path, name, limits)
    members: list[str] = []
    for pattern in entry.members:
        matching = [pattern] if pattern in listed else fnmatch.filter(listed, pattern)
        if len(matching) != 1 or matching[0] in members:
            existing = ", ".join((matching or listed)[:8]) or "nothing"
            problem = f"{entry.id}: {len(matching)} members of {name} match {pattern!r}, expected one"
            raise InputError(problem, f"it has {existing}; its publisher may have changed it: use another corpus")
        members += matching
    return members


def _file_format(entry: MtdataEntry) -> FileFormat:
    """Return the format in which an entry's text is read."""
    file_format = _FORMATS[entry.format]
    return "lines" if file_format == "moses" and len(entry.languages) == 1 else file_format


def _columns(entry: MtdataEntry, source: str) -> tuple[str, ...]:
    """Return the numbers (from 1) of the columns of a table, the source language's first."""
    numbers = [str(number + 1) for number in entry.columns or range(len(entry.languages))]
    return tuple(numbers if entry.languages[0] == source else reversed(numbers))


def _is_opus_archive(entry: MtdataEntry) -> bool:
    return bool(_OPUS_ARCHIVE.fullmatch(entry.urls[0]))


def _licence_in_notes(entry: MtdataEntry, fetched: Mapping[str, Fetched], context: FetchContext) -> str:
    """Return the licence in the notes of an OPUS archive; empty for others, whose README may be about anything."""
    if not _is_opus_archive(entry):
        return ""
    file = next(iter(fetched.values()))
    return licence_in_archive(file.path, entry.file, context.unpack_limits)
