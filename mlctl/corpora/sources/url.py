"""Source kind `url`: a file or a member of an archive on the web."""

from __future__ import annotations

from collections.abc import Iterator

from mlctl.config import FilesSource, UrlSource
from mlctl.corpora.corpus import select_targets
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.files import FORMATS_WITHOUT_LANGUAGE, FilesCorpus, file_languages
from mlctl.corpora.sources.source_kind import FetchContext
from mlctl.corpora.sources.source_state import Inspection, SourceState
from mlctl.corpora.sources.web import WebCorpus, WebSourceKind, WebText, fetch_texts, locked_state, slug
from mlctl.errors import InputError

_SUFFIXES = {"tsv": ".tsv", "jsonl": ".jsonl", "parquet": ".parquet", "tmx": ".tmx", "xliff": ".xlf", "po": ".po"}


class UrlKind(WebSourceKind[UrlSource]):
    """Text at the URLs of the recipe: fetched, unpacked, and read as kind `files` reads it."""

    @property
    def name(self) -> str:
        """Name of the corpus in the recipe."""
        return self.source.name

    def addresses(self, lock: Lockfile) -> list[str]:
        """Return the first URL of every file. Raises InputError if one file would be read for several target languages."""
        del lock
        return list(dict.fromkeys(text.urls[0] for text in self._texts()))

    def pins(self, lock: Lockfile) -> list[str] | None:
        """Return the digests in the recipe or in the lockfile; None if one is missing."""
        return [self.source.sha256] if self.source.sha256 else super().pins(lock)

    def inspect(self, inspection: Inspection) -> SourceState:
        """Return what the servers report about the URLs; a file with a digest in the recipe cannot change."""
        if not self.source.sha256:
            return super().inspect(inspection)
        state = locked_state(self.addresses(inspection.lock), inspection.lock)
        state.sources.append(self.source)
        return state

    def open(self, context: FetchContext) -> Iterator[WebCorpus]:
        """Fetch and unpack the files, and yield them as one corpus."""
        source = self.source
        fetched, folder = fetch_texts(self._texts(), context, source.name, source.sha256)
        files = FilesSource(
            name=source.name,
            path=str(folder / self._file_pattern()),
            format=source.format,
            columns=source.columns,
            scores=source.scores,
            side=source.side,
            targets=source.targets,
            version=source.version,
            licence=source.licence,
        )
        yield WebCorpus("url", FilesCorpus(files, self.languages), fetched)

    def _texts(self) -> list[WebText]:
        return [text for target in self._targets() for text in self._texts_of(target)]

    def _targets(self) -> tuple[str, ...]:
        source = self.source
        targets = select_targets(source.targets, self.languages)
        one_file = "{" not in "".join((*source.urls, source.member, *source.columns[1:]))
        if len(targets) > 1 and source.format in FORMATS_WITHOUT_LANGUAGE and one_file:
            problem = f"{source.name}: its URL names one file for {', '.join(targets)}"
            raise InputError(problem, "write {target} in urls or member, or set the source's targets")
        return targets

    def _texts_of(self, target: str) -> Iterator[WebText]:
        source, language, pattern = self.source, self.languages.source, self._file_pattern()
        codes = {tag: source.codes.get(tag, tag) for tag in (language, target)}
        for side in file_languages(source.format, language, target, source.side):
            urls = tuple(_fill(url, codes[side], codes[target]) for url in source.urls)
            yield WebText(urls, _fill(source.member, codes[side], codes[target]), _fill(pattern, side, target))

    def _file_pattern(self) -> str:
        """Return the name of unpacked files, with the placeholders that URLs and member contain."""
        source = self.source
        text = "".join((*source.urls, source.member))
        suffix = ".mo" if (source.member or source.urls[0]).endswith(".mo") else _SUFFIXES.get(source.format, "")
        target, language = ("-{target}" if "{target}" in text else ""), (".{language}" if "{language}" in text else "")
        return f"{slug(source.name)}{target}{language}{suffix}"


def _fill(pattern: str, language: str, target: str) -> str:
    return pattern.replace("{language}", language).replace("{target}", target)
