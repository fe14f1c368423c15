"""A partial download: the bytes received so far, and the version of the file to which they belong."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from mlctl.core.checksums import CheckedPath
from mlctl.core.files import atomic_write_text
from mlctl.core.url_redaction import redact_url

_FSYNC_INTERVAL = 32 * 2**20  # bytes


@dataclass(frozen=True)
class FileVersion:
    """Version of a file on a server: redacted URL, ETag, Last-Modified and length in bytes; empty or None: not sent."""

    address: str  # also a name in the .state files
    etag: str = ""
    modified: str = ""
    length: int | None = None

    @property
    def validator(self) -> str:
        """Value for If-Range, to request more of the same version; empty: the server sends no validator."""
        return self.modified if not self.etag or self.etag.startswith("W/") else self.etag

    def contradicts(self, other: FileVersion) -> bool:
        """Return whether a field that both versions have differs."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified), (self.length, other.length))
        missing = ("", None)
        return any(a != b for a, b in pairs if a not in missing and b not in missing)


@dataclass(frozen=True)
class _State:
    version: FileVersion
    durable: int = 0
    boot: str = ""


class PartialDownload:
    """`<name>.part` with the bytes and `<name>.state` with the version, beside the final file; both survive a crash.

    Writes are unbuffered: after SIGKILL the size of the `.part` file is what was received. After a power cut (another boot of the
    machine) only what was flushed to the disk is trusted.
    """

    def __init__(self, final: Path) -> None:
        self.final = final
        self.path = final.with_name(f"{final.name}.part")
        self._state_path = final.with_name(f"{final.name}.state")
        self._state = self._load()
        self._trim()
        self._stream = self.path.open("ab", buffering=0)
        self.size = self.path.stat().st_size
        self.furthest = self.size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()

    @property
    def version(self) -> FileVersion | None:
        """The version to which the bytes belong; None: there are none."""
        return self._state.version if self._state else None

    def range_headers(self, url: str) -> dict[str, str]:
        """Return the headers that request the rest of the same version from a URL; empty: the whole file must be requested."""
        version = self.version
        if version is None or version.address != redact_url(url) or not version.validator or not self.size:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": version.validator}

    @property
    def is_complete(self) -> bool:
        """Return whether all bytes that the server announced were received."""
        return self._state is not None and self._state.version.length == self.size

    def restart(self, version: FileVersion) -> None:
        """Drop the bytes and start with a version."""
        self.discard()
        self._save(_State(version, 0, _boot_id()))

    def append(self, data: bytes) -> None:
        """Append bytes."""
        view = memoryview(data)
        while view:  # an unbuffered write may write fewer bytes
            written = self._stream.write(view)
            view = view[written:]
        self.size += len(data)
        self.furthest = max(self.furthest, self.size)
        if self._state and self.size - self._state.durable >= _FSYNC_INTERVAL:
            os.fsync(self._stream.fileno())
            self._save(replace(self._state, durable=self.size, boot=_boot_id()))

    def discard(self) -> None:
        """Drop the bytes, then the state: in this order a kill between the two leaves nothing to resume from."""
        self._stream.truncate(0)
        self.size = 0
        self._state_path.unlink(missing_ok=True)
        self._state = None

    def finish(self) -> None:
        """Rename the complete file. The state stays beside it as its provenance."""
        CheckedPath.at(self.final).commit(self.path)

    def _load(self) -> _State | None:
        try:
            values = json.loads(self._state_path.read_text(encoding="utf-8"))
            version = FileVersion(**{field.name: values["version"][field.name] for field in fields(FileVersion)})
            return _State(version, int(values["durable"]), str(values["boot"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _trim(self) -> None:
        """Truncate to the trusted bytes: none without a state; after a power cut only flushed ones, as others may be zeros."""
        if not self.path.exists():
            return
        trusted = 0 if self._state is None else self.path.stat().st_size
        if self._state and self._state.boot != _boot_id():
            trusted = min(trusted, self._state.durable)
        os.truncate(self.path, trusted)

    def _save(self, state: _State) -> None:
        self._state = state
        atomic_write_text(self._state_path, json.dumps(asdict(state)))


def fetched_version(final: Path) -> FileVersion:
    """Return the version of a complete file; with an empty URL: unknown."""
    try:
        return FileVersion(**json.loads(final.with_name(f"{final.name}.state").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return FileVersion("")


def remove(final: Path) -> None:
    """Remove a complete file and its state."""
    final.unlink(missing_ok=True)
    final.with_name(f"{final.name}.state").unlink(missing_ok=True)


def _boot_id() -> str:
    """Return the id of the machine's current boot; empty if the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
