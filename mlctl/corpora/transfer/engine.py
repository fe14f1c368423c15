"""Downloads that go on where they stopped: attempts, pauses, mirrors and several files at once."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import urllib3

from mlctl.core.files import is_disk_full
from mlctl.core.hashing import file_digest
from mlctl.core.url_redaction import shown
from mlctl.core.workspace import Progress, silent
from mlctl.corpora.transfer.client import Client, RefusedError, TransientError, chunks, content_range, version_of
from mlctl.corpora.transfer.limits import Limits, Pace
from mlctl.corpora.transfer.part import Part, forget, origin
from mlctl.errors import InputError

log = logging.getLogger(__name__)

_LONGEST_BACKOFF = 60.0
_TICK = 0.2


@dataclass(frozen=True)
class Wanted:
    """A file to fetch: its addresses (mirrors of the same bytes), where to put it and, if known, its digest.

    `pinned_by` says for people who knows the digest: the recipe or a lock file.
    """

    addresses: tuple[str, ...]
    path: Path
    sha256: str = ""
    pinned_by: str = "the recipe"


@dataclass(frozen=True)
class Fetched:
    """A file that is there, whole: where it came from (as `shown` shows it; empty: not recorded), its digest and its size in bytes.

    `etag` and `modified` are what the server told its version by; empty: it did not.
    """

    path: Path
    address: str
    sha256: str
    size: int
    etag: str = ""
    modified: str = ""


class _StoppedError(Exception):
    """Another download failed or the run is ending."""


class _DigestError(RefusedError):
    """The file is there, but it is not the one that was pinned."""


class Downloader:
    """Fetches files with the limits of the recipe; `progress` is told bytes, from the calling thread only."""

    def __init__(self, limits: Limits, progress: Progress = silent) -> None:
        self._limits = limits
        self._progress = progress
        self._client = Client(limits)
        self._pace = Pace(limits.bandwidth)
        self._stop = threading.Event()

    def fetch_all(self, files: Sequence[Wanted], corpus: str = "") -> list[Fetched]:
        """Fetch files side by side and return them in the same order; those that an earlier run finished are not asked for.

        Raises:
            InputError: a file cannot be had, or is not the one that was pinned. What the others have so far is kept.
        """
        jobs = [_Job(wanted) for wanted in files]
        self._stop.clear()
        with ThreadPoolExecutor(max_workers=self._limits.connections) as pool:
            try:
                futures = [pool.submit(self._fetch, job) for job in jobs]
                self._watch(futures, jobs, corpus)
                return [future.result() for future in futures]
            finally:
                self._stop.set()

    def _watch(self, futures: Iterable[Future[Fetched]], jobs: Sequence[_Job], corpus: str) -> None:
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=_TICK, return_when=FIRST_EXCEPTION)
            lengths = [job.length for job in jobs]
            total = None if None in lengths else sum(length for length in lengths if length is not None)
            self._progress(sum(job.done for job in jobs), total, "bytes", corpus=corpus)
            for future in done:
                future.result()

    def _fetch(self, job: _Job) -> Fetched:
        try:
            return _finished(job) or self._from_any(job)
        except OSError as error:
            if not is_disk_full(error):
                raise
            raise InputError(f"no room left on the disk for {job.wanted.path}", "free some room and run again") from None

    def _from_any(self, job: _Job) -> Fetched:
        job.wanted.path.parent.mkdir(parents=True, exist_ok=True)
        reasons: list[RefusedError] = []
        with Part(job.wanted.path) as part:
            begun = part.version.address if part.version else ""
            for address in sorted(job.wanted.addresses, key=lambda address: shown(address) != begun):
                try:
                    self._until_whole(address, part, job)
                    return _accept(address, part, job)
                except RefusedError as error:
                    log.warning("%s: %s", shown(address), error)
                    reasons.append(type(error)(f"{shown(address)}: {error}"))
        raise _not_to_be_had(job.wanted, reasons)

    def _until_whole(self, address: str, part: Part, job: _Job) -> None:
        """Try until the file is whole. Attempts that bring nothing beyond what was had before count towards `retries`."""
        failures = 0
        while True:
            furthest = part.furthest
            try:
                return self._attempt(address, part, job)
            except TransientError as error:
                failures = 1 if part.furthest > furthest else failures + 1
                if failures > self._limits.retries:
                    raise RefusedError(f"{error}; given up after {failures} attempts") from None
                log.info("%s: %s", shown(address), error)
                self._pause(error, failures)

    def _pause(self, error: TransientError, failures: int) -> None:
        """Wait as long as the server asks, else a random time up to a limit that doubles, so that clients spread out."""
        if error.wait is not None and error.wait > self._limits.longest_pause:
            raise RefusedError(f"{error} and asks to wait {error.wait:.0f} s, longer than {self._limits.longest_pause:g} s")
        highest = min(_LONGEST_BACKOFF, self._limits.backoff * 2.0 ** (failures - 1))
        self._wait((error.wait or 0.0) + random.uniform(0, highest))  # noqa: S311 - no secret

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds) if seconds > 0 else self._stop.is_set():
            raise _StoppedError

    def _attempt(self, address: str, part: Part, job: _Job) -> None:
        """Ask for what is missing and add it."""
        self._wait(0)
        if part.whole and part.version and part.version.address == shown(address):
            return
        headers = _range(address, part)
        if not headers:
            part.discard()
        with self._client.get(address, headers) as response:
            if _place(address, response, part):
                self._receive(response, part, job)

    def _receive(self, response: urllib3.BaseHTTPResponse, part: Part, job: _Job) -> None:
        length = part.version.length if part.version else None
        for data in chunks(response, self._pace.chunk):
            part.append(data)
            job.done, job.length = part.size, length
            if part.size > self._limits.largest:
                part.discard()
                raise RefusedError(f"it has more than {self._limits.largest:.0f} bytes")
            self._wait(self._pace.pause(len(data)))
        if length is not None and part.size != length:
            raise TransientError(f"it ended at byte {part.size} of {length}")


class _Job:
    """A file that is fetched, with how far it is."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.done = 0
        self.length: int | None = None


