"""The store: `<root>/<stage>/<key>/` with data files and a manifest; a folder without a manifest is work in progress."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlctl.core import locks
from mlctl.core.files import discard
from mlctl.core.hashing import KEY_LENGTH, key_of
from storage import session as sessions
from storage.documents import Documents, LocalDocuments, RemoteDocuments, make_folder
from storage.draft import UNFINISHED, Draft, Result, drop_hidden, has_hidden
from storage.errors import StoreError
from storage.manifest import NAME, Manifest, ManifestError
from storage.remote import Remote, cache_folder
from storage.verify import Check, find_damage

logger = logging.getLogger(__name__)

_LOCKS, _DAMAGED, _SUSPECT, _UPLOADED = ".locks", ".damaged", ".suspect", ".copied"


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

    @property
    def is_remote(self) -> bool:
        """Whether the store is behind a URL; `root` is then this machine's cache of it."""
        return self._remote is not None

    def documents(self) -> Documents:
        """Return the text files that are shared by all machines that use the store."""
        return RemoteDocuments(self._remote) if self._remote else LocalDocuments(self.root)

    def folder(self, stage: str, key: str) -> Path:
        """Return the folder of the result of `stage` with `key`, whether or not it exists."""
        return self.root / stage / key

    def find(self, stage: str, key: str, check: Check | None = None) -> Result | None:
        """Return the verified result, downloaded if only the store's URL has it; None if it is missing or damaged.

        Args:
            stage: stage of the result.
            key: key of the result.
            check: how much of it is verified; None: what the current session says, or `session.DEFAULT_CHECK` outside of one.

        Raises:
            StoreError: the service behind the URL cannot be used, or its copy is damaged.
        """
        self.reserve(stage, key)
        result = self._find_local(stage, key, check)
        if result or self._remote is None or self.is_building(stage, key):
            return result
        make_folder(self.root / _LOCKS)
        with locks.locked(self._lock(stage, key)):
            return self._find_local(stage, key, check) or self._download(stage, key)

    def reserve(self, stage: str, key: str) -> None:
        """Add a result to the lease of the current session, so that garbage collection keeps it; outside of one do nothing."""
        if session := sessions.current(self.root):
            session.lease.add(stage, key)

    def _find_local(self, stage: str, key: str, check: Check | None = None) -> Result | None:
        folder, session = self.folder(stage, key), sessions.current(self.root)
        manifest, mark = Manifest.read(folder), self._suspect_mark(stage, key)
        if manifest is None:
            return None
        if mark.exists():
            check = "always"
        elif check is None:
            known = session and (stage, key) in session.verified
            check = "changed" if known else session.check if session else sessions.DEFAULT_CHECK
        if next(find_damage(folder, manifest, check), None):
            return None
        if mark.exists():
            with contextlib.suppress(OSError):
                mark.unlink()
        if session:
            session.verified.add((stage, key))
        return Result(folder, manifest)

    def mark_suspect(self, stage: str, key: str) -> bool:
        """Have every file of a result verified when it is next used. Return whether the store could be written to."""
        try:
            make_folder(self.root / _SUSPECT)
            self._suspect_mark(stage, key).touch()
        except (OSError, StoreError):
            return False
        return True

    def _suspect_mark(self, stage: str, key: str) -> Path:
        return self.root / _SUSPECT / f"{stage}-{key}"

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

        A draft keeps the parts that an interrupted run finished. A damaged result is moved out of the way first. A complete result is
        found without the lock, which a read-only store does not allow.

        Args:
            stage: stage of the result.
            key: key of the result.
            on_wait: called once if another process holds the lock.

        Raises:
            StoreError: the folder cannot be created.
        """
        self.reserve(stage, key)
        complete = self._find_local(stage, key)
        if complete and (self._is_settled(complete) or not os.access(self.root, os.W_OK)):
            yield complete
            return
        make_folder(self.root / _LOCKS)
        with locks.locked(self._lock(stage, key), on_wait):
            result = self._find_local(stage, key)
            if result:
                drop_hidden(result.folder)  # left by a kill right after the manifest
                result = self._commit(result)  # the upload may have been interrupted, too
            yield result or self._download(stage, key) or self._draft(stage, key)

    def _is_settled(self, result: Result) -> bool:
        """Return whether nothing is left to do for a complete result: neither temporary files to remove nor files to upload."""
        manifest = result.manifest
        uploaded = self._remote is None or self._upload_mark(manifest.stage, manifest.key).exists()
        return uploaded and not has_hidden(result.folder)

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

    def keys(self, stage: str) -> list[str]:
        """Return the keys of all results and drafts of a stage, sorted: those of this machine, and those behind the store's URL.

        Raises:
            StoreError: the service behind the URL cannot be used.
        """
        remote = self._remote.list_names(stage) if self._remote else []
        return sorted({folder.name for folder in self.folders(stage)} | {name for name in remote if len(name) == KEY_LENGTH})

    def manifest(self, stage: str, key: str) -> Manifest | None:
        """Return the manifest of a result without its files; None: there is no complete result.

        Raises:
            StoreError: the service behind the URL cannot be used.
        """
        local = Manifest.read(self.folder(stage, key))
        return local or (self._remote.manifest(stage, key) if self._remote else None)

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
        drop_hidden(folder)
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
        if damage := self.find_damage(folder):
            self._move_aside(folder, damage)
        make_folder(folder)
        (folder / UNFINISHED).touch()
        for link in [path for path in folder.rglob("*") if path.is_symlink()]:
            link.unlink()  # of the attempt before, or put there: the result must not depend on what is elsewhere
        return Draft(folder, stage, key, self._commit)

    def find_damage(self, folder: Path) -> str:
        """Return what is wrong with the result in a folder, every file verified; empty for a draft or if nothing is wrong."""
        try:
            manifest = Manifest.load(folder)
        except ManifestError as error:
            is_draft = not os.path.lexists(folder / NAME) and ((folder / UNFINISHED).exists() or not _has_files(folder))
            return "" if is_draft else str(error)
        return ", ".join(find_damage(folder, manifest, "always"))

    def _move_aside(self, folder: Path, reason: str) -> None:
        target = self.root / _DAMAGED / f"{folder.parent.name}-{folder.name}-{time.time_ns()}"
        target.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(target)
        discard(self._suspect_mark(folder.parent.name, folder.name))
        logger.warning("%s: result %s is not used (%s); moved to %s", folder.parent.name, folder.name[:8], reason, target)


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def differences(old: Any, new: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """Return (dotted path, old value, new value) of every leaf that differs; None if one side lacks it."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = sorted({*old, *new})
        return [leaf for name in names for leaf in differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)]
    return [] if old == new else [(path, old, new)]
