"""Source kind `url`: a file or an archive on the web, fetched, checked against the lock, unpacked, and read like one on disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mlctl.config import Download, FilesSource, Languages, UrlSource
from mlctl.core.files import discard
from mlctl.core.url_redaction import shown
from mlctl.core.workspace import Progress
from mlctl.corpora.archives import unpack
from mlctl.corpora.archives.limits import Bounds
from mlctl.corpora.corpus import Row, wanted_targets
from mlctl.corpora.file_info import joint_sha256, written_at
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.files import SILENT, FilesCorpus, sides
from mlctl.corpora.transfer import Downloader, Fetched, Limits, Wanted
from mlctl.errors import InputError

_SUFFIXES = {"tsv": ".tsv", "jsonl": ".jsonl", "parquet": ".parquet", "tmx": ".tmx", "xliff": ".xlf", "po": ".po"}


@dataclass(frozen=True)
class Web:
    """What sources on the web need: how to fetch, the lock, how much may be unpacked, and a folder that outlives a crash."""

    downloader: Downloader
    lock: Lockfile
    bounds: Bounds
    folder: Path


@dataclass(frozen=True)
class Text:
    """A file to be had: a member ("": the only one, or no archive) of what the addresses give, unpacked as `name`."""

    addresses: tuple[str, ...]
    member: str
    name: str


class WebCorpus:
    """Text that was fetched, read as kind `files` reads it, with the addresses and digests of the fetched files."""

    def __init__(self, kind: str, files: FilesCorpus, fetched: Mapping[str, Fetched]) -> None:
        self.kind = kind
        self.name, self.version, self.licence, self.targets = files.name, files.version, files.licence, files.targets
        self._files = files
        self._fetched = fetched

    @property
    def address(self) -> str:
        """The addresses, without saying which mirror answered."""
        return ", ".join(map(shown, self._fetched))

    def sha256(self) -> str:
        """Return the digest of the fetched file; for several, the digest of their digests, one a line."""
        return joint_sha256([file.sha256 for file in self._fetched.values()])

    def retrieved(self) -> Mapping[str, str]:
        """Return when each file arrived, by address."""
        return {shown(address): written_at(file.path) for address, file in self._fetched.items()}

    def rows(self, target: str) -> Iterator[Row]:
        """Yield the rows of one target language in the order of the file."""
        return self._files.rows(target)


def web(settings: Download, scratch: Path, progress: Progress, lock: Lockfile) -> Web:
    """Return what sources on the web need, from the recipe's settings."""
    bounds = Bounds(unpacked=settings.max_unpacked_gib * 2**30)
    return Web(Downloader(limits_of(settings), progress), lock, bounds, scratch / "web")


def limits_of(settings: Download) -> Limits:
    """Return how much, how fast and how patiently files are fetched, from the recipe's settings."""
    return Limits(
        stall=settings.stall_timeout,
        retries=settings.retries,
        backoff=settings.backoff,
        longest_pause=settings.timeout,
        connections=settings.connections,
        bandwidth=settings.bandwidth,
        largest=settings.max_file_gib * 2**30,
    )


def open_url(source: UrlSource, languages: Languages, surroundings: Web) -> WebCorpus:
    """Fetch and unpack a source of kind `url`.

    Raises:
        InputError: an address does not give the file, or it is not the one that is pinned, dangerous or damaged.
    """
    targets, pattern = _targets(source, languages), _pattern(source)
    texts = [text for target in targets for text in _texts(source, languages.source, target, pattern)]
    fetched, folder = obtain(texts, surroundings, source.name, source.sha256)
    files = FilesSource(
        name=source.name,
        path=str(folder / pattern),
        format=source.format,
        columns=source.columns,
        side=source.side,
        targets=source.targets,
        version=source.version,
        licence=source.licence,
    )
    return WebCorpus("url", FilesCorpus(files, languages), fetched)


