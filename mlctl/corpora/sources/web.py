"""Shared by the kinds that fetch by HTTP: fetch, check against the lockfile, unpack, and compare URLs with the lockfile."""

from __future__ import annotations

import contextlib
import hashlib
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from mlctl.config import Download, Source
from mlctl.core.checksums import CheckedPath
from mlctl.core.files import discard
from mlctl.core.unpack_limits import UnpackLimits
from mlctl.core.url_redaction import redact_url
from mlctl.corpora.archives import unpack
from mlctl.corpora.file_info import joint_sha256, written_at
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.files import FilesCorpus
from mlctl.corpora.sources.source_kind import FetchContext, SourceKind, transfer_limits
from mlctl.corpora.sources.source_state import Inspection, SourceState
from mlctl.corpora.text_files import TextFiles, TextFilesCorpus
from mlctl.corpora.transfer import Client, DownloadRequest, Fetched, RefusedError, TransientError
from mlctl.errors import InputError

S = TypeVar("S", bound=Source)


@dataclass(frozen=True)
class WebText:
    """A text file to fetch: `member` of the archive at `urls` (mirrors), unpacked as `name`; "": the only member, or no archive."""

    urls: tuple[str, ...]
    member: str
    name: str


class WebCorpus(TextFilesCorpus):
    """Fetched text, read as kind `files` does; URLs and digests are those of the fetched files."""

    def __init__(self, kind: str, files: FilesCorpus, fetched: Mapping[str, Fetched]) -> None:
        self.kind = kind
        self.name, self.version, self.licence, self.targets = files.name, files.version, files.licence, files.targets
        self._files = files
        self._fetched = fetched

    @property
    def address(self) -> str:
        """The URLs, whichever mirror was used."""
        return ", ".join(map(redact_url, self._fetched))

    def sha256(self) -> str:
        """Return the digest of the fetched file; for several, the digest of their digests, one a line."""
        return joint_sha256([file.sha256 for file in self._fetched.values()])

    def retrieved(self) -> Mapping[str, str]:
        """Return the time of retrieval by URL."""
        return {redact_url(url): written_at(file.path) for url, file in self._fetched.items()}

    def texts(self, target: str) -> Sequence[TextFiles]:
        """Return the files of one target language."""
        return self._files.texts(target)


class WebSourceKind(SourceKind[S]):
    """A kind whose text is at URLs that the lockfile pins."""

    @abstractmethod
    def addresses(self, lock: Lockfile) -> list[str]:
        """Return the URLs that are known before any server is asked: the names of the source's entries in the lockfile."""

    def pins(self, lock: Lockfile) -> list[str] | None:
        """Return the digests in the lockfile; None if one is missing."""
        digests = [lock.pinned_digest(url) for url in self.addresses(lock)]
        return digests if digests and all(digests) else None

    def inspect(self, inspection: Inspection) -> SourceState:
        """Return what the servers report about the URLs, against the lockfile."""
        state = inspect_urls(self.addresses(inspection.lock), inspection, self.settings)
        state.sources.append(self.source)
        return state


def inspect_urls(urls: Sequence[str], inspection: Inspection, settings: Download) -> SourceState:
    """Return what servers report about URLs (HEAD requests, in parallel: each takes a round trip); offline, see `locked_state`."""
    if not inspection.online:
        return locked_state(urls, inspection.lock)
    client, state = Client(transfer_limits(settings)), SourceState()
    with ThreadPoolExecutor(settings.connections) as pool:
        for url_state in pool.map(lambda url: _inspect_url(url, client, inspection.lock), urls):
            state.merge(url_state)
    return state


def locked_state(urls: Sequence[str], lock: Lockfile) -> SourceState:
    """Return the state of URLs according to the lockfile."""
    state = SourceState()
    for url in urls:
        locked = lock.server_version(url)
        state.merge(_url_state(url, lock.recorded_digest(url) or url, locked.length if locked else None))
    return state


def _inspect_url(url: str, client: Client, lock: Lockfile) -> SourceState:
    locked = lock.server_version(url)
    try:
        current = client.version(url)
    except (TransientError, RefusedError) as error:
        state = locked_state([url], lock)
        state.unreachable[redact_url(url)] = str(error)
        return state
    if locked and locked.contradicts(current):
        state = _url_state(url, f"{current.etag} {current.modified} {current.length}", current.length)
        state.changed.append(url)
        return state
    return _url_state(url, lock.recorded_digest(url) or url, current.length)


def _url_state(url: str, content: str, size: int | None) -> SourceState:
    return SourceState(states={redact_url(url): (content, "")}, sizes={redact_url(url): size})


def fetch_texts(
    texts: Sequence[WebText], context: FetchContext, corpus: str, sha256: str = ""
) -> tuple[dict[str, Fetched], Path]:
    """Fetch the files that contain texts, unpack the texts into a folder, then pin the files in the lock.

    Returns:
        The fetched files by first URL, and the folder, whose name depends on the fetched bytes.
    """
    urls_by_first = {text.urls[0]: text.urls for text in texts}
    requests = [_download_request(urls, context, sha256) for urls in urls_by_first.values()]
    fetched = dict(zip(urls_by_first, context.downloader.fetch_all(requests, corpus), strict=True))
    folder = unpack_folder(fetched, corpus, context)
    for url, file in fetched.items():
        _unpack(file, url, [text for text in texts if text.urls[0] == url], folder, context.unpack_limits)
    context.lock.record(fetched)
    return fetched, folder


def unpack_folder(fetched: Mapping[str, Fetched], corpus: str, context: FetchContext) -> Path:
    """Return the folder for the texts of fetched files: another one when the bytes are others."""
    return context.folder / f"texts-{joint_sha256([*(file.sha256 for file in fetched.values()), corpus])[:16]}"


def local_path(url: str, name: str, folder: Path) -> Path:
    """Return where the file of a URL is stored in a folder; `name` makes it recognisable."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-80:]
    return folder / f"{hashlib.sha256(redact_url(url).encode()).hexdigest()[:12]}-{safe}"


def file_name(url: str) -> str:
    """Return the file name in a URL."""
    return unquote(urlsplit(url).path).rpartition("/")[2] or "file"


def slug(name: str) -> str:
    """Return a name that every file system accepts."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "corpus"


@contextlib.contextmanager
def discarded_if_damaged(file: Fetched, url: str) -> Iterator[None]:
    """Remove a fetched file that turns out to be damaged, so that the next run fetches it again."""
    try:
        yield
    except unpack.DamagedError as error:
        discard(file.path)
        raise InputError(f"{redact_url(url)}: {error.problem}", error.remedy) from None


def _download_request(urls: tuple[str, ...], context: FetchContext, sha256: str) -> DownloadRequest:
    url, lock = urls[0], context.lock
    locked = lock.pinned_digest(url)
    if sha256 and locked and sha256 != locked:
        problem = f"{redact_url(url)}: the recipe has sha256 {sha256}, {lock.path} has {locked}"
        raise InputError(problem, "correct the recipe, or run once with download.update_lock=true")
    path = local_path(url, file_name(url), context.folder)
    return DownloadRequest(urls, path, sha256 or locked, "the recipe" if sha256 else str(lock.path))


def _unpack(file: Fetched, url: str, texts: Sequence[WebText], folder: Path, limits: UnpackLimits) -> None:
    missing = {text.member: folder / text.name for text in texts if not CheckedPath.at(folder / text.name).is_finished()}
    if missing:
        with discarded_if_damaged(file, url):
            unpack.unpack(file.path, missing, file_name(url), limits)
