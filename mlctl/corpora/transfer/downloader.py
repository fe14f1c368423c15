"""Resumable downloads: retries, backoff, mirrors, and several files in parallel."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import urllib3

from mlctl.core.checksums import CheckedPath
from mlctl.core.hashing import file_digest
from mlctl.core.url_redaction import redact_url
from mlctl.core.workspace import Progress, silent
from mlctl.core.write_errors import disk_full_error, is_disk_full
from mlctl.corpora.transfer.client import Client, NotFoundError, RefusedError, TransientError, chunks, content_range, version_of
from mlctl.corpora.transfer.partial_download import PartialDownload, fetched_version, remove
from mlctl.corpora.transfer.transfer_limits import RateLimiter, TransferLimits
from mlctl.errors import InputError

log = logging.getLogger(__name__)

_MAX_BACKOFF = 60.0  # seconds
_PROGRESS_INTERVAL = 0.2  # seconds


@dataclass(frozen=True)
class DownloadRequest:
    """A file to fetch.

    Attributes:
        urls: mirrors of the same bytes, tried in this order.
        path: where the file is stored.
        sha256: digest that the file must have; empty: any.
        pinned_by: what sets the digest, for messages: the recipe or a lockfile.
    """

    urls: tuple[str, ...]
    path: Path
    sha256: str = ""
    pinned_by: str = "the recipe"


@dataclass(frozen=True)
class Fetched:
    """A complete file.

    Attributes:
        path: where it is stored.
        address: URL that it was fetched from, redacted; empty: unknown.
        sha256: its digest.
        size: bytes.
        etag: as the server sent it; empty: it did not.
        modified: Last-Modified as the server sent it; empty: it did not.
    """

    path: Path
    address: str
    sha256: str
    size: int
    etag: str = ""
    modified: str = ""


class MissingFileError(InputError):
    """No server of a request has the file. `url` is the first URL of the request."""

    def __init__(self, problem: str, remedy: str, url: str) -> None:
        super().__init__(problem, remedy)
        self.url = url


class _StoppedError(Exception):
    """Another download failed or the run is ending."""


class _DigestError(RefusedError):
    """The file does not have the pinned digest."""


class Downloader:
    """Fetches files within limits; `progress` gets bytes, and is called from the calling thread only."""

    def __init__(self, limits: TransferLimits, progress: Progress = silent) -> None:
        self._limits = limits
        self._progress = progress
        self._client = Client(limits)
        self._rate_limiter = RateLimiter(limits.bandwidth)
        self._stop = threading.Event()

    def fetch_all(self, requests: Sequence[DownloadRequest], corpus: str = "") -> list[Fetched]:
        """Fetch files in parallel and return them in the same order; files that an earlier run completed are not fetched again.

        Raises:
            InputError: a file cannot be fetched (MissingFileError: no server has it), or does not have the pinned digest. The partial
                downloads of the others are kept.
        """
        transfers = [_Transfer(request) for request in requests]
        self._stop.clear()
        with ThreadPoolExecutor(max_workers=self._limits.connections) as pool:
            try:
                futures = [pool.submit(self._fetch, transfer) for transfer in transfers]
                self._report_progress(futures, transfers, corpus)
                return [future.result() for future in futures]
            finally:
                self._stop.set()

    def _report_progress(self, futures: Iterable[Future[Fetched]], transfers: Sequence[_Transfer], corpus: str) -> None:
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=_PROGRESS_INTERVAL, return_when=FIRST_EXCEPTION)
            lengths = [transfer.length for transfer in transfers]
            total = None if None in lengths else sum(length for length in lengths if length is not None)
            self._progress(sum(transfer.done for transfer in transfers), total, "bytes", corpus=corpus)
            for future in done:
                future.result()

    def _fetch(self, transfer: _Transfer) -> Fetched:
        try:
            return _completed_before(transfer) or self._from_any_mirror(transfer)
        except OSError as error:
            if not is_disk_full(error):
                raise
            raise disk_full_error(transfer.request.path) from error

    def _from_any_mirror(self, transfer: _Transfer) -> Fetched:
        request = transfer.request
        request.path.parent.mkdir(parents=True, exist_ok=True)
        errors: list[RefusedError] = []
        with PartialDownload(request.path) as partial:
            begun_at = partial.version.address if partial.version else ""
            for url in sorted(request.urls, key=lambda url: redact_url(url) != begun_at):
                try:
                    self._fetch_with_retries(url, partial, transfer)
                    return _accept(url, partial, transfer)
                except RefusedError as error:
                    log.warning("%s: %s", redact_url(url), error)
                    errors.append(type(error)(f"{redact_url(url)}: {error}"))
        raise _fetch_error(request, errors)

    def _fetch_with_retries(self, url: str, partial: PartialDownload, transfer: _Transfer) -> None:
        """Repeat attempts until the file is complete. Only attempts that bring no new byte count towards `retries`."""
        failures = 0
        while True:
            furthest = partial.furthest
            try:
                return self._attempt(url, partial, transfer)
            except TransientError as error:
                failures = 1 if partial.furthest > furthest else failures + 1
                if failures > self._limits.retries:
                    raise RefusedError(f"{error}; given up after {failures} attempts") from None
                log.info("%s: %s", redact_url(url), error)
                self._back_off(error, failures)

    def _back_off(self, error: TransientError, failures: int) -> None:
        """Wait as long as the server asks plus a random time up to a limit that doubles (exponential backoff with jitter)."""
        if error.wait is not None and error.wait > self._limits.longest_pause:
            raise RefusedError(f"{error} and asks to wait {error.wait:.0f} s, longer than {self._limits.longest_pause:g} s")
        limit = min(_MAX_BACKOFF, self._limits.backoff * 2.0 ** (failures - 1))
        self._wait((error.wait or 0.0) + random.uniform(0, limit))  # noqa: S311 - no secret

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds) if seconds > 0 else self._stop.is_set():
            raise _StoppedError

    def _attempt(self, url: str, partial: PartialDownload, transfer: _Transfer) -> None:
        """Request the missing bytes and append them."""
        self._wait(0)
        if partial.is_complete and partial.version and partial.version.address == redact_url(url):
            return
        headers = partial.range_headers(url)
        if not headers:
            partial.discard()
        with self._client.get(url, headers) as response:
            if _prepare(url, response, partial):
                self._receive(response, partial, transfer)

    def _receive(self, response: urllib3.BaseHTTPResponse, partial: PartialDownload, transfer: _Transfer) -> None:
        length = partial.version.length if partial.version else None
        for data in chunks(response, self._rate_limiter.chunk):
            partial.append(data)
            transfer.done, transfer.length = partial.size, length
            if partial.size > self._limits.largest:
                partial.discard()
                raise RefusedError(f"it has more than {self._limits.largest:.0f} bytes")
            self._wait(self._rate_limiter.delay(len(data)))
        if length is not None and partial.size != length:
            raise TransientError(f"it ended at byte {partial.size} of {length}")


class _Transfer:
    """A request with its progress: bytes received, and the length of the file (None: unknown)."""

    def __init__(self, request: DownloadRequest) -> None:
        self.request = request
        self.done = 0
        self.length: int | None = None


def _prepare(url: str, response: urllib3.BaseHTTPResponse, partial: PartialDownload) -> bool:
    """Make the partial download end where the body of a response begins; return False if nothing is missing."""
    begun, version = partial.version, version_of(url, response)
    if response.status == 200:  # the first response, or the file has changed, or the server does not support ranges
        if partial.size:
            log.info("%s: starting again: it has changed, or the server does not support ranges", version.address)
        partial.restart(version)
        return True
    first, total = content_range(response)
    if begun is not None and not begun.contradicts(version):
        if response.status == 206 and first == partial.size:
            return True
        if response.status == 416 and total == partial.size:  # it was complete, but its length was unknown
            return False
    partial.discard()
    raise TransientError("its response does not fit the bytes fetched before (the file may have changed)")


def _completed_before(transfer: _Transfer) -> Fetched | None:
    """Return the file if an earlier run completed it and it has the pinned digest."""
    request = transfer.request
    if not CheckedPath.at(request.path).is_finished():
        return None
    digest = file_digest(request.path)
    if request.sha256 and digest != request.sha256:
        remove(request.path)
        return None
    transfer.done = transfer.length = request.path.stat().st_size
    version = fetched_version(request.path)
    return Fetched(request.path, version.address, digest, transfer.done, version.etag, version.modified)


def _accept(url: str, partial: PartialDownload, transfer: _Transfer) -> Fetched:
    """Check the digest of a complete download and rename it."""
    request, digest = transfer.request, file_digest(partial.path)
    if request.sha256 and digest != request.sha256:
        partial.discard()
        raise _DigestError(f"its sha256 is {digest}, {request.pinned_by} has {request.sha256}")
    partial.finish()
    transfer.done = transfer.length = partial.size
    version = fetched_version(request.path)
    return Fetched(request.path, redact_url(url), digest, partial.size, version.etag, version.modified)


def _fetch_error(request: DownloadRequest, errors: Sequence[RefusedError]) -> InputError:
    problem = f"{request.path.name} could not be fetched from " + "\n  and ".join(map(str, errors))
    if any(isinstance(error, _DigestError) for error in errors):
        remedy = f"if the publisher's new file is right, change {request.pinned_by} (a lockfile: run once with "
        return InputError(problem, remedy + "download.update_lock=true); otherwise use another URL")
    remedy = "check the URL and the network, then run again: partial downloads are resumed"
    if all(isinstance(error, NotFoundError) for error in errors):
        return MissingFileError(problem, remedy, request.urls[0])
    return InputError(problem, remedy)
