"""Files of a stage on machines that share no folder: they go through the URL of the store.

The machine that runs the stage names the files that a step reads. The worker's machine downloads those that it lacks, runs the step
and uploads the parts that the step wrote. The first machine downloads these, so its folder is as complete as with workers
of its own, and a killed run resumes in the same way.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from mlctl.core import locks
from mlctl.core.checksums import SCRATCH, CheckedPath
from mlctl.core.files import atomic_write_text, discard
from mlctl.core.hashing import file_digest
from mlctl.errors import InputError
from storage import Manifest, Store, StoreError
from storage.remote import Remote, cache_folder

_STEPS = ".steps"  # folder behind the URL of what the steps of unfinished results pass on
_OUTSIDE = ".outside"  # folder for files that are not below the store's folder
_ABANDONED_SECONDS = 7 * 86_400  # a worker's folder that no job has touched for so long belongs to a run that was killed


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class RemoteFile(_Model):
    """A file behind the URL.

    Attributes:
        path: relative to the store's local folder.
        address: relative to the URL.
        sha256: digest of its bytes.
    """

    path: str
    address: str
    sha256: str


class InputFiles(_Model):
    """What a worker's machine needs before a step runs: files to download, and small ones (checksums) with their text, by path."""

    files: tuple[RemoteFile, ...]
    texts: dict[str, str]


class WrittenPart(_Model):
    """A part that a step wrote: a file, or a folder with its files.

    Attributes:
        path: relative to the store's local folder.
        root: the folder that has the checksum, relative to the store's local folder.
        files: its files by their path within it; of a single file under the name "".
    """

    path: str
    root: str
    files: dict[str, RemoteFile]


class Transfer(_Model):
    """How the files of one result get to the workers and back. Workers get it as JSON.

    Attributes:
        url: of the store.
        root: the store's local folder on the machine that runs the stage.
        result: folder of the result, relative to `root`.
    """

    url: str
    root: Path
    result: str

    @classmethod
    def of(cls, url: str, result: Path) -> Transfer:
        """Return the transfer for the result in a folder of the store behind a URL."""
        root = Store(url).root
        return cls(url=url, root=root, result=result.relative_to(root).as_posix())

    @property
    def steps(self) -> str:
        """The folder behind the URL of what the result's steps pass on."""
        return f"{_STEPS}/{self.result}"

    def address(self, path: str, sha256: str) -> str:
        """Return where a file is stored: what will be part of the result where its upload would put it, so that it is uploaded once."""
        within = path.removeprefix(f"{self.result}/")
        is_part = within != path and not any(name.startswith(".") for name in within.split("/"))
        return f"{self.result if is_part else self.steps}/{sha256}"


class DriverFiles:
    """The files on the machine that runs the stage. Its methods may be called from several threads.

    Raises:
        InputError: (all methods) the service behind the URL cannot be used.
    """

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._remote = Remote(transfer.url)
        self._root = transfer.root.resolve()
        self._uploaded: set[str] = set()
        self._manifests: dict[Path, Mapping[str, str]] = {}
        self._digests: dict[Path, str] = {}
        self._lock = threading.Lock()

    def publish(self, paths: Sequence[Path]) -> InputFiles:
        """Upload those files at the paths (files or folders) that are not behind the URL yet, and return all of them."""
        files, texts = [], {}
        with _as_input_errors():
            for path in paths:
                checksum = _checksum_file(path, self._transfer.root)
                if checksum:
                    texts[self._relative(checksum)] = checksum.read_text(encoding="utf-8")
                files += [self._publish_file(file) for file in _files(path)]
        return InputFiles(files=tuple(files), texts=texts)

    def receive(self, parts: Sequence[WrittenPart]) -> None:
        """Download the parts that a step wrote, and commit them as if the step had run here."""
        with _as_input_errors():
            for part in parts:
                checked = CheckedPath(self._transfer.root / part.path, self._transfer.root / part.root)
                with checked.write() as temporary:
                    for name, file in part.files.items():
                        self._remote.download_file(file.address, temporary / name if name else temporary, file.sha256)
                self._uploaded.update(file.address for file in part.files.values())

    def clear(self) -> None:
        """Remove from the URL what the steps passed on."""
        with _as_input_errors():
            self._remote.remove_folder(self._transfer.steps)

    def _publish_file(self, file: Path) -> RemoteFile:
        path, sha256 = self._relative(file), self._digest(file)
        stored = self._in_result(file.resolve())
        address = f"{stored[0]}/{sha256}" if stored else self._transfer.address(path, sha256)
        if address not in self._uploaded:
            self._remote.upload_file(file, address)
            self._uploaded.add(address)
        return RemoteFile(path=path, address=address, sha256=sha256)

    def _relative(self, path: Path) -> str:
        root = self._transfer.root
        return (path.relative_to(root) if path.is_relative_to(root) else Path(_OUTSIDE, *path.absolute().parts[1:])).as_posix()

    def _digest(self, file: Path) -> str:
        """Return a file's digest: that of its result's manifest, or that of its bytes."""
        file = file.resolve()
        if stored := self._in_result(file):
            return stored[1]
        with self._lock:
            if file not in self._digests:
                self._digests[file] = file_digest(file)
            return self._digests[file]

    def _in_result(self, file: Path) -> tuple[str, str] | None:
        """Return the folder of the complete result that a file belongs to, relative to the store's, and the file's digest; None: of no result."""
        if not file.is_relative_to(self._root):
            return None
        stage, key, *names = *file.relative_to(self._root).parts[:3], "", ""
        if not names[0]:
            return None
        folder = self._root / stage / key
        with self._lock:
            if folder not in self._manifests:
                manifest = Manifest.read(folder)
                self._manifests[folder] = {listed.name: listed.sha256 for listed in manifest.files} if manifest else {}
        digest = self._manifests[folder].get(file.relative_to(folder).as_posix())
        return (f"{stage}/{key}", digest) if digest else None


