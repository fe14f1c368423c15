"""A file on its way: the bytes so far, and which version of which address they are."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from mlctl.core.files import atomic_write_text, commit

_SYNC_EVERY = 32 * 2**20


@dataclass(frozen=True)
class Version:
    """What a server says about the file that it is sending; `length` is None where it does not say. The address is without secrets."""

    address: str
    etag: str = ""
    modified: str = ""
    length: int | None = None

    @property
    def validator(self) -> str:
        """What If-Range needs to ask for more of the same version; empty: the server gives nothing to tell versions by."""
        return self.modified if not self.etag or self.etag.startswith("W/") else self.etag

    def contradicts(self, other: Version) -> bool:
        """Tell whether two answers are about different versions, as far as both say."""
        mine, theirs = (self.etag, self.modified, self.length), (other.etag, other.modified, other.length)
        unsaid = ("", None)
        said = [pair for pair in zip(mine, theirs, strict=True) if pair[0] not in unsaid and pair[1] not in unsaid]
        return any(ours != others for ours, others in said)


@dataclass(frozen=True)
class _State:
    version: Version
    durable: int = 0
    boot: str = ""


class Part:
    """`<name>.part` and `<name>.state` beside the file to be; both outlive a crash.

    Every byte goes to the operating system at once: after SIGKILL the size of the part is what was received. After a power cut
    (the machine booted since) only what was flushed to the disk is trusted.
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

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()

    @property
    def version(self) -> Version | None:
        """The version that the bytes so far belong to."""
        return self._state.version if self._state else None

    @property
    def whole(self) -> bool:
        """Tell whether as many bytes are there as the server said."""
        return self._state is not None and self._state.version.length == self.size

    def begin(self, version: Version) -> None:
        """Drop the bytes so far and start with a version."""
        self.discard()
        self._save(_State(version, 0, _boot()))

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        view = memoryview(data)
        while view:  # an unbuffered write may take less than it is given
            written = self._stream.write(view)
            view = view[written:]
        self.size += len(data)
        self.furthest = max(self.furthest, self.size)
        if self._state and self.size - self._state.durable >= _SYNC_EVERY:
            os.fsync(self._stream.fileno())
            self._save(replace(self._state, durable=self.size, boot=_boot()))

    def discard(self) -> None:
        """Drop the bytes so far, then what they were: in this order a kill between the two leaves nothing to go on from."""
        self._stream.truncate(0)
        self.size = 0
        self._state_path.unlink(missing_ok=True)
        self._state = None

    def finish(self) -> None:
        """Give the file its name. The state stays beside it and tells where it came from."""
        commit(self.path, self.final)

    def _load(self) -> _State | None:
        try:
            values = json.loads(self._state_path.read_text(encoding="utf-8"))
            known = {field.name: values["version"][field.name] for field in fields(Version)}
            return _State(Version(**known), int(values["durable"]), str(values["boot"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _trim(self) -> None:
        """Cut off what cannot be trusted: all without a state, and what a power cut may have left as zeros."""
        if not self.path.exists():
            return
        trusted = 0 if self._state is None else self.path.stat().st_size
        if self._state and self._state.boot != _boot():
            trusted = min(trusted, self._state.durable)
        os.truncate(self.path, trusted)

    def _save(self, state: _State) -> None:
        self._state = state
        atomic_write_text(self._state_path, json.dumps(asdict(state)))


def origin(final: Path) -> Version:
    """Return which version of which address a finished file is; an empty one: not known."""
    try:
        return Version(**json.loads(final.with_name(f"{final.name}.state").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return Version("")


def forget(final: Path) -> None:
    """Remove a finished file with what is known about it."""
    final.unlink(missing_ok=True)
    final.with_name(f"{final.name}.state").unlink(missing_ok=True)


def _boot() -> str:
    """Return what tells this boot of the machine from others; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
