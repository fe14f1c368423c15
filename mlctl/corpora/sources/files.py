"""Source kind `files`: text on disk in any format that `mlctl.corpora.readers` reads."""

from __future__ import annotations

import glob
import logging
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from mlctl.config import FilesSource, Languages, Side
from mlctl.core.hashing import file_digest
from mlctl.corpora.archives.file_types import is_archive_name
from mlctl.corpora.corpus import select_targets
from mlctl.corpora.file_info import joint_sha256
from mlctl.corpora.lockfile import Lockfile
from mlctl.corpora.sources.source_kind import FetchContext, SourceKind
from mlctl.corpora.sources.source_state import Inspection, SourceState
from mlctl.corpora.text_files import TextFiles, TextFilesCorpus
from mlctl.errors import InputError
from mlctl.languages import canonical, is_language

log = logging.getLogger(__name__)

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
#: Formats whose files do not state the language of the target side.
FORMATS_WITHOUT_LANGUAGE = ("tsv", "po")


class FilesCorpus(TextFilesCorpus):
    """Files of one format that match the pattern of the recipe.

    Raises:
        InputError: on construction, when the pattern is wrong or a file is missing; while reading, when the text is invalid.
    """

    kind = "files"

    def __init__(self, source: FilesSource, languages: Languages) -> None:
        self._source = source
        self._language = languages.source
        self.name = source.name
        self.version = source.version
        self.licence = source.licence
        self.targets = select_targets(source.targets, languages)
        self._check_pattern()
        self._files = {target: self._resolve(target) for target in self.targets}
        if not self.targets:
            log.info("%s has none of the recipe's target languages: left out", self.name)

    def paths(self) -> list[Path]:
        """Return every file that is read, once, in the order of the target languages."""
        return list(dict.fromkeys(path for files in self._files.values() for path in files))

    @property
    def address(self) -> str:
        """File names, without folders, which differ from machine to machine."""
        return ", ".join(path.name for path in self.paths())

    @cached_property
    def _digests(self) -> list[str]:
        return [file_digest(path) for path in self.paths()]

    def sha256(self) -> str:
        """Return the file's digest; for several files, the digest of their digests, one a line."""
        return joint_sha256(self._digests)

    def retrieved(self) -> Mapping[str, str]:
        """Return nothing: local files are not fetched."""
        return {}

    def texts(self, target: str) -> tuple[TextFiles]:
        """Return the files of one target language."""
        text = TextFiles(
            paths=self._files[target],
            format=self._source.format,
            source=self._language,
            target=target,
            columns=self._source.columns,
            member=self._member(target),
            side=self._source.side,
            scores=self._source.scores,
        )
        return (text,)

    @property
    def _is_one_archive(self) -> bool:
        return is_archive_name(self._source.path) and "{language}" not in self._source.path

    def _member(self, target: str) -> str:
        member = self._source.member.replace("{target}", target)
        if self._source.format == "moses":  # the reader fills in {language} for each side
            return member
        return member.replace("{language}", self._file_languages(target)[-1])

    def _resolve(self, target: str) -> tuple[Path, ...]:
        languages = self._file_languages(target)[-1 if self._is_one_archive else 0 :]
        return tuple(_find(self._source.path, {"target": target, "language": language}, self.name) for language in languages)

    def _file_languages(self, target: str) -> tuple[str, ...]:
        return file_languages(self._source.format, self._language, target, self._source.side)

    def _check_pattern(self) -> None:
        path, placeholders = self._source.path, set(_PLACEHOLDER.findall(self._source.path + self._source.member))
        if unknown := sorted(placeholders - {"language", "target"}):
            raise InputError(
                f"{self.name}: path {path!r} has the unknown placeholder {{{unknown[0]}}}", "use {language} or {target}"
            )
        if self._source.format == "moses" and "{language}" not in path and not self._is_one_archive:
            raise InputError(
                f"{self.name}: path {path!r} names one file for both sides", "write {language} where the side's code is"
            )
        if len(self.targets) > 1 and not placeholders and self._is_same_for_all_targets():
            raise InputError(
                f"{self.name}: path {path!r} names one file for {', '.join(self.targets)}",
                "write {target} in it, or set the source's targets",
            )

    def _is_same_for_all_targets(self) -> bool:
        """Return whether one file would give the same text for every target language."""
        columns = self._source.columns
        if self._source.side == "target":
            return not any(map(_PLACEHOLDER.search, columns))
        if len(columns) == 2:
            return not _PLACEHOLDER.search(columns[1])
        return self._source.format in FORMATS_WITHOUT_LANGUAGE


class FilesKind(SourceKind[FilesSource]):
    """Files on disk."""

    @cached_property
    def _corpus(self) -> FilesCorpus:
        return FilesCorpus(self.source, self.languages)

    @property
    def name(self) -> str:
        """Name of the corpus in the recipe."""
        return self.source.name

    def validate(self) -> None:
        """Check the pattern, and that the files exist."""
        _ = self._corpus

    def local_files(self) -> Mapping[str, Path]:
        """Return the files by number and name: `0/x.en`."""
        return {f"{index}/{path.name}": path for index, path in enumerate(self._corpus.paths())}

    def pins(self, lock: Lockfile) -> None:
        """Return None: text on disk is not cached."""
        del lock

    def inspect(self, inspection: Inspection) -> SourceState:
        """Return the digests of the files."""
        return SourceState([self.source], inspection.file_states(self.source.name, self._corpus.paths()))

    def open(self, context: FetchContext) -> Iterator[FilesCorpus]:
        """Yield the files as one corpus."""
        del context
        yield self._corpus


def file_languages(format: str, source: str, target: str, side: Side) -> tuple[str, ...]:  # noqa: A002 - the name of the setting
    """Return the languages that {language} stands for in file names: those of both sides, or of the one file that is read."""
    if format == "moses":
        return source, target
    return (source if format == "lines" and side == "source" else target,)


def _find(pattern: str, tags: Mapping[str, str], corpus: str) -> Path:
    """Return the file of a pattern for the given tags, else one with another notation of the same languages (`fra` for `fr`)."""
    exact = Path(_PLACEHOLDER.sub(lambda match: tags[match[1]], pattern))
    if exact.is_file():
        return exact
    existing = _matching_files(pattern)
    same = [path for path, codes in existing.items() if all(canonical(code) == tags[name] for name, code in codes)]
    if len(same) > 1:
        log.warning("%s: %s are the same language, reading the first", corpus, ", ".join(path.name for path in same))
    if same:
        return same[0]
    listed = ", ".join(path.name for path in list(existing)[:8])
    start = "" if exact.is_absolute() else f"; relative paths start at {Path.cwd()}"
    remedy = (
        f"correct the path, or set the source's targets; there are {listed}"
        if listed
        else f"correct the path of this source{start}"
    )
    raise InputError(f"{corpus}: no file {exact}", remedy)


def _matching_files(pattern: str) -> dict[Path, list[tuple[str, str]]]:
    """Return the files that match a pattern, each with its (placeholder, code) list; codes may be of any notation."""
    pieces = _PLACEHOLDER.split(pattern)
    literals, names = pieces[::2], pieces[1::2]
    expression = re.compile("([A-Za-z0-9_@-]+)".join(map(re.escape, literals)))
    files = {}
    for path in sorted(glob.glob("*".join(map(glob.escape, literals)))):  # noqa: PTH207 - Path.glob takes no absolute pattern
        match = expression.fullmatch(path)
        if match and Path(path).is_file() and all(map(is_language, match.groups())):
            files[Path(path)] = list(zip(names, match.groups(), strict=True))
    return files
