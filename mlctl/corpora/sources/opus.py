"""Source kind `opus`: releases of OPUS, by its published file layout; its API resolves `latest`."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

from mlctl.config import FileFormat, FilesSource, OpusSource
from mlctl.core.files import discard
from mlctl.core.url_redaction import spell_out_query
from mlctl.corpora.corpus import select_targets
from mlctl.corpora.licences import UNKNOWN
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.files import FilesCorpus, file_languages
from mlctl.corpora.sources.licence_notes import licence_in_archive
from mlctl.corpora.sources.opus_codes import opus_codes
from mlctl.corpora.sources.source_kind import FetchContext
from mlctl.corpora.sources.source_state import Inspection, SourceState
from mlctl.corpora.sources.web import WebCorpus, WebSourceKind, WebText, fetch_texts, file_name, locked_state, slug
from mlctl.corpora.transfer import DownloadRequest, Fetched, MissingFileError
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
        """Name of the entry in the lockfile for what the files of a corpus and language pair were resolved to."""
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
        for release in self._newest_releases(inspection, state) or [self.source]:
            urls = OpusKind(release, self.settings, self.languages).addresses(inspection.lock)
            state.sources.append(release)
            state.merge(locked_state(urls, inspection.lock))
        return state

    def open(self, context: FetchContext) -> Iterator[WebCorpus]:
        """Resolve the releases, fetch and unpack their files, and yield a corpus for each release."""
        files = {target: file for target in self._targets if (file := self._resolved_file(target, context))}
        if not files:
            raise self._no_such_text(", ".join(self._targets) or "any language of the recipe")
        by_version: dict[str, dict[str, OpusFile]] = defaultdict(dict)
        for target, file in files.items():
            by_version[file.version][target] = file
        corpora = [self._open_release(version, release, context) for version, release in by_version.items()]
        context.lock.record({}, self._lock_entries(by_version))
        yield from corpora

    @property
    def _targets(self) -> tuple[str, ...]:
        return select_targets(self.source.targets, self.languages)

    @property
    def _format(self) -> FileFormat:
        return _LAYOUTS[self.source.format][1]

    def _candidates(self, target: str) -> list[OpusFile]:
        """Return the files that may have the text of a target language: one for each of OPUS's codes, the usual ones first."""
        tags: tuple[str, ...] = (self.languages.source, target)
        if self.source.format == "mono":
            tags = (self.languages.source if self.source.side == "source" else target,)
        version = "" if self.source.version == _LATEST else self.source.version
        return [
            OpusFile(self.source.corpus, version, codes, self.source.format, self.settings.opus_files)
            for codes in itertools.product(*map(self._codes, tags))
        ]

    def _codes(self, tag: str) -> tuple[str, ...]:
        return (self.source.codes[tag],) if tag in self.source.codes else opus_codes(tag)

    def _lock_key(self, target: str) -> str:
        """Return the name of the entry in the lockfile: of the usual codes, and of the release unless it is `latest`."""
        usual = self._candidates(target)[0]
        return f"{usual.lock_key} {usual.version}".rstrip()

    def _lock_entries(self, by_version: dict[str, dict[str, OpusFile]]) -> dict[str, str]:
        """Return what the files of the targets were resolved to, by entry of the lockfile."""
        files = {target: file for release in by_version.values() for target, file in release.items()}
        entries = {self._lock_key(target): self._lock_value(target, file) for target, file in files.items()}
        return {key: value for key, value in entries.items() if value}

    def _lock_value(self, target: str, file: OpusFile) -> str:
        """Return the release that `latest` was resolved to, and the name of the file if its codes are not the usual ones."""
        version = file.version if self.source.version == _LATEST else ""
        return f"{version} {'' if file.name == self._candidates(target)[0].name else file.name}".strip()

    def _file_of(self, target: str, value: str) -> OpusFile | None:
        """Return the file of an entry of the lockfile (see `_lock_value`); None: its release or codes are unknown."""
        candidates = self._candidates(target)
        version, _, name = value.partition(" ") if self.source.version == _LATEST else (self.source.version, "", value)
        by_name = {file.name: file for file in reversed(candidates)}
        file = by_name.get(name or candidates[0].name)
        return replace(file, version=version) if file and version else None

    def _known_files(self, lock: Lockfile) -> list[OpusFile]:
        files = (self._file_of(target, lock.recorded_version(self._lock_key(target))) for target in self._targets)
        return [file for file in files if file]

    def _resolved_file(self, target: str, context: FetchContext) -> OpusFile | None:
        """Return the file in the release of the recipe, else of the lockfile, else in the newest; None: OPUS has no such text."""
        if file := self._file_of(target, context.lock.pinned_version(self._lock_key(target))):
            return file
        file = _newest_file(self._candidates(target), self.settings.opus_api, context)
        if not file and self.source.targets:
            raise self._no_such_text(target)
        if not file:
            log.info("%s has no text for %s-%s", self.source.corpus, self.languages.source, target)
        return file

    def _newest_releases(self, inspection: Inspection, state: SourceState) -> list[OpusSource]:
        """Return the source once for each of the newest releases, and add to `state` what `latest` was resolved to."""
        targets = self.source.targets or self.languages.targets
        if self.source.version != _LATEST:
            return [self.source.model_copy(update={"targets": tuple(targets)})] if targets else []
        releases: dict[tuple[str, str], dict[str, OpusFile]] = defaultdict(dict)
        with TemporaryDirectory() as folder:
            context = FetchContext.from_settings(self.settings, inspection.lock, Path(folder))
            for target in targets:
                name = f"{self.source.corpus}, {target}"

                def request(target: str = target) -> str:
                    file = _newest_file(self._candidates(target), self.settings.opus_api, context)
                    return self._lock_value(target, file) if file else ""

                value = inspection.query(name, request, inspection.known_content(name), state.unreachable)
                if file := self._file_of(target, value):
                    state.states[name] = (value, "")
                    source_code = file.languages[0] if len(file.languages) == 2 else ""
                    releases[file.version, source_code][target] = file
        return [self._release(version, files) for (version, _), files in releases.items()]

    def _release(self, version: str, files: dict[str, OpusFile]) -> OpusSource:
        """Return the source with a release and, where they are not the usual ones, the codes of its files."""
        codes: dict[str, str] = {}
        for target, file in files.items():
            tags = (self.languages.source, target) if self.source.side == "source" else (target,)
            codes |= {tag: code for tag, code in zip(tags, file.languages, strict=False) if code != self._codes(tag)[0]}
        update = {"version": version, "targets": tuple(files), "codes": {**self.source.codes, **codes}}
        return self.source.model_copy(update=update)

    def _open_release(self, version: str, files: dict[str, OpusFile], context: FetchContext) -> WebCorpus:
        fetched, folder = self._fetch(files, context)
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

    def _fetch(self, files: dict[str, OpusFile], context: FetchContext) -> tuple[dict[str, Fetched], Path]:
        """Fetch and unpack the files of a release. If one does not exist, it is replaced in `files` by that of the next code.

        Raises:
            MissingFileError: the release has no text of a target language under any code.
        """
        errors: dict[str, MissingFileError] = {}
        while True:
            try:
                texts = [text for target, file in files.items() for text in self._texts(target, file)]
                return fetch_texts(texts, context, self.source.corpus)
            except MissingFileError as error:
                target = next(target for target, file in files.items() if file.url == error.url)
                errors.setdefault(target, error)
                candidates = self._candidates(target)
                following = [file for previous, file in itertools.pairwise(candidates) if previous.url == error.url]
                if not following:
                    raise errors[target] from None
                files[target] = following[0]

    def _texts(self, target: str, file: OpusFile) -> Iterator[WebText]:
        sides = file_languages(self._format, self.languages.source, target, self.source.side)
        for side, member in zip(sides, file.members, strict=True):
            yield WebText((file.url,), member, self._file_pattern().replace("{target}", target).replace("{language}", side))

    def _file_pattern(self) -> str:
        """Return the name of unpacked files, with placeholders for the languages."""
        return f"{slug(self.source.corpus)}{_LAYOUTS[self.source.format][2]}"

    def _no_such_text(self, targets: str) -> InputError:
        source, language = self.source, self.languages.source
        query = urlencode({"corpus": source.corpus, "source": self._codes(language)[0], "preprocessing": source.format})
        address = spell_out_query(f"{self.settings.opus_api}?{query}")
        remedy = f"{address} lists the releases; correct corpus, format, codes or targets of this source"
        preprocessing = "" if source.format == "moses" else f" as {source.format}"
        return InputError(f"OPUS has no {source.corpus}{preprocessing} for {language} and {targets}", remedy)


def _newest_file(candidates: Sequence[OpusFile], api: str, context: FetchContext) -> OpusFile | None:
    """Return the first of several files of which OPUS has a release, with the newest one; None: it has none.

    Raises:
        InputError: as `_newest_release`. A server that does not know the codes of some file has no release of it.
    """
    errors: list[MissingFileError] = []
    for file in candidates:
        try:
            if version := _newest_release(file, api, context):
                return replace(file, version=version)
        except MissingFileError as error:
            errors.append(error)
    if len(errors) == len(candidates):
        raise errors[0]
    return None


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
        raise InputError(f"{spell_out_query(url)} does not answer as OPUS's API does", "check download.opus_api") from None
    return versions[0] if versions else ""


def _versions(entries: Iterable[dict[str, Any]], corpus: str) -> list[str]:
    versions = [entry["version"] for entry in entries if entry["corpus"] == corpus]
    for version in versions:
        if not isinstance(version, str) or not _VERSION.fullmatch(version):
            raise ValueError(version)  # it becomes part of a URL
    return versions
