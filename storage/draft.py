"""Results: complete ones, and drafts that are being built."""

from __future__ import annotations

import fnmatch
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from storage import blocks
from storage.manifest import File, Manifest

#: Marks the folder of a draft: one without this file and without a manifest is a result whose manifest was lost.
UNFINISHED = ".unfinished"


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
        drop_hidden(self.folder)  # only now: after a kill before the manifest, the checkpoints are needed again
        return self.commit(Result(self.folder, manifest))


def has_hidden(folder: Path) -> bool:
    """Return whether a folder has temporary files or folders."""
    return next(folder.rglob(".*"), None) is not None


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def drop_hidden(folder: Path) -> None:
    """Remove temporary files and folders: all names with a leading dot."""
    for path in list(folder.rglob(".*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _describe(folder: Path, volatile: Sequence[str]) -> Iterator[File]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path.relative_to(folder))):
        name, status = path.relative_to(folder).as_posix(), path.stat()
        is_volatile = any(fnmatch.fnmatch(name, pattern) for pattern in volatile)
        digest, checksums = blocks.digests(path)
        yield File(name, status.st_size, digest, status.st_mtime_ns, _row_count(path), is_volatile, checksums)


def _row_count(path: Path) -> int | None:
    if path.suffix != ".parquet":
        return None
    from mlctl.core.arrow import row_count

    return row_count(path)
