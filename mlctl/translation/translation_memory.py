"""Translation memory: the translations of all corpora and runs in one SQLite file.

The memory is only a cache: if its file is damaged or cannot be used, translation continues without it.
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

_BUSY_SECONDS = 60.0
_KEYS_PER_QUERY = 5000  # SQLite allows 32,766 values in a query
_PRIMARY_CODE = 0xFF  # mask; the higher bits of an error code are the extended code
# SQLITE_ERROR: our statements are correct, so that the table must have another schema.
_DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_CREATE = "CREATE TABLE IF NOT EXISTS translations (key BLOB PRIMARY KEY, text BLOB NOT NULL, digest BLOB NOT NULL) WITHOUT ROWID"
_SELECT = "SELECT key, text, digest FROM translations WHERE key IN ({})"
_INSERT = "INSERT OR REPLACE INTO translations VALUES (?, ?, ?)"
# The database itself is renamed last: after a crash in between it is still damaged, and the next process that opens it continues.
_FILE_SUFFIXES = ("-wal", "-shm", "")

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class TranslationMemory:
    """Translations in a SQLite file that several threads and processes read and write at once.

    Each process opens the file when it first uses it, so that a memory can be passed to worker processes. A damaged file is renamed to
    `<name>.damaged` and replaced by a new one. If the file cannot be used at all (a read-only or full disk, a file system without
    locks), one warning is logged and the memory stays empty.
    """

    def __init__(self, path: Path, busy_seconds: float = _BUSY_SECONDS) -> None:
        """Take the file and the seconds to wait for other writers."""
        self._path = path
        self._busy_seconds = busy_seconds
        self._disabled = False
        self._reset()

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_busy_seconds": self._busy_seconds, "_disabled": self._disabled}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def get(self, keys: Sequence[bytes]) -> dict[bytes, str]:
        """Return the texts of the keys that are stored; rows whose digest does not match are ignored."""

        def select(connection: sqlite3.Connection) -> dict[bytes, str]:
            return {key: text.decode() for key, text, digest in _rows(connection, keys) if _is_intact(key, text, digest)}

        return self._attempt(select, {}) if keys else {}

    def put(self, texts: Mapping[bytes, str]) -> None:
        """Store texts by their keys in one transaction."""
        rows = [(key, text.encode(), _digest(key, text.encode())) for key, text in sorted(texts.items())]

        def insert(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_INSERT, rows)

        if rows:
            self._attempt(insert, None)

    def put_if_absent(self, key: bytes, text: str) -> str:
        """Store a text unless its key is stored already; return the text that is stored."""
        row = (key, text.encode(), _digest(key, text.encode()))

        def insert(connection: sqlite3.Connection) -> str:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                for _, stored, digest in _rows(connection, [key]):
                    if _is_intact(key, stored, digest):
                        return str(stored.decode())
                connection.execute(_INSERT, row)
            return text

        return self._attempt(insert, text)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._owner_pid = self._inode = 0

    def _attempt(self, operation: Callable[[sqlite3.Connection], _T], default: _T) -> _T:
        """Return the result of an operation on the open file, or the default: an error of the memory never stops a run."""
        with self._lock:
            if self._disabled:
                return default
            try:
                return self._with_recovery(operation, default)
            except (sqlite3.Error, OSError, Timeout) as error:
                _log.warning("the translation memory %s cannot be used: %s; continuing without it", self._path, error)
                self._disabled = True
                self._close()
                return default

    def _with_recovery(self, operation: Callable[[sqlite3.Connection], _T], default: _T) -> _T:
        try:
            return operation(self._open())
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._set_aside(error)
            return default

    def _open(self) -> sqlite3.Connection:
        if self._connection and self._owner_pid == os.getpid():
            return self._connection
        self._inherited = self._connection  # of the parent process: closing it in this process would release the parent's locks
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()  # fails at once where the lock would wait until its timeout
        with self._file_lock():
            self._path.touch()
            self._connection = sqlite3.connect(
                self._path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
            )
            self._owner_pid, self._inode = os.getpid(), self._path.stat().st_ino
            _prepare(self._connection)
        return self._connection

    def _set_aside(self, error: Exception) -> None:
        """Rename a damaged file, unless another process has already done so."""
        with self._file_lock():
            self._close()
            if self._path.exists() and self._path.stat().st_ino == self._inode:
                damaged = self._path.with_name(f"{self._path.name}.damaged")
                for suffix in _FILE_SUFFIXES:
                    Path(f"{damaged}{suffix}").unlink(missing_ok=True)
                    if (file := Path(f"{self._path}{suffix}")).exists():
                        file.replace(f"{damaged}{suffix}")
                _log.warning("the translation memory was damaged (%s): renamed to %s, a new one is started", error, damaged)

    def _close(self) -> None:
        if self._connection and self._owner_pid == os.getpid():
            self._connection.close()
            self._connection = None

    def _file_lock(self) -> FileLock:
        # No process may open the file while it is renamed: its write-ahead log would be taken for the new file's.
        return FileLock(f"{self._path}.lock", timeout=self._busy_seconds)


def translation_key(identity: Mapping[str, str], source: str, target: str, text: str) -> bytes:
    """Return the key of a text's translation.

    Args:
        identity: of everything that determines the translation besides the text and its languages.
        source: language of the text.
        target: language of the translation.
        text: the text.
    """
    content = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).digest()
    return hashlib.sha256(content + f"{source}\0{target}\0".encode() + hashlib.sha256(text.encode()).digest()).digest()


def _prepare(connection: sqlite3.Connection) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError("its file system does not support a write-ahead log")
    connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose the newest rows, but does not damage the file
    connection.execute(_CREATE)


def _rows(connection: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[Any, Any, Any]]:
    for first in range(0, len(keys), _KEYS_PER_QUERY):
        batch = keys[first : first + _KEYS_PER_QUERY]
        yield from connection.execute(_SELECT.format(",".join(itertools.repeat("?", len(batch)))), batch)


def _is_intact(key: Any, text: Any, digest: Any) -> bool:
    """Return whether a row is as it was written; a damaged page can have values of any type."""
    return isinstance(key, bytes) and isinstance(text, bytes) and _digest(key, text) == digest


def _digest(key: bytes, text: bytes) -> bytes:
    return hashlib.sha256(key + text).digest()


def _is_damage(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE in _DAMAGE_CODES
