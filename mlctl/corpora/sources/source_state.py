"""State of sources: content of files, exact versions, and what servers report, without downloading any text."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlctl.config import Source
from mlctl.core.hashing import file_digest
from mlctl.corpora.lockfile import Lockfile
from mlctl.errors import InputError

#: (content, stamp) by name: a digest, version or commit; and for a file its size and time: if they are equal, it is not read again.
States = dict[str, tuple[str, str]]

_NO_STATE = ("", "")


@dataclass
class SourceState:
    """State of one or more sources of a recipe.

    Attributes:
        sources: the recipe's sources, with version ranges, `latest` and branches replaced by exact versions, releases and commits.
        states: see `States`.
        changed: URLs whose content differs from the lockfile.
        unreachable: error messages of servers, by the name of what was requested; the previous state is assumed.
        sizes: bytes to download, by URL or package; None: unknown.
    """

    sources: list[Source] = field(default_factory=list)
    states: States = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    unreachable: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int | None] = field(default_factory=dict)

    def merge(self, other: SourceState) -> None:
        """Add the state of further sources."""
        self.sources += other.sources
        self.states |= other.states
        self.changed += other.changed
        self.unreachable |= other.unreachable
        self.sizes |= other.sizes


@dataclass(frozen=True)
class Inspection:
    """How sources are inspected.

    Attributes:
        lock: digests and versions of the last download.
        online: whether servers, the package index and the Hugging Face hub are asked.
        known: states of an earlier inspection.
        used_names: names in the states of the sources before this one.
    """

    lock: Lockfile
    online: bool
    known: Mapping[str, Sequence[str]]
    used_names: Collection[str] = ()

    def known_content(self, name: str) -> str:
        """Return the content of an earlier inspection; empty: unknown."""
        return content_of(self.known, name)

    def query(self, name: str, request: Callable[[], str], fallback: str, unreachable: dict[str, str]) -> str:
        """Return the answer of a server; `fallback` offline or after an error, which is added to `unreachable`."""
        if not self.online:
            return fallback
        try:
            return request()
        except InputError as error:
            unreachable[name] = error.problem
            return fallback

    def file_states(self, corpus: str, paths: Iterable[Path]) -> States:
        """Return the digests of files; a file with the size and time of an earlier inspection is not read."""
        states: States = {}
        for path in paths:
            name, status = f"{corpus}: {path.name}", path.stat()
            if name in self.used_names or name in states:
                name = f"{corpus}: {path}"
            stamp = f"{status.st_size} {status.st_mtime_ns}"
            digest, known_stamp = self.known.get(name, _NO_STATE)
            states[name] = (digest if known_stamp == stamp else file_digest(path), stamp)
        return states


def content_of(states: Mapping[str, Sequence[str]], name: str) -> str:
    """Return the digest, version or commit of a name; empty: unknown."""
    content, _ = states.get(name, _NO_STATE)
    return content
