"""`corpora.lock`: which bytes each address gave, written by the first run and enforced afterwards.

JSON, sorted, for version control: `files` has sha256, size, the time of retrieval, how often the entry was renewed and, where the server
tells versions apart, ETag and Last-Modified, by address (as `mlctl.core.url_redaction.shown` shows it, without the values of its query); `versions` has what `latest` meant, by corpus.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256 as digest_of
from pathlib import Path
from typing import Any

from filelock import FileLock

from mlctl.core.files import atomic_write_text
from mlctl.core.url_redaction import shown
from mlctl.corpora.transfer import Fetched, Version
from mlctl.errors import InputError

_FORMAT = 1
_ADVICE = "mend it, or take it away: the next run writes a new one"


class Lockfile:
    """A lock file that is there or will be.

    With `update`, what it says is not enforced but renewed. Raises InputError where the file cannot be read.
    """

    def __init__(self, path: Path, update: bool = False) -> None:
        self.path = path
        self.update = update
        self._files, self._versions = _load(path)

    def pinned(self, address: str) -> str:
        """Return the digest that an address has to give; empty: any (it is new here, or entries are being renewed)."""
        return "" if self.update else self.digest(address)

    def knows(self, address: str) -> bool:
        """Tell whether the file has an entry for an address, an expired one too."""
        return shown(address) in self._files

    def digest(self, address: str) -> str:
        """Return the digest that the file has for an address; empty: none."""
        return str(self._files.get(shown(address), {}).get("sha256", ""))

    def version_of(self, address: str) -> Version | None:
        """Return what the server said about the version that was fetched; None: nothing was."""
        entry = self._files.get(shown(address))
        if entry is None or not entry["sha256"]:
            return None
        return Version(shown(address), entry.get("etag", ""), entry.get("modified", ""), entry.get("size"))

    def expire(self, addresses: Iterable[str]) -> None:
        """Take back the digests of addresses, so that the next run fetches what they give then."""
        with self._alone():
            self._files |= {
                place: {"sha256": "", "retrieved": "", "renewed": entry["renewed"]}
                for place in map(shown, addresses)
                if (entry := self._files.get(place))
            }
            self._write()

    def renewed(self, address: str) -> int:
        """Return how often the entry of an address was renewed on request."""
        return int(self._files.get(shown(address), {}).get("renewed", 0))

    def version(self, corpus: str) -> str:
        """Return the version that `latest` was when the corpus was fetched first; empty: not known, or being renewed."""
        return "" if self.update else self.last_version(corpus)

    def last_version(self, corpus: str) -> str:
        """Return the version that the file has for a corpus; empty: none."""
        return str(self._versions.get(corpus, ""))

    def record(self, fetched: Mapping[str, Fetched], versions: Mapping[str, str] | None = None) -> None:
        """Add what was fetched, by address. Entries that are enforced stay as they are, to the byte."""
        with self._alone():
            before = json.dumps([self._files, self._versions], sort_keys=True)
            for address, file in ((shown(address), file) for address, file in fetched.items()):
                if self.update or not self.digest(address):
                    self._files[address] = self._entry(address, file)
            self._versions.update(versions or {})
            if json.dumps([self._files, self._versions], sort_keys=True) != before:
                self._write()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Read the file anew and keep other runs off it: several recipes may share one."""
        guard = Path(tempfile.gettempdir()) / f"mlctl-lock-{digest_of(str(self.path.resolve()).encode()).hexdigest()[:16]}"
        with FileLock(guard):
            self._files, self._versions = _load(self.path)
            yield

    def _entry(self, address: str, file: Fetched) -> dict[str, Any]:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        renewed = self.renewed(address) + 1 if address in self._files else 0
        told = {name: value for name, value in (("etag", file.etag), ("modified", file.modified)) if value}
        return {"sha256": file.sha256, "size": file.size, "retrieved": now, "renewed": renewed, **told}

    def _write(self) -> None:
        values = {"format": _FORMAT, "files": self._files, "versions": self._versions}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write_text(self.path, json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
        except OSError as error:
            remedy = "set download.lock to a file that may be written"
            raise InputError(f"{self.path} cannot be written: {error.strerror or error}", remedy) from None


def renewed_digests(lock: Lockfile, addresses: Sequence[str]) -> dict[str, str]:
    """Return what a lock file adds to the key of a result.

    Digests count once they were renewed on request; the first ones do not, or the run that writes them would have another key than
    the next. While entries are being renewed their count is part of it, so that each such run asks the addresses again; so it is of
    expired ones.
    """
    found = {shown(address): (lock.digest(address), lock.renewed(address)) for address in addresses if lock.knows(address)}
    if lock.update:
        return {address: f"{digest} renewed {count}" for address, (digest, count) in found.items()}
    return {address: digest or f"expired {count}" for address, (digest, count) in found.items() if count or not digest}


def _load(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, {}
    except (OSError, ValueError) as error:
        raise InputError(f"the lock file {path} cannot be read: {error}", _ADVICE) from None
    if not isinstance(values, dict) or values.get("format") != _FORMAT:
        raise InputError(f"the lock file {path} is not of format {_FORMAT}", _ADVICE)
    files, versions = values.get("files"), values.get("versions")
    if not isinstance(files, dict) or not isinstance(versions, dict) or not all(map(_sound, files.values())):
        raise InputError(f"the lock file {path} is damaged: an entry has no sha256", _ADVICE)
    return {shown(address): entry for address, entry in files.items()}, dict(versions)


def _sound(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and isinstance(entry.get("renewed"), int)
