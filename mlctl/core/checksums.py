"""Checksum files: size and SHA-256 of a finished file, or of each file of a finished folder, below a hidden folder.

The checksum file is written before the finished one is renamed into place, so that whatever has a name and fits its checksum is
complete. A power cut, a full disk or a failing disk leaves something that does not fit, which is made again.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlctl.core.files import commit, discard, fsync, prepare_temporary
from mlctl.core.hashing import file_digest

_log = logging.getLogger(__name__)

#: The folder with what survives a crash and is removed when a result is complete.
SCRATCH = ".scratch"
_MISSING = "it is missing"

#: Size and SHA-256 by path within the folder; of a single file under the name "".
_Entries = dict[str, tuple[int, str]]

# What this process has verified, by path: sizes, times and inodes at that moment.
_Status = list[tuple[int, int, int, int]]
_verified: dict[Path, _Status] = {}
_warned: set[Path] = set()

_recorders: list[list[CheckedPath]] = []


@dataclass(frozen=True)
class CheckedPath:
    """A file or folder that is written whole, with a checksum; `root` is the folder that has the checksums in `.scratch`."""

    path: Path
    root: Path

    @classmethod
    def at(cls, path: Path) -> CheckedPath:
        """Return the file or folder at a path, with its checksum in the same folder."""
        return cls(path, path.parent)

    @property
    def checksum(self) -> Path:
        """The path of the checksum file."""
        name = self.path.relative_to(self.root).as_posix()
        return self.root / SCRATCH / "checksums" / f"{name}.json"

    @contextlib.contextmanager
    def write(self) -> Iterator[Path]:
        """Yield the temporary path to write at; the content appears, with its checksum, when the block ends without error."""
        temporary = prepare_temporary(self.path)
        yield temporary
        self.commit(temporary)

    def commit(self, content: Path) -> None:
        """Write the checksum of a finished file or folder, then rename it into place, both durably."""
        _warned.discard(self.path)
        self.checksum.parent.mkdir(parents=True, exist_ok=True)
        discard(self.checksum)  # whatever is there: a damaged one may be a folder
        with self.checksum.open("w", encoding="utf-8") as file:
            file.write(json.dumps(_entries(content), indent=1, sort_keys=True) + "\n")
        fsync(self.checksum)
        fsync(self.checksum.parent)
        commit(content, self.path)
        for recorder in _recorders:
            recorder.append(self)

    def finish(self) -> None:
        """Write the checksum of a file that was written in place, so that others could read it meanwhile."""
        self.commit(self.path)

    def is_finished(self) -> bool:
        """Return whether it was finished and is unchanged. If it is not, it is removed with a warning, to be made again."""
        problem = self.find_problem()
        if not problem:
            return True
        if problem != _MISSING or self.checksum.exists():
            self._warn(problem)
        with contextlib.suppress(OSError):  # a read-only volume
            discard(self.path)
        return False

    def is_lost(self) -> bool:
        """Return whether it was finished once, and is damaged or missing now."""
        problem = self.find_problem() if self.checksum.exists() else ""
        if problem:
            self._warn(problem)
        return bool(problem)

    def find_problem(self) -> str:
        """Return what is wrong with it; empty: nothing."""
        try:
            status = self._status()
            if _verified.get(self.path) == status:
                return ""
            problem = _compare(self._read(), self.path)
        except FileNotFoundError:
            return _MISSING
        except (OSError, ValueError, TypeError, AttributeError) as error:
            return f"it cannot be verified: {error}"
        if not problem:
            _verified[self.path] = status
        return problem

    def entries(self) -> _Entries:
        """Return size and SHA-256 of its files as written, by their path within it (of a single file under the name "").

        Raises:
            OSError, ValueError, TypeError, AttributeError: its checksum file is missing or cannot be read.
        """
        return self._read()

    def remove(self) -> None:
        """Remove it on purpose, with its checksum file: it does not count as lost."""
        discard(self.path)
        discard(self.checksum)

    def _warn(self, problem: str) -> None:
        if self.path not in _warned:
            _warned.add(self.path)
            _log.warning("%s is damaged (%s): it is made again", self.path, problem)

    def _read(self) -> _Entries:
        try:
            return _parse(self.checksum.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ValueError("it has no checksum") from None

    def _status(self) -> _Status:
        """Return size, times and inode of all files and of the checksum file; no program can set the time of the last change (ctime)."""
        files = [file for _, file in sorted(_files(self.path).items())]
        statuses = [file.stat() for file in (*files, *([self.checksum] if self.checksum.exists() else []))]
        return [(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino) for status in statuses]


@contextlib.contextmanager
def recorded_commits() -> Iterator[list[CheckedPath]]:
    """Yield a list that receives whatever this process commits inside the block."""
    recorder: list[CheckedPath] = []
    _recorders.append(recorder)
    try:
        yield recorder
    finally:
        _recorders[:] = [other for other in _recorders if other is not recorder]


def finished_files(root: Path) -> _Entries:
    """Return size and SHA-256 of every file that was finished below `root`, by its path within it.

    Raises:
        OSError, ValueError, TypeError, AttributeError: a checksum file cannot be read.
    """
    found, checksums = {}, root / SCRATCH / "checksums"
    for file in sorted(path for path in checksums.rglob("*.json") if path.is_file()):
        part = file.relative_to(checksums).as_posix().removesuffix(".json")
        for name, entry in _parse(file.read_text(encoding="utf-8")).items():
            found[f"{part}/{name}" if name else part] = entry
    return found


def _parse(text: str) -> _Entries:
    return {name: (int(size), str(digest)) for name, (size, digest) in json.loads(text).items()}


def _compare(expected: _Entries, path: Path) -> str:
    """Return how the files at a path differ from their checksums; empty: not at all. Digests are computed of files of the right size."""
    files = _files(path)
    if links := [file for file in (path, *files.values()) if file.is_symlink()]:
        return f"{links[0].name} is a link now"
    for name in sorted(expected.keys() | files.keys()):
        prefix = f"{name}: " if name else ""
        if name not in files:
            return f"{prefix}{'a folder is in its place' if path.is_dir() and not name else _MISSING}"
        if name not in expected:
            return f"{prefix}it has no checksum"
        size, digest = expected[name]
        if (found := files[name].stat().st_size) != size:
            return f"{prefix}{found:,} bytes, written with {size:,}"
        if file_digest(files[name]) != digest:
            return f"{prefix}its bytes have changed"
    return ""


def _entries(content: Path) -> _Entries:
    return {name: (file.stat().st_size, file_digest(file)) for name, file in _files(content).items()}


def _files(path: Path) -> dict[str, Path]:
    """Return the files of a folder by their path within it, or a single file under the name ""."""
    if not path.is_dir():
        return {"": path}
    return {file.relative_to(path).as_posix(): file for file in path.rglob("*") if not file.is_dir()}
