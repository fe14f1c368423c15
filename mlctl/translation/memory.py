"""What was translated once with an engine: kept in one file for all corpora and runs.

The memory is a help and no truth: whatever is wrong with its file, translation goes on without it. A rejection is not remembered:
it may have been the engine's bad day, and only a text is a translation.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from mlctl.translation.backend import Translation, Translator

_BUSY_SECONDS = 60.0
_KEYS_AT_ONCE = 5000  # SQLite takes 32,766 values in a query
_BASE_CODE = 0xFF  # the rest of an error code says more exactly what happened
# SQLITE_ERROR: our own words are not at fault, so the table is another than ours.
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_TABLE = "CREATE TABLE IF NOT EXISTS translations (key BLOB PRIMARY KEY, text BLOB NOT NULL, digest BLOB NOT NULL) WITHOUT ROWID"
_FIND = "SELECT key, text, digest FROM translations WHERE key IN ({})"
_KEEP = "INSERT OR REPLACE INTO translations VALUES (?, ?, ?)"
_BESIDE = ("-wal", "-shm", "")  # the file itself last: until then it is damaged still, and the next one to open it goes on here

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Memory:
    """Translations in a SQLite file that several threads and processes read and write at once.

    The file is opened at the first use, in each process anew, so that a memory can be handed to worker processes. A file that is
    damaged is renamed to `<name>.damaged` and a new one begun. Where the file cannot be used at all (a read-only or full disk, one
    without locks), this is said once, and the memory stays empty.
    """

    def __init__(self, path: Path, busy_seconds: float = _BUSY_SECONDS) -> None:
        """Name the file; `busy_seconds` is how long to wait for other writers."""
        self._path = path
        self._busy_seconds = busy_seconds
        self._off = False
        self._start()

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_busy_seconds": self._busy_seconds, "_off": self._off}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def look_up(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """Return the texts of those keys that there are; rows that are not as they were written do not count."""

        def find(connection: sqlite3.Connection) -> dict[bytes, str]:
            return {key: text.decode() for key, text, digest in _rows(connection, keys) if _is_whole(key, text, digest)}

        return self._try(find, {}) if keys else {}

    def keep(self, texts: Mapping[bytes, str]) -> None:
        """Write texts by their keys, all of them or, should this process die, none."""
        rows = [(key, text.encode(), _digest(key, text.encode())) for key, text in sorted(texts.items())]

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_KEEP, rows)

        if rows:
            self._try(write, None)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._owner = self._inode = 0

    def _try(self, work: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        """Do some work with the open file, or give `otherwise`: no fault of the memory stops a run."""
        with self._lock:
            if self._off:
                return otherwise
            try:
                return self._guarded(work, otherwise)
            except (sqlite3.Error, OSError, Timeout) as error:
                _log.warning("the translation memory %s cannot be used: %s; going on without it", self._path, error)
                self._off = True
                self._close()
                return otherwise

    def _guarded(self, work: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        try:
            return work(self._open())
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._set_aside(error)
            return otherwise

    def _open(self) -> sqlite3.Connection:
        if self._connection and self._owner == os.getpid():
            return self._connection
        self._inherited = self._connection  # of the parent process: closing it here would do away with the parent's locks
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()  # fails at once where the lock would be waited for
        with self._file_lock():
            self._path.touch()
            self._connection = sqlite3.connect(
                self._path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
            )
            self._owner, self._inode = os.getpid(), self._path.stat().st_ino
            _prepare(self._connection)
        return self._connection

    def _set_aside(self, error: Exception) -> None:
        """Rename a damaged file, unless another process has done it already."""
        with self._file_lock():
            self._close()
            if self._path.exists() and self._path.stat().st_ino == self._inode:
                runtime_only = self._path.with_name(f"{self._path.name}.damaged")
                for end in _BESIDE:
                    Path(f"{runtime_only}{end}").unlink(missing_ok=True)
                    if (file := Path(f"{self._path}{end}")).exists():
                        file.replace(f"{runtime_only}{end}")
                _log.warning("the translation memory was damaged (%s): set aside as %s, a new one is begun", error, runtime_only)

    def _close(self) -> None:
        if self._connection and self._owner == os.getpid():
            self._connection.close()
            self._connection = None

    def _file_lock(self) -> FileLock:
        # Nobody opens the file while it is renamed: its log would be taken for the new one's.
        return FileLock(f"{self._path}.lock", timeout=self._busy_seconds)


class Remembering:
    """A translator that asks its memory first, and keeps there what it had to translate."""

    def __init__(self, inner: Translator, memory: Memory) -> None:
        self._inner = inner
        self._memory = memory
        self._identity = hashlib.sha256(json.dumps(inner.identity(), sort_keys=True).encode()).digest()
        self._asked = self._remembered = 0

    def identity(self) -> dict[str, str]:
        """Return the engine's: a memory changes nothing in what is said."""
        return self._inner.identity()

    def serves(self, source: str, target: str) -> bool:
        """Tell whether the engine translates from `source` to `target`."""
        return self._inner.serves(source, target)

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        """Tell for each text whether the engine takes it whole."""
        return self._inner.fits(texts, source, target)

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Return the translation of each text; each different text goes to the engine once, and not at all if it is known."""
        keys = {text: self._key(text, source, target) for text in dict.fromkeys(texts)}
        known = self._memory.look_up(list(keys.values()))
        new = [text for text, key in keys.items() if key not in known]
        made = dict(zip(new, self._inner.translate(new, source, target) if new else [], strict=True))
        self._memory.keep({keys[text]: translation.text for text, translation in made.items() if not translation.rule})
        self._asked, self._remembered = self._asked + len(keys), self._remembered + len(keys) - len(new)
        return [made[text] if text in made else Translation(known[keys[text]]) for text in texts]

    def close(self) -> None:
        """Close the engine and the memory."""
        if self._remembered:
            _log.info("%d of %d texts were in the translation memory", self._remembered, self._asked)
        self._inner.close()
        self._memory.close()

    def _key(self, text: str, source: str, target: str) -> bytes:
        return hashlib.sha256(self._identity + f"{source}\0{target}\0".encode() + hashlib.sha256(text.encode()).digest()).digest()


def _prepare(connection: sqlite3.Connection) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError("its file system has no shared memory for several writers")
    connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the newest rows, never the file
    connection.execute(_TABLE)


def _rows(connection: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[Any, Any, Any]]:
    for first in range(0, len(keys), _KEYS_AT_ONCE):
        some = keys[first : first + _KEYS_AT_ONCE]
        yield from connection.execute(_FIND.format(",".join(itertools.repeat("?", len(some)))), some)


def _is_whole(key: Any, text: Any, digest: Any) -> bool:
    """Tell whether a row is as it was written; a damaged page can hold values of any type."""
    return isinstance(key, bytes) and isinstance(text, bytes) and _digest(key, text) == digest


def _digest(key: bytes, text: bytes) -> bytes:
    return hashlib.sha256(key + text).digest()


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & _BASE_CODE in _DAMAGE
