"""Source kind `mtdata`: a corpus of mtdata's index, fetched, pinned, unpacked and read as kind `url` does it."""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mlctl.config import FileFormat, FilesSource, Languages, MtdataSource
from mlctl.core.files import discard
from mlctl.core.url_redaction import shown
from mlctl.corpora.archives import unpack
from mlctl.corpora.archives.limits import Bounds
from mlctl.corpora.catalog.mtdata_index import Entry, find
from mlctl.corpora.corpus import Row, wanted_targets
from mlctl.corpora.file_info import joint_sha256
from mlctl.corpora.licences import UNKNOWN
from mlctl.corpora.sources.files import FilesCorpus
from mlctl.corpora.sources.opus import licence_in
from mlctl.corpora.sources.url import Web, WebCorpus, file_name, slug
from mlctl.corpora.transfer import Fetched, Wanted
from mlctl.errors import InputError

_OPUS = re.compile(r"https?://[^/]+/OPUS-[^/]+/[^/]+/moses/[^/]+\.txt\.zip")
_NOTES = ("LICENSE", "README")
_LONGEST_NOTE = 2**16
_READ: dict[str, FileFormat] = {"txt": "moses", "raw": "moses", "tsv": "tsv", "tmx": "tmx"}
_KNOWN_AS = {
    "sgm": "SGML of WMT", "wmt21xml": "XML of WMT", "csvwithheader": "CSV", "xlsx": "an Excel sheet", "opus_xces": "XCES of OPUS",
}  # fmt: skip
_HUB = "https://huggingface.co/datasets/"


class MtdataCorpus(WebCorpus):
    """Text of an entry: one after the other, the files that it has for a target language."""

    def __init__(self, files: Mapping[str, Sequence[FilesCorpus]], fetched: Mapping[str, Fetched]) -> None:
        super().__init__("mtdata", next(iter(files.values()))[0], fetched)
        self.targets = tuple(files)
        self._by_target = files

    def rows(self, target: str) -> Iterator[Row]:
        """Yield the rows of one target language in the order of the files."""
        return itertools.chain.from_iterable(file.rows(target) for file in self._by_target[target])


def open_mtdata(source: MtdataSource, languages: Languages, surroundings: Web) -> MtdataCorpus:
    """Fetch and unpack a corpus of mtdata's index.

    Raises:
        InputError: there is no such id, it is of other languages or in a format that is not read, or what its address gives is
            not what was pinned, dangerous or damaged.
    """
    entry = _checked(source, languages)
    fetched = _fetch(entry, surroundings)
    texts = _unpack(entry, fetched, surroundings)
    licence = source.licence or entry.licence or _noted(entry, fetched, surroundings) or UNKNOWN
    files = {target: _files(entry, target, texts, licence, languages) for target in _targets(source, entry, languages)}
    surroundings.lock.record(fetched)
    return MtdataCorpus(files, fetched)


def mtdata_addresses(source: MtdataSource, languages: Languages) -> list[str]:
    """Return the addresses of a source: what its entries in the lock are called. Raises InputError as `open_mtdata`."""
    return list(_checked(source, languages).urls)


def stated_licence(source: MtdataSource) -> str:
    """Return the licence as far as it is known before anything is fetched; empty: the archive will tell."""
    if source.licence:
        return source.licence
    entry = find(source.id)
    return entry.licence or ("" if _of_opus(entry) else UNKNOWN)


def why_unread(entry: Entry) -> str:
    """Return what an entry is that cannot be read here; empty: it can be."""
    if entry.urls[0].startswith(_HUB) and entry.format == "hfds":
        return "a data set of the Hugging Face hub"
    if entry.format not in _READ:
        return _KNOWN_AS.get(entry.format, f"in the format {entry.format}")
    if any(name.endswith(".bz2") for name in (entry.file, *entry.urls, *entry.members)):
        return "packed by bzip2"
    return _why_misfit(entry)


def _why_misfit(entry: Entry) -> str:
    sides = entry.members or entry.urls
    both = len(entry.languages) == 2
    if entry.format == "tsv" and len(entry.urls) > 1:
        return "a table for each side"
    if _READ[entry.format] == "moses" and len(sides) != len(entry.languages):
        return f"text in {len(sides)} files for {len(entry.languages)} languages"
    if _READ[entry.format] == "moses" and both and len(set(sides)) == 1:
        return f"{sides[0]} on both sides, a mistake of the index"
    return "a translation memory in one language" if entry.format == "tmx" and not both else ""


def _checked(source: MtdataSource, languages: Languages) -> Entry:
    """Return the entry of a source if it can be read and has a language pair of the recipe, or text to translate."""
    entry = find(source.id)
    if why := why_unread(entry):
        name = entry.urls[0].removeprefix(_HUB)
        other = f"use `kind: huggingface` with `dataset: {name}`" if entry.format == "hfds" else "take another corpus"
        raise InputError(f"{entry.id} is not read: it is {why}", other)
    if not _targets(source, entry, languages):
        wanted = ", ".join(source.targets or languages.targets)
        problem = f"{entry.id} is text in {' and '.join(entry.languages)}, wanted is {languages.source} with {wanted}"
        remedy = "mend the id or the languages of the recipe" + (
            "" if len(entry.languages) == 2 else ": text without translation has to be in one of them"
        )
        raise InputError(problem, remedy)
    return entry