def _range(address: str, part: Part) -> dict[str, str]:
    """Return the headers that ask for the rest of the same version; none where only the whole file will do."""
    version = part.version
    if version is None or version.address != shown(address) or not version.validator or not part.size:
        return {}
    return {"Range": f"bytes={part.size}-", "If-Range": version.validator}


def _place(address: str, response: urllib3.BaseHTTPResponse, part: Part) -> bool:
    """Set the part to where the body of an answer belongs, and tell whether there is a body to add."""
    there, version = part.version, version_of(address, response)
    if response.status == 200:  # the first answer, or the file is another one by now, or the server knows no ranges
        if part.size:
            log.info("%s: starting afresh: it has changed or the server sends whole files only", version.address)
        part.begin(version)
        return True
    first, total = content_range(response)
    if there is not None and not there.contradicts(version):
        if response.status == 206 and first == part.size:
            return True
        if response.status == 416 and total == part.size:  # it was whole, only nobody had said how long it would be
            return False
    part.discard()
    raise TransientError("what it sends does not fit what was fetched before (the file may have changed)")


def _finished(job: _Job) -> Fetched | None:
    """Return the file if an earlier run finished it and it is the one that is wanted."""
    wanted = job.wanted
    if not wanted.path.is_file():
        return None
    digest = file_digest(wanted.path)
    if wanted.sha256 and digest != wanted.sha256:
        forget(wanted.path)
        return None
    job.done = job.length = wanted.path.stat().st_size
    known = origin(wanted.path)
    return Fetched(wanted.path, known.address, digest, job.done, known.etag, known.modified)


def _accept(address: str, part: Part, job: _Job) -> Fetched:
    """Check the digest of a whole file and give it its name."""
    wanted, digest = job.wanted, file_digest(part.path)
    if wanted.sha256 and digest != wanted.sha256:
        part.discard()
        raise _DigestError(f"its sha256 is {digest}, {wanted.pinned_by} says {wanted.sha256}")
    part.finish()
    job.done = job.length = part.size
    known = origin(wanted.path)
    return Fetched(wanted.path, shown(address), digest, part.size, known.etag, known.modified)


def _not_to_be_had(wanted: Wanted, reasons: Sequence[RefusedError]) -> InputError:
    problem = f"{wanted.path.name} could not be fetched from " + "\n  and ".join(str(reason) for reason in reasons)
    if any(isinstance(reason, _DigestError) for reason in reasons):
        remedy = f"if the publisher's new file is right, change {wanted.pinned_by} (a lock file: run once with "
        return InputError(problem, remedy + "download.update_lock=true); otherwise take another address")
    return InputError(problem, "check the address and the network, then run again: what was fetched so far is kept")
