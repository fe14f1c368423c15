"""The store: `<root>/<stage>/<key>/` with data files and a manifest; without a manifest it is work in progress."""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlctl.core import locks
from mlctl.core.hashing import KEY_LENGTH, file_digest, key_of
from storage.documents import Documents, LocalDocuments, RemoteDocuments, make_folder
from storage.errors import StoreError
from storage.manifest import NAME, File, Manifest
from storage.remote import Remote, cache_folder
from storage.verify import faults

logger = logging.getLogger(__name__)

_LOCKS, _DAMAGED, _COPIED = ".locks", ".damaged", ".copied"


@dataclass(frozen=True)
class Result:
    """A complete stage result: a folder that never changes, and its manifest."""

    folder: Path
    manifest: Manifest


@dataclass
class Draft:
    """A result in the making: fill `folder`, then `seal` it."""

    folder: Path
    stage: str
    key: str
    commit: Callable[[Result], Result]
    _started: float = field(default_factory=time.monotonic)

    def seal(
        self,
        parts: Mapping[str, Any],
        inputs: Mapping[str, str],
        metrics: Mapping[str, Any],
        versions: Mapping[str, str],
        volatile: Sequence[str] = (),
    ) -> Result:
        """Digest all files, write the manifest, drop what is temporary (names with a leading dot), copy the result to where the store is.

        `volatile` are name patterns of files that differ between equal runs and do not count towards the content.
        """
        manifest = Manifest(
            stage=self.stage,
            key=self.key,
            parts=dict(parts),
            inputs=dict(inputs),
            files=tuple(_describe(self.folder, volatile)),
            metrics=dict(metrics),
            versions=dict(versions),
            seconds=round(time.monotonic() - self._started, 3),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        manifest.write(self.folder)
        _drop_hidden(self.folder)  # only now: a kill before the manifest must find the checkpoints again
        return self.commit(Result(self.folder, manifest))


class Store:
    """Results of all stages under one root folder, or behind a URL with a root folder on this machine for what was made or fetched.

    Raises:
        StoreError: the library for this kind of URL is not installed.
    """

    def __init__(self, root: str | Path) -> None:
        self._remote = Remote(str(root)) if "://" in str(root) else None
        here = cache_folder() / hashlib.sha256(self._remote.url.encode()).hexdigest()[:KEY_LENGTH] if self._remote else Path(root)
        self.root = here.expanduser().absolute()

    def documents(self) -> Documents:
        """Return the small texts that belong to the whole store, not to one machine's part of it."""
        return RemoteDocuments(self._remote) if self._remote else LocalDocuments(self.root)

    def folder(self, stage: str, key: str) -> Path:
        """Return where the result of `stage` with `key` lies or will lie."""
        return self.root / stage / key

    def find(self, stage: str, key: str, thorough: bool = False) -> Result | None:
        """Return the verified result, fetched where it is behind the store's URL; None where there is none or it is damaged.

        Raises:
            StoreError: the service behind the URL cannot be used, or what it has is damaged.
        """
        found = self._here(stage, key, thorough)
        if found or self._remote is None or self.is_building(stage, key):
            return found
        make_folder(self.root / _LOCKS)
        with locks.held(self._lock(stage, key)):
            return self._here(stage, key, thorough) or self._fetched(stage, key)

    def _here(self, stage: str, key: str, thorough: bool = False) -> Result | None:
        folder = self.folder(stage, key)
        manifest = Manifest.read(folder)
        if manifest is None or next(faults(folder, manifest, thorough), None):
            return None
        return Result(folder, manifest)

    def open(self, folder: Path) -> Result:
        """Return the result that lies in a folder, unverified.

        Raises:
            StoreError: there is no complete result.
        """
        manifest = Manifest.read(folder)
        if manifest is None:
            raise StoreError(f"no complete result in {folder}\n  → run the pipeline again")
        return Result(folder, manifest)

    @contextlib.contextmanager
    def building(self, stage: str, key: str, on_wait: Callable[[], None] | None = None) -> Iterator[Result | Draft]:
        """Hold the key's lock and yield its result if there is one by now, else the draft to fill and seal.

        A draft keeps the parts that an interrupted run finished. A damaged result is set aside first.

        Raises:
            StoreError: the folder cannot be made.
        """
        make_folder(self.root / _LOCKS)
        with locks.held(self._lock(stage, key), on_wait):
            result = self._here(stage, key)
            if result:
                _drop_hidden(result.folder)  # left by a kill right after the manifest
                result = self._commit(result)  # so may the copy have been
            yield result or self._fetched(stage, key) or self._draft(stage, key)

    def is_building(self, stage: str, key: str) -> bool:
        """Tell whether a living process is making this result."""
        return locks.is_held(self._lock(stage, key))

    def results(self, stage: str | None = None) -> list[Result]:
        """Return the complete results, newest first, without verifying them."""
        found = [Result(folder, m) for folder in self.folders(stage) if (m := Manifest.read(folder))]
        return sorted(found, key=lambda r: (r.manifest.created, r.manifest.stage), reverse=True)

    def drafts(self) -> list[Path]:
        """Return the folders of work in progress or abandoned."""
        return [folder for folder in self.folders() if not (folder / NAME).exists()]

    def folders(self, stage: str | None = None) -> list[Path]:
        """Return the folders of all results and drafts, of one stage or of all."""
        pattern = f"{stage or '[!.]*'}/{'?' * KEY_LENGTH}"
        return sorted(p for p in self.root.glob(pattern) if p.is_dir())

    def damaged(self) -> list[Path]:
        """Return what was set aside as damaged."""
        return sorted((self.root / _DAMAGED).glob("*"))

    def nearest(self, stage: str, parts: Mapping[str, Any]) -> Result | None:
        """Return the result of a stage whose key parts differ least from `parts` (the newest of equals)."""
        results = [r for r in self.results(stage) if r.manifest.key != key_of(parts)]
        return min(results, key=lambda r: len(differences(r.manifest.parts, parts)), default=None)

    def _fetched(self, stage: str, key: str) -> Result | None:
        """Fetch a result from behind the URL; None where there is none. The caller holds the key's lock."""
        manifest = self._remote.manifest(stage, key) if self._remote else None
        if self._remote is None or manifest is None:
            return None
        folder = self.folder(stage, key)
        if Manifest.read(folder):
            self._set_aside(folder, "it is not the one behind the URL")
        make_folder(folder)
        logger.info("%s: fetched from %s (%s)", stage, self._remote.url, key[:8])
        self._remote.pull(folder, manifest)
        _drop_hidden(folder)
        self._note_copied(stage, key)
        return Result(folder, manifest)

    def _commit(self, result: Result) -> Result:
        """Copy a result to behind the URL and return the one that counts there: this, or that of whoever was first."""
        stage, key = result.manifest.stage, result.manifest.key
        if self._remote is None or self._copied(stage, key).exists():
            return result
        first = self._remote.push(result.folder, result.manifest)
        if first.content == result.manifest.content:
            self._note_copied(stage, key)
            return result
        logger.info("%s: another machine made %s meanwhile; its result is taken", stage, key[:8])
        self._set_aside(result.folder, "another machine was first")
        return self._fetched(stage, key) or result

    def _copied(self, stage: str, key: str) -> Path:
        return self.root / _COPIED / f"{stage}-{key}"

    def _note_copied(self, stage: str, key: str) -> None:
        make_folder(self.root / _COPIED)
        self._copied(stage, key).touch()

    def _lock(self, stage: str, key: str) -> Path:
        return self.root / _LOCKS / f"{stage}-{key}.lock"

    def _draft(self, stage: str, key: str) -> Draft:
        folder = self.folder(stage, key)
        manifest = Manifest.read(folder)
        if manifest or (folder / NAME).exists():
            what = ", ".join(faults(folder, manifest)) if manifest else "its manifest is unreadable"
            self._set_aside(folder, what)
        make_folder(folder)
        return Draft(folder, stage, key, self._commit)

    def _set_aside(self, folder: Path, why: str) -> None:
        place = self.root / _DAMAGED / f"{folder.parent.name}-{folder.name}-{time.time_ns()}"
        place.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(place)
        logger.warning("%s result %s is damaged (%s): set aside, made again", folder.parent.name, folder.name[:8], why)


def differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return (dotted path, old value, new value) of every leaf that differs; None where one side has no such leaf."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = sorted({*old, *new})
        return [d for n in names for d in differences(old.get(n), new.get(n), f"{path}.{n}" if path else n)]
    return [] if old == new else [(path, old, new)]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _drop_hidden(folder: Path) -> None:
    for path in list(folder.rglob(".*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _describe(folder: Path, volatile: Sequence[str]) -> Iterator[File]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not _hidden(p.relative_to(folder))):
        name, status = path.relative_to(folder).as_posix(), path.stat()
        changing = any(fnmatch.fnmatch(name, pattern) for pattern in volatile)
        yield File(name, status.st_size, file_digest(path), status.st_mtime_ns, _rows(path), changing)


def _rows(path: Path) -> int | None:
    if path.suffix != ".parquet":
        return None
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)
