"""Content-addressed cache of parsed corpora, shared by runs: an entry's name is the digest of all that determines its text."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlctl.config import Source, key_settings
from mlctl.core.files import discard
from mlctl.core.hashing import file_digest
from mlctl.core.workspace import Workspace
from mlctl.corpora.corpus import Corpus, Row
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.source_kind import SourceKind

log = logging.getLogger(__name__)

_RECORD = "record.json"

#: Returns a lock that keeps other processes from writing an entry, by the entry's name.
EntryLock = Callable[[str], AbstractContextManager[None]]
CacheIdentity = dict[str, Any]


@dataclass(frozen=True)
class CachedCorpus:
    """A corpus that an earlier run parsed; see `Corpus`. `parts` has (file name, sha256) by target language."""

    name: str
    kind: str
    version: str
    licence: str
    address: str
    targets: tuple[str, ...]
    digest: str
    retrieval_times: Mapping[str, str]
    parts: Mapping[str, tuple[str, str]]
    folder: Path

    def sha256(self) -> str:
        """Return the digest of the data that was read."""
        return self.digest

    def retrieved(self) -> Mapping[str, str]:
        """Return the time of retrieval by address."""
        return self.retrieval_times

    def rows(self, target: str) -> Iterator[Row]:
        """Yield the rows of one target language in their original order."""
        from mlctl.core.arrow import batches

        for batch in batches(self.part(target), ["source", "target", "origin"]):
            yield from (Row(row["source"], row["target"], row["origin"]) for row in batch.to_pylist())

    def part(self, target: str) -> Path:
        """Return the Parquet file of one target language (schema PAIR)."""
        return self.folder / self.parts[target][0]

    def copy(self, target: str, path: Path) -> None:
        """Create the file of one target language at `path`: a hard link if the file system supports it, else a copy."""
        _link_or_copy(self.part(target), path)

    def is_intact(self) -> bool:
        """Return whether the files of all target languages have the digests with which they were stored."""
        files = ((self.folder / name, digest) for name, digest in self.parts.values())
        return all(path.is_file() and file_digest(path) == digest for path, digest in files)


class CorpusCache:
    """Cache of parsed corpora in one folder.

    Args:
        root: the folder.
        revision: revision of the parsing code; entries of another revision are ignored.
        entry_lock: see `EntryLock`; None if one process uses the cache.
    """

    def __init__(self, root: Path, revision: int, entry_lock: EntryLock | None = None) -> None:
        self._entries, self._revision = Workspace(root), revision
        self._lock = entry_lock or contextlib.nullcontext

    def get(self, identity: CacheIdentity | None) -> list[CachedCorpus]:
        """Return the corpora of a source; empty if they are not cached, or the entry is damaged."""
        if identity is None:
            return []
        name = self._entry_name(identity)
        with self._lock(name):
            corpora = self._read(self._entries.path(name)) if self._entries.has(name) else []
            if corpora:
                os.utime(self._entries.path(name))  # gc removes the entries that were not used for longest
        return corpora

    def put(self, identity: CacheIdentity | None, corpora: Sequence[tuple[Corpus, Mapping[str, Path]]]) -> None:
        """Store the corpora of a source, each with its finished files by target language."""
        if identity is None or self._entries.has(name := self._entry_name(identity)):
            return
        with self._lock(name):
            if not self._entries.has(name):
                with self._entries.part(name) as folder:
                    folder.mkdir()
                    records = [_store(corpus, files, number, folder) for number, (corpus, files) in enumerate(corpora)]
                    (folder / _RECORD).write_text(json.dumps(records, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    def _read(self, folder: Path) -> list[CachedCorpus]:
        try:
            records = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
            corpora = [CachedCorpus(**{**record, "targets": tuple(record["targets"]), "folder": folder}) for record in records]
        except (OSError, ValueError, TypeError, KeyError):
            corpora = []
        if corpora and all(corpus.is_intact() for corpus in corpora):
            return corpora
        log.warning("%s is damaged: its text is fetched again", folder)
        discard(folder)
        return []

    def _entry_name(self, identity: CacheIdentity) -> str:
        text = json.dumps({**identity, "revision": self._revision}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def cache_identity(kind: SourceKind[Source], lock: Lockfile) -> CacheIdentity | None:
    """Return everything that determines the text of a source, as known before fetching; None: not enough, or text on disk."""
    pins = kind.pins(lock)
    if pins is None:
        return None
    return {
        "source": key_settings(kind.source),
        "languages": key_settings(kind.languages),
        "index": kind.settings.index_url,
        "pins": pins,
    }


def _store(corpus: Corpus, files: Mapping[str, Path], number: int, folder: Path) -> dict[str, Any]:
    """Put a corpus's files into an entry's folder, and return its record."""
    names = {target: f"{number}.{target}.parquet" for target in files}
    for target, file in files.items():
        _link_or_copy(file, folder / names[target])
    cached = CachedCorpus(
        name=corpus.name,
        kind=corpus.kind,
        version=corpus.version,
        licence=corpus.licence,
        address=corpus.address,
        targets=corpus.targets,
        digest=corpus.sha256(),
        retrieval_times=dict(corpus.retrieved()),
        parts={target: (name, file_digest(folder / name)) for target, name in names.items()},
        folder=folder,
    )
    return {name: value for name, value in asdict(cached).items() if name != "folder"}


def _link_or_copy(file: Path, path: Path) -> None:
    try:
        os.link(file, path)
    except OSError:
        shutil.copyfile(file, path)
