"""Leases: which results the running processes use, so that the garbage collector keeps them.

Each process that uses a store holds `.leases/<id>.lock`, which the operating system releases when the process dies, and lists in
`.leases/<id>.txt` the results that it uses, one line each. The order makes this safe:

- A process adds a result to its list first and looks for it in the store afterwards.
- The collector moves what no list has out of the way, and removes it when it is there.

Both hold `.leases/.lock` meanwhile (the process while it adds, the collector from reading the lists to its last move). So a result
is either on a list that the collector reads, or out of the way before the process looks for it, which then makes it again.

In a store that cannot be written to, no lease can be taken, and a collector on this machine can remove nothing. A process that holds a
lock without a list (its volume is full) is taken to use everything.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlctl.core import locks

_log = logging.getLogger(__name__)

_FOLDER = ".leases"

#: A result: stage and key.
Address = tuple[str, str]


@dataclass(frozen=True)
class HeldLeases:
    """What the running processes use.

    Attributes:
        results: the results on their lists.
        everything: whether a process may use any result: its list cannot be read.
        since: when the oldest of the leases was taken, in seconds since 1970; None: there is none.
    """

    results: frozenset[Address]
    everything: bool
    since: float | None


class Lease:
    """The lease of this process, which lasts as long as its `with` block. An error of the volume never stops a run."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._id = uuid.uuid4().hex
        self._stack = contextlib.ExitStack()
        self._results: set[Address] = set()
        self._active = False

    def __enter__(self) -> Lease:
        with self._tolerated("taken"), exclusive(self._root):
            # Under the collector's lock: it removes what a dead process left, and must not take this for it.
            self._stack.enter_context(locks.locked(_lock(self._root, self._id)))
            self._active = True
            _list(self._root, self._id).touch()
        return self

    def __exit__(self, *error: object) -> None:
        if self._active:
            with contextlib.suppress(OSError):
                _list(self._root, self._id).unlink(missing_ok=True)
                _lock(self._root, self._id).unlink(missing_ok=True)
        self._active = False
        self._stack.close()

    def add(self, stage: str, key: str) -> None:
        """Add a result, before looking for it."""
        if not self._active or (stage, key) in self._results:
            return
        with self._tolerated("extended"), exclusive(self._root):
            with _list(self._root, self._id).open("a", encoding="utf-8") as file:
                file.write(f"{stage} {key}\n")
            self._results.add((stage, key))

    @contextlib.contextmanager
    def _tolerated(self, action: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _log.debug("no lease on results of %s can be %s: %s", self._root, action, error)
            with contextlib.suppress(OSError):
                _list(self._root, self._id).unlink(missing_ok=True)  # a lock without a list keeps everything


def held(root: Path) -> HeldLeases:
    """Return what the running processes use; what dead ones left is removed. The caller holds `exclusive`."""
    results, everything, taken = set[Address](), False, list[float]()
    for lock in sorted((root / _FOLDER).glob("[!.]*.lock")):
        names = _list(root, lock.stem)
        if not locks.is_locked(lock):
            with contextlib.suppress(OSError):
                names.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
            continue
        try:
            taken.append(lock.stat().st_ctime)
            results |= {(stage, key) for stage, _, key in (line.partition(" ") for line in names.read_text().splitlines())}
        except (OSError, ValueError):
            everything = True
    return HeldLeases(frozenset(results), everything, min(taken, default=None))


@contextlib.contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Hold the lock that separates the collector from processes that take or extend a lease.

    Raises:
        OSError: the store cannot be written to.
    """
    folder = root / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with locks.locked(folder / ".lock"):
        yield


def _lock(root: Path, lease: str) -> Path:
    return root / _FOLDER / f"{lease}.lock"


def _list(root: Path, lease: str) -> Path:
    return root / _FOLDER / f"{lease}.txt"
