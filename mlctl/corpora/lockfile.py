"""`corpora.lock`: digests of fetched files, written by the first run and enforced afterwards.

Sorted JSON, for version control. `files` has, by URL without the values of its query (see `mlctl.core.url_redaction`): sha256,
size, time of retrieval, number of renewals and, if the server sends them, ETag and Last-Modified. `versions` has the release that
`latest` was resolved to, by corpus.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlctl.core.files import atomic_write_text
from mlctl.core.locks import locked
from mlctl.core.url_redaction import redact_url
from mlctl.corpora.transfer import Fetched, FileVersion
from mlctl.errors import InputError

_FORMAT = 1
_REMEDY = "fix it, or delete it: the next run writes a new one"


class Lockfile:
    """A lockfile; it need not exist yet.

    With `update`, its entries are renewed instead of enforced. Raises InputError if the file cannot be read.
    """

    def __init__(self, path: Path, update: bool = False) -> None:
        self.path = path
        self.update = update
        self._files, self._versions = _load(path)

    def pinned_digest(self, url: str) -> str:
        """Return the digest that the file at a URL must have; empty: any (no entry yet, or entries are being renewed)."""
        return "" if self.update else self.recorded_digest(url)

    def has_entry(self, url: str) -> bool:
        """Return whether there is an entry for a URL, also an expired one."""
        return redact_url(url) in self._files

    def recorded_digest(self, url: str) -> str:
        """Return the digest in the entry of a URL; empty: none."""
        return str(self._files.get(redact_url(url), {}).get("sha256", ""))

    def server_version(self, url: str) -> FileVersion | None:
        """Return the version that was fetched from a URL, as the server identified it; None: nothing was fetched."""
        entry = self._files.get(redact_url(url))
        if entry is None or not entry["sha256"]:
            return None
        return FileVersion(redact_url(url), entry.get("etag", ""), entry.get("modified", ""), entry.get("size"))

    def expire(self, urls: Iterable[str]) -> None:
        """Clear the digests of URLs, so that the next run fetches their current content."""
        with self._exclusive():
            self._files |= {
                name: {"sha256": "", "retrieved": "", "renewed": entry["renewed"]}
                for name in map(redact_url, urls)
                if (entry := self._files.get(name))
            }
            self._write()

    def renewals(self, url: str) -> int:
        """Return how often the entry of a URL was renewed on request."""
        return int(self._files.get(redact_url(url), {}).get("renewed", 0))

    def pinned_version(self, corpus: str) -> str:
        """Return the release that `latest` stands for; empty: any (no entry yet, or entries are being renewed)."""
        return "" if self.update else self.recorded_version(corpus)

    def recorded_version(self, corpus: str) -> str:
        """Return the release in the entry of a corpus; empty: none."""
        return str(self._versions.get(corpus, ""))

    def record(self, fetched: Mapping[str, Fetched], versions: Mapping[str, str] | None = None) -> None:
        """Add fetched files by URL, and releases by corpus. Enforced entries stay the same, to the byte."""
        with self._exclusive():
            before = json.dumps([self._files, self._versions], sort_keys=True)
            for url, file in ((redact_url(url), file) for url, file in fetched.items()):
                if self.update or not self.recorded_digest(url):
                    self._files[url] = self._entry(url, file)
            self._versions.update(versions or {})
            if json.dumps([self._files, self._versions], sort_keys=True) != before:
                self._write()

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Hold an inter-process lock and read the file again: several recipes may share it."""
        guard = f"mlctl-lock-{hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:16]}"
        with locked(Path(tempfile.gettempdir()) / guard):
            self._files, self._versions = _load(self.path)
            yield

    def _entry(self, url: str, file: Fetched) -> dict[str, Any]:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        renewals = self.renewals(url) + 1 if url in self._files else 0
        version = {name: value for name, value in (("etag", file.etag), ("modified", file.modified)) if value}
        return {"sha256": file.sha256, "size": file.size, "retrieved": now, "renewed": renewals, **version}

    def _write(self) -> None:
        values = {"format": _FORMAT, "files": self._files, "versions": self._versions}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write_text(self.path, json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        except OSError as error:
            remedy = "set download.lock to a writable file"
            raise InputError(f"{self.path} cannot be written: {error.strerror or error}", remedy) from None


def renewed_digests(lock: Lockfile, urls: Sequence[str]) -> dict[str, str]:
    """Return what the lockfile contributes to the key of a result, by URL.

    A digest contributes from its first renewal on; the first one does not, or the run that writes it would have another key than the
    next run. While entries are being renewed, and for expired ones, the number of renewals contributes, so that each such run fetches
    again.
    """
    entries = {redact_url(url): (lock.recorded_digest(url), lock.renewals(url)) for url in urls if lock.has_entry(url)}
    if lock.update:
        return {url: f"{digest} renewed {count}" for url, (digest, count) in entries.items()}
    return {url: digest or f"expired {count}" for url, (digest, count) in entries.items() if count or not digest}


def _load(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, {}
    except (OSError, ValueError) as error:
        raise InputError(f"the lockfile {path} cannot be read: {error}", _REMEDY) from None
    if not isinstance(values, dict) or values.get("format") != _FORMAT:
        raise InputError(f"the lockfile {path} is not of format {_FORMAT}", _REMEDY)
    files, versions = values.get("files"), values.get("versions")
    if not isinstance(files, dict) or not isinstance(versions, dict) or not all(map(_is_valid, files.values())):
        raise InputError(f"the lockfile {path} is invalid: an entry has no sha256", _REMEDY)
    return {redact_url(url): entry for url, entry in files.items()}, dict(versions)


def _is_valid(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and isinstance(entry.get("renewed"), int)