def _targets(source: MtdataSource, entry: Entry, languages: Languages) -> tuple[str, ...]:
    """Return the target languages that an entry has text for: all where it is text of the source language."""
    wanted = wanted_targets(source.targets, languages)
    if entry.languages == (languages.source,):
        return wanted
    return tuple(tag for tag in wanted if sorted(entry.languages) in (sorted((languages.source, tag)), [tag]))


def _fetch(entry: Entry, surroundings: Web) -> dict[str, Fetched]:
    lock = surroundings.lock
    wanted = [
        Wanted((address,), surroundings.folder / _local_name(entry, address), lock.pinned(address), str(lock.path))
        for address in entry.urls
    ]
    return dict(zip(entry.urls, surroundings.downloader.fetch_all(wanted, entry.id), strict=True))


def _local_name(entry: Entry, address: str) -> str:
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", _called(entry, address))[-80:]
    return f"{hashlib.sha256(shown(address).encode()).hexdigest()[:12]}-{safe}"


def _called(entry: Entry, address: str) -> str:
    """Return what a fetched file is called: where there is one, the index knows better than its address (`…/download?id=3`)."""
    return entry.file if len(entry.urls) == 1 else file_name(address)


def _unpack(entry: Entry, fetched: Mapping[str, Fetched], surroundings: Web) -> list[Path]:
    """Unpack the text of an entry and return its files: a file a side, or whole pairs in any number of files."""
    folder = surroundings.folder / f"texts-{joint_sha256([*(file.sha256 for file in fetched.values()), entry.id])[:16]}"
    paths = [folder / name for name in _names(entry)]
    for place, (address, file) in enumerate(fetched.items()):
        here = paths if len(fetched) == 1 else [paths[place]]
        if not all(path.exists() for path in here):
            _unpack_file(entry, address, file, here, surroundings.bounds)
    return paths


def _names(entry: Entry) -> list[str]:
    name, form = slug(entry.id), _form(entry)
    if form == "moses":
        return [f"{name}.{tag}" for tag in entry.languages]
    return [f"{name}{f'-{number + 1}' if number else ''}.{form}" for number in range(len(entry.members) or 1)]


def _unpack_file(entry: Entry, address: str, file: Fetched, paths: Sequence[Path], bounds: Bounds) -> None:
    name = _called(entry, address)
    try:
        members = _members(entry, file.path, name, bounds)
        unpack.unpack(file.path, dict(zip(members, paths, strict=True)), name, bounds)
    except unpack.DamagedError as error:
        discard(file.path)
        raise InputError(f"{shown(address)}: {error.problem}", error.remedy) from None


def _members(entry: Entry, path: Path, name: str, bounds: Bounds) -> list[str]:
    """Return the names of an entry's members; where they are patterns, each has to fit one member of the archive."""
    if not any(re.search(r"[*?\[]", member) for member in entry.members):
        return list(entry.members) or [""]
    listed = unpack.members(path, name, bounds)
    found = []
    for pattern in entry.members:
        fitting = [pattern] if pattern in listed else fnmatch.filter(listed, pattern)
        if len(fitting) != 1 or fitting[0] in found:
            have = ", ".join((fitting or listed)[:8]) or "nothing"
            problem = f"{entry.id}: {len(fitting)} members of {name} fit {pattern!r}, one has to"
            raise InputError(problem, f"it has {have}; its publisher may have changed it: take another corpus")
        found += fitting
    return found


def _files(entry: Entry, target: str, texts: Sequence[Path], licence: str, languages: Languages) -> list[FilesCorpus]:
    """Return what reads an entry for one target language."""
    form = _form(entry)
    paths = [texts[0].with_suffix(".{language}")] if form == "moses" else texts
    sources = (
        FilesSource(
            name=entry.id,
            path=str(path),
            format=form,
            columns=_columns(entry, languages.source) if form == "tsv" else (),
            side="target" if entry.languages == (target,) else "source",
            targets=(target,),
            version=entry.version,
            licence=licence,
        )
        for path in paths
    )
    return [FilesCorpus(source, languages) for source in sources]


def _form(entry: Entry) -> FileFormat:
    """Return the format in which an entry's text is read."""
    form = _READ[entry.format]
    return "lines" if form == "moses" and len(entry.languages) == 1 else form


def _columns(entry: Entry, source: str) -> tuple[str, ...]:
    """Return the numbers (from 1) of the columns of a table, the source language's first."""
    numbers = [str(number + 1) for number in entry.columns or range(len(entry.languages))]
    return tuple(numbers if entry.languages[0] == source else reversed(numbers))


def _of_opus(entry: Entry) -> bool:
    return bool(_OPUS.fullmatch(entry.urls[0]))


def _noted(entry: Entry, fetched: Mapping[str, Fetched], surroundings: Web) -> str:
    """Return the licence that the notes in an archive of OPUS name; elsewhere a README may speak of anything."""
    if not _of_opus(entry):
        return ""
    file = next(iter(fetched.values()))
    texts = (unpack.read(file.path, note, _LONGEST_NOTE, entry.file, surroundings.bounds) for note in _NOTES)
    return next(filter(None, (licence_in(text.decode("utf-8", errors="replace")) for text in texts)), "")
