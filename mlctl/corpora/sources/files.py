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
from mlctl.corpora.corpus import Row, wanted_targets
from mlctl.corpora.file_info import joint_sha256
from mlctl.corpora.readers import open_pairs
from mlctl.errors import InputError
from mlctl.languages import canonical, is_language

log = logging.getLogger(__name__)

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
# Formats whose files do not say which language is on the target side.
SILENT = ("tsv", "po")


class FilesCorpus:
    """Files of one format, found by the pattern of the recipe.

    Raises:
        InputError: on construction, when the pattern or a file is wrong; while reading, when the text is.
    """

    kind = "files"

    def __init__(self, source: FilesSource, languages: Languages) -> None:
        self._source = source
        self._language = languages.source
        self.name = source.name
        self.version = source.version
        self.licence = source.licence
        self.targets = wanted_targets(source.targets, languages)
        self._check_pattern()
        self._files = {target: self._resolve(target) for target in self.targets}
        if not self.targets:
            log.info("%s has none of the recipe's target languages: left out", self.name)

    def paths(self) -> list[Path]:
        """Return every file that is read, once, in the order of the target languages."""
        return list(dict.fromkeys(path for files in self._files.values() for path in files))

    @property
    def address(self) -> str:
        """File names, without folders: they differ from machine to machine."""
        return ", ".join(path.name for path in self.paths())

    @cached_property
    def _digests(self) -> list[str]:
        return [file_digest(path) for path in self.paths()]

    def sha256(self) -> str:
        """Return the file's digest; for several files, the digest of their digests, one a line."""
        return joint_sha256(self._digests)

    def retrieved(self) -> Mapping[str, str]:
        """Return nothing: the files were here."""
        return {}

    def rows(self, target: str) -> Iterator[Row]:
        """Yield the rows of one target language in the order of the file."""
        path, *other = self._files[target]
        return open_pairs(
            (path, other[0]) if other else path,
            self._source.format,
            self._language,
            target,
            columns=self._source.columns,
            member=self._member(target),
            side=self._source.side,
        )

    @property
    def _one_archive(self) -> bool:
        return self._source.path.endswith(".zip") and "{language}" not in self._source.path

    def _member(self, target: str) -> str:
        member = self._source.member.replace("{target}", target)
        if self._source.format == "moses":  # the reader finds both sides
            return member
        return member.replace("{language}", self._sides(target)[-1])

    def _resolve(self, target: str) -> tuple[Path, ...]:
        read = self._sides(target)[-1 if self._one_archive else 0 :]
        return tuple(_find(self._source.path, {"target": target, "language": side}, self.name) for side in read)

    def _sides(self, target: str) -> tuple[str, ...]:
        return sides(self._source.format, self._language, target, self._source.side)

    def _check_pattern(self) -> None:
        path, found = self._source.path, set(_PLACEHOLDER.findall(self._source.path + self._source.member))
        if unknown := sorted(found - {"language", "target"}):
            raise InputError(
                f"{self.name}: path {path!r} has the unknown placeholder {{{unknown[0]}}}", "use {language} or {target}"
            )
        if self._source.format == "moses" and "{language}" not in path and not self._one_archive:
            raise InputError(
                f"{self.name}: path {path!r} names one file for both sides", "write {language} where the side's code is"
            )
        if len(self.targets) > 1 and not found and self._silent():
            raise InputError(
                f"{self.name}: path {path!r} names one file for {', '.join(self.targets)}",
                "write {target} in it, or set the source's targets",
            )

    def _silent(self) -> bool:
        """Tell whether one file would give the same text for every target language."""
        columns = self._source.columns
        if self._source.side == "target":
            return not any(map(_PLACEHOLDER.search, columns))
        return self._source.format in SILENT or (len(columns) == 2 and not _PLACEHOLDER.search(columns[1]))


def sides(form: str, language: str, target: str, side: Side) -> tuple[str, ...]:
    """Return the languages that {language} stands for in file names: of both sides, or the one where one file is read."""
    if form == "moses":
        return language, target
    return (language if form == "lines" and side == "source" else target,)


def _find(pattern: str, tags: Mapping[str, str], corpus: str) -> Path:
    """Return the file of a pattern for the given tags; where there is none, one that writes the same languages differently."""
    exact = Path(_PLACEHOLDER.sub(lambda found: tags[found[1]], pattern))
    if exact.is_file():
        return exact
    there = _matching(pattern)
    same = [path for path, codes in there.items() if all(canonical(code) == tags[name] for name, code in codes)]
    if len(same) > 1:
        log.warning("%s: %s are the same language, reading the first", corpus, ", ".join(path.name for path in same))
    if same:
        return same[0]
    found = ", ".join(path.name for path in list(there)[:8])
    remedy = f"there are {found}; mend the path, or set the source's targets" if found else "mend the path of this source"
    raise InputError(f"{corpus}: no file {exact}", remedy)


def _matching(pattern: str) -> dict[Path, list[tuple[str, str]]]:
    """Return the files that fit a pattern, each with its (placeholder, code) list, codes being of any notation."""
    pieces = _PLACEHOLDER.split(pattern)
    literals, names = pieces[::2], pieces[1::2]
    expression = re.compile("([A-Za-z0-9_@-]+)".join(map(re.escape, literals)))
    found = {}
    for text in sorted(glob.glob("*".join(map(glob.escape, literals)))):  # noqa: PTH207 - Path.glob takes no absolute pattern
        match = expression.fullmatch(text)
        if match and Path(text).is_file() and all(map(is_language, match.groups())):
            found[Path(text)] = list(zip(names, match.groups(), strict=True))
    return found
