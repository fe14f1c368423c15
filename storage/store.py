"""The store: `<root>/<stage>/<key>/` with data files and a manifest; a folder without a manifest is work in progress."""

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
from storage.verify import find_damage

logger = logging.getLogger(__name__)

_LOCKS, _DAMAGED, _UPLOADED = ".locks", ".damaged", ".copied"


@dataclass(frozen=True)
class Result:
    """A complete stage result: a folder that never changes, and its manifest."""

    folder: Path
    manifest: Manifest


@dataclass
class Draft:
    """A result that is being built: write its files into `folder`, then `seal` it."""

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
        """Digest all files, write the manifest, remove temporary files (names with a leading dot), upload if the store is remote.

        Args:
            parts: what the key was computed from.
            inputs: key of each upstream result, by stage.
            metrics: figures of the result, as JSON values.
            versions: version of each package that made the result.
            volatile: name patterns of files that differ between equal runs and are excluded from the content digest.
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
        _drop_hidden(self.folder)  # only now: after a kill before the manifest, the checkpoints are needed again
        return self.commit(Result(self.folder, manifest))


class Store:
    """Results of all stages below a root folder, or behind a URL with a local root folder as its cache.

    Raises:
        StoreError: the library for this kind of URL is not installed.
    """

    def __init__(self, root: str | Path) -> None:
        self._remote = Remote(str(root)) if "://" in str(root) else None
        local = (
            cache_folder() / hashlib.sha256(self._remote.url.encode()).hexdigest()[:KEY_LENGTH] if self._remote else Path(root)
        )
        self.root = local.expanduser().absolute()

    def documents(self) -> Documents:
        """Return the text files that are shared by all machines that use the store."""
        return RemoteDocuments(self._remote) if self._remote else LocalDocuments(self.root)

    def folder(self, stage: str, key: str) -> Path:
        """Return the folder of the result of `stage` with `key`, whether or not it exists."""
        return self.root / stage / key

    def find(self, stage: str, key: str, thorough: bool = False) -> Result | None:
        """Return the verified result, downloaded if only the store's URL has it; None if it is missing or damaged.

        Raises:
            StoreError: the service behind the URL cannot be used, or its copy is damaged.
        """
        result = self._find_local(stage, key, thorough)
        if result or self._remote is None or self.is_building(stage, key):
            return result
        make_folder(self.root / _LOCKS)
        with locks.locked(self._lock(stage, key)):
            return self._find_local(stage, key, thorough) or self._download(stage, key)

    def _find_local(self, stage: str, key: str, thorough: bool = False) -> Result | None:
        folder = self.folder(stage, key)
        manifest = Manifest.read(folder)
        if manifest is None or next(find_damage(folder, manifest, thorough), None):
            return None
        return Result(folder, manifest)

    def open(self, folder: Path) -> Result:
        """Return the result in a folder, without verifying it.

        Raises:
            StoreError: the folder holds no complete result.
        """
        manifest = Manifest.read(folder)
        if manifest is None:
            raise StoreError(f"no complete result in {folder}\n  → run the pipeline again")
        return Result(folder, manifest)

    @contextlib.contextmanager
    def building(self, stage: str, key: str, on_wait: Callable[[], None] | None = None) -> Iterator[Result | Draft]:
        """Hold the key's lock and yield its result if it exists by now, else a draft to fill and seal.

        A draft keeps the parts that an interrupted run finished. A damaged result is moved out of the way first.

        Args:
            stage: stage of the result.
            key: key of the result.
            on_wait: called once if another process holds the lock.

        Raises:
            StoreError: the folder cannot be created.
        """
        make_folder(self.root / _LOCKS)
        with locks.locked(self._lock(stage, key), on_wait):
            result = self._find_local(stage, key)
            if result:
                _drop_hidden(result.folder)  # left by a kill right after the manifest
                result = self._commit(result)  # the upload may have been interrupted, too
            yield result or self._download(stage, key) or self._draft(stage, key)

    def is_building(self, stage: str, key: str) -> bool:
        """Return whether a running process is building this result."""
        return locks.is_locked(self._lock(stage, key))

    def results(self, stage: str | None = None) -> list[Result]:
        """Return the complete results, newest first, without verifying them."""
        results = [Result(folder, manifest) for folder in self.folders(stage) if (manifest := Manifest.read(folder))]
        return sorted(results, key=lambda result: (result.manifest.created, result.manifest.stage), reverse=True)

    def drafts(self) -> list[Path]:
        """Return the folders without a manifest: work in progress or abandoned."""
        return [folder for folder in self.folders() if not (folder / NAME).exists()]

    def folders(self, stage: str | None = None) -> list[Path]:
        """Return the folders of all results and drafts, of one stage or of all."""
        pattern = f"{stage or '[!.]*'}/{'?' * KEY_LENGTH}"
        return sorted(path for path in self.root.glob(pattern) if path.is_dir())

    def damaged(self) -> list[Path]:
        """Return the folders of damaged results, which were moved out of the way."""
        return sorted((self.root / _DAMAGED).glob("*"))

    def nearest(self, stage: str, parts: Mapping[str, Any]) -> Result | None:
        """Return the result of a stage whose key parts differ least from `parts` (the newest of ties)."""
        results = [result for result in self.results(stage) if result.manifest.key != key_of(parts)]
        return min(results, key=lambda result: len(differences(result.manifest.parts, parts)), default=None)

    def _download(self, stage: str, key: str) -> Result | None:
        """Download a result from the URL; None if it is not there. The caller holds the key's lock."""
        manifest = self._remote.manifest(stage, key) if self._remote else None
        if self._remote is None or manifest is None:
            return None
        folder = self.folder(stage, key)
        if Manifest.read(folder):
            self._move_aside(folder, "it differs from the one behind the URL")
        make_folder(folder)
        logger.info("%s: downloading %s from %s", stage, key[:8], self._remote.url)
        self._remote.download(folder, manifest)
        _drop_hidden(folder)
        self._mark_uploaded(stage, key)
        return Result(folder, manifest)

    def _commit(self, result: Result) -> Result:
        """Upload a result and return the valid one: this, or that of another machine if it uploaded first."""
        stage, key = result.manifest.stage, result.manifest.key
        if self._remote is None or self._upload_mark(stage, key).exists():
            return result
        first = self._remote.upload(result.folder, result.manifest)
        if first.content == result.manifest.content:
            self._mark_uploaded(stage, key)
            return result
        logger.info("%s: another machine built %s meanwhile; using its result", stage, key[:8])
        self._move_aside(result.folder, "another machine was first")
        return self._download(stage, key) or result

    def _upload_mark(self, stage: str, key: str) -> Path:
        return self.root / _UPLOADED / f"{stage}-{key}"

    def _mark_uploaded(self, stage: str, key: str) -> None:
        make_folder(self.root / _UPLOADED)
        self._upload_mark(stage, key).touch()

    def _lock(self, stage: str, key: str) -> Path:
        return self.root / _LOCKS / f"{stage}-{key}.lock"

    def _draft(self, stage: str, key: str) -> Draft:
        folder = self.folder(stage, key)
        manifest = Manifest.read(folder)
        if manifest or (folder / NAME).exists():
            self._move_aside(folder, ", ".join(find_damage(folder, manifest)) if manifest else "its manifest is unreadable")
        make_folder(folder)
        return Draft(folder, stage, key, self._commit)

    def _move_aside(self, folder: Path, reason: str) -> None:
        target = self.root / _DAMAGED / f"{folder.parent.name}-{folder.name}-{time.time_ns()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)
        logger.warning("%s: result %s is not used (%s); moved to %s", folder.parent.name, folder.name[:8], reason, target)


def differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return (dotted path, old value, new value) of every leaf that differs; None if one side lacks it."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = sorted({*old, *new})
        return [leaf for name in names for leaf in differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)]
    return [] if old == new else [(path, old, new)]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _drop_hidden(folder: Path) -> None:
    for path in list(folder.rglob(".*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _describe(folder: Path, volatile: Sequence[str]) -> Iterator[File]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(folder))):
        name, status = path.relative_to(folder).as_posix(), path.stat()
        is_volatile = any(fnmatch.fnmatch(name, pattern) for pattern in volatile)
        yield File(name, status.st_size, file_digest(path), status.st_mtime_ns, _row_count(path), is_volatile)


def _row_count(path: Path) -> int | None:
    if path.suffix != ".parquet":
        return None
    from mlctl.core.arrow import row_count

    return row_count(path)