class WorkerFiles:
    """The files on a worker's machine, in a folder that all workers of the machine share (`worker_folder`).

    Raises:
        InputError: (all methods) the service behind the URL cannot be used.
    """

    def __init__(self, transfer: Transfer, folder: Path) -> None:
        self._transfer, self.folder = transfer, folder
        with _as_input_errors():
            self._remote = Remote(transfer.url)
        self._present: set[RemoteFile] = set()
        self.folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(self.folder.parent)

    def fetch(self, inputs: InputFiles) -> None:
        """Download the files that are not here."""
        os.utime(self.folder)  # in use
        with _as_input_errors():
            for file in inputs.files:
                if file not in self._present:
                    self._fetch_file(file)
                    self._present.add(file)
        for path, text in inputs.texts.items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            atomic_write_text(target, text)

    def upload(self, written: Sequence[CheckedPath]) -> list[WrittenPart]:
        """Upload the parts that a step wrote, except those that it removed again, and return them."""
        parts = {part.path: part for part in written if part.checksum.exists() and part.path.exists()}
        with _as_input_errors():
            return [self._upload_part(part) for part in parts.values()]

    def localized(self, value: Any) -> Any:
        """Return a job (JSON) with the paths that it has on this machine."""
        if isinstance(value, dict):
            return {name: self.localized(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self.localized(item) for item in value]
        return self._localized_path(value) if isinstance(value, str) and value.startswith("/") else value

    def _localized_path(self, path: str) -> str:
        if Path(path).is_relative_to(self._transfer.root):
            return str(self.folder / Path(path).relative_to(self._transfer.root))
        copy = self.folder / _OUTSIDE / path[1:]
        return str(copy) if copy.exists() else path

    def _fetch_file(self, file: RemoteFile) -> None:
        target = self.folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with locks.locked(self._lock_file(file.sha256)):  # the workers of a machine download each file once
            if not (target.is_file() and file_digest(target) == file.sha256):
                self._remote.download_file(file.address, target, file.sha256)

    def _lock_file(self, name: str) -> Path:
        folder = self.folder / ".locks"
        folder.mkdir(exist_ok=True)
        return folder / name

    def _upload_part(self, part: CheckedPath) -> WrittenPart:
        path, files = part.path.relative_to(self.folder).as_posix(), {}
        for name, (_, sha256) in part.entries().items():
            address = self._transfer.address(path, sha256)
            self._remote.upload_file(part.path / name if name else part.path, address)
            files[name] = RemoteFile(path=f"{path}/{name}" if name else path, address=address, sha256=sha256)
        self._present.update(files.values())
        return WrittenPart(path=path, root=part.root.relative_to(self.folder).as_posix(), files=files)


def worker_folder(transfer: Transfer) -> Path:
    """Return the folder for a result's files on a worker's machine, in that machine's cache."""
    return cache_folder().absolute() / "steps" / transfer.result.replace("/", "-")


def _remove_abandoned(folder: Path) -> None:
    """Remove the folders of workers that no job has used for days."""
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another worker removes it
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                discard(path)


def _files(path: Path) -> list[Path]:
    """Return a file, or the files of a folder; none if there is neither."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.is_file() else []


def _checksum_file(path: Path, root: Path) -> Path | None:
    """Return the file with the checksum of a part below `root`; None if the path is not a part."""
    folders = [folder for folder in path.parents if folder.is_relative_to(root)]
    candidates = (folder / SCRATCH / "checksums" / f"{path.relative_to(folder).as_posix()}.json" for folder in folders)
    return next((file for file in candidates if file.is_file()), None)


@contextlib.contextmanager
def _as_input_errors() -> Iterator[None]:
    """Raise the store's errors as the errors of a stage."""
    try:
        yield
    except StoreError as error:
        problem, _, remedy = str(error).partition("\n  → ")
        raise InputError(problem, remedy) from error
