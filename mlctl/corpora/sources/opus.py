"""Source kind `opus`: releases of OPUS, by its published file layout; its API resolves `latest`."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

from mlctl.config import FileFormat, FilesSource, OpusSource
from mlctl.core.files import discard
from mlctl.corpora.corpus import select_targets
from mlctl.corpora.licences import UNKNOWN
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.files import FilesCorpus, file_languages
from mlctl.corpora.sources.licence_notes import licence_in_archive
from mlctl.corpora.sources.source_kind import FetchContext
from mlctl.corpora.sources.source_state import Inspection, SourceState
from mlctl.corpora.sources.web import WebCorpus, WebSourceKind, WebText, fetch_texts, file_name, locked_state, slug
from mlctl.corpora.transfer import DownloadRequest
from mlctl.errors import InputError

log = logging.getLogger(__name__)

_LATEST = "latest"
# By OPUS's preprocessing: the suffix of its files, the format of the text, and the names of unpacked files.
_LAYOUTS: dict[str, tuple[str, FileFormat, str]] = {
    "moses": (".txt.zip", "moses", "-{target}.{language}"),
    "tmx": (".tmx.gz", "tmx", "-{target}.tmx"),
    "mono": (".txt.gz", "lines", ".{language}"),
}
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class OpusFile:
    """A file of an OPUS release.

    Attributes:
        corpus: name of the corpus as OPUS writes it.
        version: release; empty: not resolved yet.
        languages: OPUS's codes of the two languages, the recipe's source language first; one code for `mono`.
        preprocessing: moses, tmx or mono.
        server: URL of the file server.
    """

    corpus: str
    version: str
    languages: tuple[str, ...]
    preprocessing: str
    server: str

    @property
    def name(self) -> str:
        """The codes in alphabetical order: `de-en`; `en` for `mono`."""
        return "-".join(sorted(self.languages))

    @property
    def url(self) -> str:
        """URL of the file on the server."""
        suffix, *_ = _LAYOUTS[self.preprocessing]
        return f"{self.server.rstrip('/')}/OPUS-{self.corpus}/{self.version}/{self.preprocessing}/{self.name}{suffix}"

    @property
    def lock_key(self) -> str:
        """Name of the entry in the lockfile that has the release that `latest` was resolved to."""
        preprocessing = "" if self.preprocessing == "moses" else f"{self.preprocessing} "
        return f"opus {self.corpus} {preprocessing}{self.name}"

    @property
    def members(self) -> tuple[str, ...]:
        """Members of a Moses archive, one for each language; "" if the file is a single compressed text."""
        if self.preprocessing != "moses":
            return ("",)
        return tuple(f"{self.corpus}.{self.name}.{code}" for code in self.languages)

    @property
    def api_query(self) -> dict[str, str]:
        """The query for the newest release that has this file."""
        codes = dict(zip(("source", "target"), self.languages, strict=False))
        return {"corpus": self.corpus, **codes, "preprocessing": self.preprocessing, "version": _LATEST}


class OpusKind(WebSourceKind[OpusSource]):
    """A corpus of OPUS: one `Corpus` for each release that has some of the recipe's languages (usually one)."""

    @property
    def name(self) -> str:
        """Name of the corpus as OPUS writes it."""
        return self.source.corpus

    def addresses(self, lock: Lockfile) -> list[str]:
        """Return the URLs as far as releases are known: from the recipe, or from the lockfile for `latest`."""
        return [file.url for file in self._known_files(lock)]

    def pins(self, lock: Lockfile) -> list[str] | None:
        """Return the digests in the lockfile; None if a release or a digest is missing."""
        return super().pins(lock) if len(self._known_files(lock)) == len(self._targets) else None

    def inspect(self, inspection: Inspection) -> SourceState:
        """Return the newest releases, as one source for each release; the content of a release never changes."""
        state = SourceState()
        by_version = self._newest_releases(inspection, state)
        releases = [self.source.model_copy(update={"version": v, "targets": tuple(t)}) for v, t in by_version.items()]
        for release in releases or [self.source]:
            urls = OpusKind(release, self.settings, self.languages).addresses(inspection.lock)
            state.sources.append(release)
            state.merge(locked_state(urls, inspection.lock))
        return state

    def open(self, context: FetchContext) -> Iterator[WebCorpus]:
        """Resolve the releases, fetch and unpack their files, and yield a corpus for each release."""
        files = {target: file for target in self._targets if (file := self._resolved_file(target, context)).version}
        if not files:
            raise self._no_such_text(", ".join(self._targets) or "any language of the recipe")
        by_version: dict[str, list[str]] = defaultdict(list)
        for target, file in files.items():
            by_version[file.version].append(target)
        corpora = [
            self._open_release(version, {t: files[t] for t in targets}, context) for version, targets in by_version.items()
        ]
        if self.source.version == _LATEST:
            context.lock.record({}, {file.lock_key: file.version for file in files.values()})
        yield from corpora

    @property
    def _targets(self) -> tuple[str, ...]:
        return select_targets(self.source.targets, self.languages)

    @property
    def _format(self) -> FileFormat:
        return _LAYOUTS[self.source.format][1]

    def _file(self, target: str, version: str = "") -> OpusFile:
        """Return the file with the text of a target language."""
        tags: tuple[str, ...] = (self.languages.source, target)
        if self.source.format == "mono":
            tags = (self.languages.source if self.source.side == "source" else target,)
        codes = tuple(map(self._code, tags))
        return OpusFile(self.source.corpus, version, codes, self.source.format, self.settings.opus_files)

    def _code(self, tag: str) -> str:
        return self.source.codes.get(tag, tag.replace("-", "_"))

    def _known_files(self, lock: Lockfile) -> list[OpusFile]:
        files = []
        for target in self._targets:
            file = self._file(target)
            version = lock.recorded_version(file.lock_key) if self.source.version == _LATEST else self.source.version
            if version:
                files.append(replace(file, version=version))
        return files

    def _resolved_file(self, target: str, context: FetchContext) -> OpusFile:
        """Return the file in the release of the recipe, else of the lockfile, else in the newest; no version: OPUS has no such text."""
        if self.source.version != _LATEST:
            return self._file(target, self.source.version)
        file = self._file(target)
        version = context.lock.pinned_version(file.lock_key) or _newest_release(file, self.settings.opus_api, context)
        if not version and self.source.targets:
            raise self._no_such_text(target)
        if not version:
            log.info("%s has no text for %s-%s", self.source.corpus, self.languages.source, target)
        return replace(file, version=version)

    def _newest_releases(self, inspection: Inspection, state: SourceState) -> dict[str, list[str]]:
        """Return the targets by release, and add to `state` what `latest` was resolved to."""
        targets = self.source.targets or self.languages.targets
        if self.source.version != _LATEST:
            return {self.source.version: list(targets)} if targets else {}
        by_version: dict[str, list[str]] = defaultdict(list)
        with TemporaryDirectory() as folder:
            context = FetchContext.from_settings(self.settings, inspection.lock, Path(folder))
            for target in targets:
                name, file = f"{self.source.corpus}, {target}", self._file(target)

                def request(file: OpusFile = file) -> str:
                    return _newest_release(file, self.settings.opus_api, context)

                if version := inspection.query(name, request, inspection.known_content(name), state.unreachable):
                    state.states[name] = (version, "")
                    by_version[version].append(target)
        return by_version

    def _open_release(self, version: str, files: dict[str, OpusFile], context: FetchContext) -> WebCorpus:
        texts = [text for target, file in files.items() for text in self._texts(target, file)]
        fetched, folder = fetch_texts(texts, context, self.source.corpus)
        # OPUS puts the same notes into all archives of a release.
        url, first = next(iter(fetched.items()))
        licence = self.source.licence or licence_in_archive(first.path, file_name(url), context.unpack_limits) or UNKNOWN
        source = FilesSource(
            name=self.source.corpus,
            path=str(folder / self._file_pattern()),
            format=self._format,
            targets=tuple(files),
            side=self.source.side,
            version=version,
            licence=licence,
        )
        return WebCorpus("opus", FilesCorpus(source, self.languages), fetched)

    def _texts(self, target: str, file: OpusFile) -> Iterator[WebText]:
        sides = file_languages(self._format, self.languages.source, target, self.source.side)
        for side, member in zip(sides, file.members, strict=True):
            yield WebText((file.url,), member, self._file_pattern().replace("{target}", target).replace("{language}", side))

    def _file_pattern(self) -> str:
        """Return the name of unpacked files, with placeholders for the languages."""
        return f"{slug(self.source.corpus)}{_LAYOUTS[self.source.format][2]}"

    def _no_such_text(self, targets: str) -> InputError:
        source, language = self.source, self.languages.source
        query = urlencode({"corpus": source.corpus, "source": self._code(language), "preprocessing": source.format})
        remedy = f"{self.settings.opus_api}?{query} lists the releases; correct corpus, format, codes or targets of this source"
        preprocessing = "" if source.format == "moses" else f" as {source.format}"
        return InputError(f"OPUS has no {source.corpus}{preprocessing} for {language} and {targets}", remedy)


def _newest_release(file: OpusFile, api: str, context: FetchContext) -> str:
    """Ask OPUS's API for the newest release that has a file; empty: none has.

    Raises:
        InputError: the API cannot be reached, or its answer is not as expected.
    """
    url = f"{api}?{urlencode(file.api_query)}"
    path = context.folder / f"opus-{hashlib.sha256(url.encode()).hexdigest()[:12]}.json"
    context.downloader.fetch_all([DownloadRequest((url,), path)], file.corpus)
    try:
        versions = _versions(json.loads(path.read_text(encoding="utf-8"))["corpora"], file.corpus)
    except (ValueError, KeyError, TypeError):
        discard(path)
        raise InputError(f"{url} does not answer as OPUS's API does", "check download.opus_api") from None
    return versions[0] if versions else ""


def _versions(entries: Iterable[dict[str, Any]], corpus: str) -> list[str]:
    versions = [entry["version"] for entry in entries if entry["corpus"] == corpus]
    for version in versions:
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            raise ValueError(version)  # it becomes part of a URL
    return versions
