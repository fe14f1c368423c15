"""Text that outlives the run: what was read of a source lies under a name made of all that it depends on, so that no run fetches it again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlctl import config
from mlctl.config import Download, Languages, Source, key_settings
from mlctl.core.arrow import batches
from mlctl.core.files import discard
from mlctl.core.hashing import file_digest
from mlctl.core.workspace import Workspace
from mlctl.corpora.corpus import Corpus, Row, wanted_targets
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.mtdata import mtdata_addresses
from mlctl.corpora.sources.opus import opus_addresses
from mlctl.corpora.sources.pip_download import named_package
from mlctl.corpora.sources.url import url_addresses

log = logging.getLogger(__name__)

_RECORD = "record.json"
_COMMIT = re.compile(r"[0-9a-f]{40}")

#: Holds other processes off while an entry is made, by its name.
Guard = Callable[[str], AbstractContextManager[None]]
Identity = dict[str, Any]


@dataclass(frozen=True)
class CachedCorpus:
    """A corpus as it was read before; see `Corpus`. `parts` has (file, sha256) by target language."""

    name: str
    kind: str
    version: str
    licence: str
    address: str
    targets: tuple[str, ...]
    digest: str
    times: Mapping[str, str]
    parts: Mapping[str, tuple[str, str]]
    folder: Path

    def sha256(self) -> str:
        """Return the digest of what was read."""
        return self.digest

    def retrieved(self) -> Mapping[str, str]:
        """Return when it was fetched, by address."""
        return self.times

    def rows(self, target: str) -> Iterator[Row]:
        """Yield the text of one target language as it was read."""
        for batch in batches(self.part(target), ["source", "target", "origin"]):
            yield from (Row(row["source"], row["target"], row["origin"]) for row in batch.to_pylist())

    def part(self, target: str) -> Path:
        """Return the Parquet file of one target language (schema PAIR)."""
        return self.folder / self.parts[target][0]

    def copy(self, target: str, path: Path) -> None:
        """Put the file of one target language at `path`, without taking room twice where the file system can."""
        try:
            os.link(self.part(target), path)
        except OSError:
            shutil.copyfile(self.part(target), path)

    def whole(self) -> bool:
        """Tell whether every part is as it was written."""
        return all(
            (self.folder / name).is_file() and file_digest(self.folder / name) == digest for name, digest in self.parts.values()
        )


class CorpusCache:
    """Corpora read before, in one folder that runs share.

    Args:
        root: where they lie.
        revision: of the code that reads: what another revision read is not found.
        guard: see `Guard`; None where one process works alone.
    """

    def __init__(self, root: Path, revision: int, guard: Guard | None = None) -> None:
        self._place, self._revision = Workspace(root), revision
        self._guard = guard or contextlib.nullcontext

    def find(self, identity: Identity | None) -> list[CachedCorpus]:
        """Return the corpora of a source; none where it was not read before, or what was kept is damaged."""
        if identity is None:
            return []
        name = self._name(identity)
        with self._guard(name):
            found = self._read(self._place.path(name)) if self._place.has(name) else []
            if found:
                os.utime(self._place.path(name))  # who tidies up goes by that
        return found

    def keep(self, identity: Identity | None, corpora: Sequence[tuple[Corpus, Mapping[str, Path]]]) -> None:
        """Keep the corpora of a source, each with its finished files by target language."""
        if identity is None or self._place.has(name := self._name(identity)):
            return
        with self._guard(name):
            if not self._place.has(name):
                with self._place.part(name) as folder:
                    folder.mkdir()
                    records = [_put(corpus, files, number, folder) for number, (corpus, files) in enumerate(corpora)]
                    (folder / _RECORD).write_text(json.dumps(records, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    def _read(self, folder: Path) -> list[CachedCorpus]:
        try:
            records = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
            found = [CachedCorpus(**{**one, "targets": tuple(one["targets"]), "folder": folder}) for one in records]
        except (OSError, ValueError, TypeError, KeyError):
            found = []
        if found and all(one.whole() for one in found):
            return found
        log.warning("%s is damaged: its text is fetched anew", folder)
        discard(folder)
        return []

    def _name(self, identity: Identity) -> str:
        text = json.dumps({**identity, "revision": self._revision}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def identity_of(source: Source, settings: Download, languages: Languages, lock: Lockfile) -> Identity | None:
    """Return what decides about the text of a source that is not on this machine, as far as it is known before it is fetched; None: it is not."""
    told = _told(source, settings, languages, lock)
    if told is None:
        return None
    return {"source": key_settings(source), "languages": key_settings(languages), "index": settings.index_url, "told": told}


def _told(source: Source, settings: Download, languages: Languages, lock: Lockfile) -> list[str] | None:
    """Return digests, versions or commits that pin a source; None where one is missing."""
    if isinstance(source, config.FilesSource):
        return None  # they are here
    if isinstance(source, config.LocalesSource):
        pinned = [package for package in source.packages if exact(package)]
        return pinned if len(pinned) == len(source.packages) else None
    if isinstance(source, config.HuggingfaceSource):
        return [source.revision] if _COMMIT.fullmatch(source.revision) else None
    digests = [lock.pinned(address) for address in _addresses(source, settings, languages, lock)]
    if isinstance(source, config.UrlSource) and source.sha256:
        digests = [source.sha256]
    return digests if digests and all(digests) else None


def exact(package: str) -> bool:
    """Tell whether a requirement names one version."""
    return any(one.operator in ("==", "===") and "*" not in one.version for one in named_package(package).specifier)


def _addresses(source: Source, settings: Download, languages: Languages, lock: Lockfile) -> list[str]:
    if isinstance(source, config.UrlSource):
        return url_addresses(source, languages)
    if isinstance(source, config.MtdataSource):
        return mtdata_addresses(source, languages)
    if isinstance(source, config.OpusSource):
        found = opus_addresses(source, languages, settings, lock)
        return found if len(found) == len(wanted_targets(source.targets, languages)) else []
    return []


def _put(corpus: Corpus, files: Mapping[str, Path], number: int, folder: Path) -> dict[str, Any]:
    names = {target: f"{number}.{target}.parquet" for target in files}
    for target, file in files.items():
        try:
            os.link(file, folder / names[target])
        except OSError:
            shutil.copyfile(file, folder / names[target])
    parts = {target: (name, file_digest(folder / name)) for target, name in names.items()}
    said = (corpus.name, corpus.kind, corpus.version, corpus.licence, corpus.address, corpus.targets)
    shelved = CachedCorpus(*said, corpus.sha256(), dict(corpus.retrieved()), parts, folder)
    return {name: value for name, value in asdict(shelved).items() if name != "folder"}
