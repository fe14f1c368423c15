"""Results: complete ones, and drafts that are being built."""

from __future__ import annotations

import fnmatch
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlctl.core.checksums import finished_files
from mlctl.core.files import discard
from storage import blocks
from storage.errors import StoreError
from storage.manifest import File, Manifest
from storage.verify import find_extra

logger = logging.getLogger(__name__)

#: Marks the folder of a draft: one without this file and without a manifest is a result whose manifest was lost.
UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class Result:
    """A complete stage result: a folder that never changes, and its manifest."""

    folder: Path
    manifest: Manifest


@dataclass
class Draft:
    """A result that is being built: write its parts into `folder` (`mlctl.core.workspace`), then `seal` it."""

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
        """Digest the finished parts, write the manifest, remove temporary files (names with a leading dot), upload to a remote store.

        A file that the stage did not write is not part of the result: a warning names it.

        Args:
            parts: what the key was computed from.
            inputs: key of each upstream result, by stage.
            metrics: figures of the result, as JSON values.
            versions: version of each package that made the result.
            volatile: name patterns of files that differ between equal runs and are excluded from the content digest.

        Raises:
            StoreError: a part was changed or removed after the stage had finished it.
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
        for name in find_extra(self.folder, manifest):
            logger.warning(
                "%s is not a file of the %s stage: it is not part of the result; remove it", self.folder / name, self.stage
            )
        return self.commit(Result(self.folder, manifest))


def has_hidden(folder: Path) -> bool:
    """Return whether a folder has temporary files or folders."""
    return next(folder.rglob(".*"), None) is not None


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def drop_hidden(folder: Path) -> None:
    """Remove temporary files and folders: all names with a leading dot."""
    for path in list(folder.rglob(".*")):
        discard(path)


def _describe(folder: Path, volatile: Sequence[str]) -> Iterator[File]:
    for name, expected in sorted(_finished(folder).items()):
        path = folder / name
        try:
            status, (digest, checksums) = path.stat(), blocks.digests(path)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise _changed(path, "is missing") from None
        if digest != expected or path.is_symlink():
            raise _changed(path, "has changed")
        is_volatile = any(fnmatch.fnmatch(name, pattern) for pattern in volatile)
        yield File(name, status.st_size, digest, status.st_mtime_ns, _row_count(path), is_volatile, checksums)


def _finished(folder: Path) -> dict[str, str]:
    """Return the digest of every finished file of the result; temporary ones are finished parts of the scratch folder."""
    try:
        return {name: digest for name, (_, digest) in finished_files(folder).items() if not _is_hidden(name)}
    except (ValueError, TypeError, AttributeError) as error:
        raise _changed(folder, f"has an unreadable checksum ({error})") from None


def _changed(path: Path, problem: str) -> StoreError:
    return StoreError(f"{path} {problem} since its stage wrote it\n  → run the same command again: that part is made again")


def _row_count(path: Path) -> int | None:
    if path.suffix != ".parquet":
        return None
    from mlctl.core.arrow import row_count

    return row_count(path)