def url_addresses(source: UrlSource, languages: Languages) -> list[str]:
    """Return the first address of every file of a source: what its entries in the lock are called."""
    pattern = _pattern(source)
    texts = [text for target in _targets(source, languages) for text in _texts(source, languages.source, target, pattern)]
    return list(dict.fromkeys(text.addresses[0] for text in texts))


def _targets(source: UrlSource, languages: Languages) -> tuple[str, ...]:
    """Return the target languages of a source, or raise InputError where one file would be read for all of several."""
    targets = wanted_targets(source.targets, languages)
    if len(targets) > 1 and source.format in SILENT and "{" not in "".join((*source.urls, source.member)):
        problem = f"{source.name}: its address names one file for {', '.join(targets)}"
        raise InputError(problem, "write {target} in urls or member, or set the source's targets")
    return targets


def obtain(texts: Sequence[Text], surroundings: Web, corpus: str, sha256: str = "") -> tuple[dict[str, Fetched], Path]:
    """Fetch what texts are in, unpack them into a folder, and only then pin what was fetched.

    Returns:
        What was fetched, by first address, and the folder, which is another one where other bytes were fetched.
    """
    lock, folder = surroundings.lock, surroundings.folder
    by_address = {text.addresses[0]: text.addresses for text in texts}
    wanted = [_wanted(addresses, folder, lock, sha256) for addresses in by_address.values()]
    got = dict(zip(by_address, surroundings.downloader.fetch_all(wanted, corpus), strict=True))
    unpacked = folder / f"texts-{joint_sha256([*(file.sha256 for file in got.values()), corpus])[:16]}"
    for address, file in got.items():
        _unpack(file, address, [text for text in texts if text.addresses[0] == address], unpacked, surroundings.bounds)
    lock.record(got)
    return got, unpacked


def file_name(address: str) -> str:
    """Return what an address calls its file."""
    return unquote(urlsplit(address).path).rpartition("/")[2] or "file"


def _wanted(addresses: tuple[str, ...], folder: Path, lock: Lockfile, sha256: str) -> Wanted:
    locked = lock.pinned(addresses[0])
    if sha256 and locked and sha256 != locked:
        problem = f"{shown(addresses[0])}: the recipe says sha256 {sha256}, {lock.path} says {locked}"
        raise InputError(problem, "mend the recipe, or run once with download.update_lock=true")
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", file_name(addresses[0]))[-80:]
    path = folder / f"{hashlib.sha256(shown(addresses[0]).encode()).hexdigest()[:12]}-{safe}"
    return Wanted(addresses, path, sha256 or locked, "the recipe" if sha256 else str(lock.path))


def _unpack(file: Fetched, address: str, texts: Sequence[Text], folder: Path, bounds: Bounds) -> None:
    missing = {text.member: folder / text.name for text in texts if not (folder / text.name).exists()}
    if not missing:
        return
    try:
        unpack.unpack(file.path, missing, file_name(address), bounds)
    except unpack.DamagedError as error:
        discard(file.path)
        raise InputError(f"{shown(address)}: {error.problem}", error.remedy) from None


def _pattern(source: UrlSource) -> str:
    """Return how unpacked files are named: with the placeholders that addresses and member have."""
    text = "".join((*source.urls, source.member))
    suffix = ".mo" if (source.member or source.urls[0]).endswith(".mo") else _SUFFIXES.get(source.format, "")
    target, language = ("-{target}" if "{target}" in text else ""), (".{language}" if "{language}" in text else "")
    return f"{slug(source.name)}{target}{language}{suffix}"


def slug(name: str) -> str:
    """Return a name that any file system takes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "corpus"


def _texts(source: UrlSource, language: str, target: str, pattern: str) -> Iterator[Text]:
    codes = {tag: source.codes.get(tag, tag) for tag in (language, target)}
    for side in sides(source.format, language, target, source.side):
        addresses = tuple(_fill(url, codes[side], codes[target]) for url in source.urls)
        yield Text(addresses, _fill(source.member, codes[side], codes[target]), _fill(pattern, side, target))


def _fill(pattern: str, language: str, target: str) -> str:
    return pattern.replace("{language}", language).replace("{target}", target)
