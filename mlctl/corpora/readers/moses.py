"""Format `moses`: two files, line n of one is the translation of line n of the other."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlctl.corpora.archives.compression import FileLocation, members
from mlctl.corpora.archives.file_types import is_archive_name
from mlctl.corpora.corpus import Row
from mlctl.corpora.readers.lines import read_lines
from mlctl.corpora.readers.selection import PairSelection, language_of
from mlctl.errors import InputError

PLACEHOLDER = "{language}"
# A code inside a longer name: a language with a script or region, between separators.
_WORDS = frozenset(
    "all bio dev doc med new old par raw ref set src sub ted tok txt web".split()
)  # in names of files; some are codes too
_CODE = re.compile(
    r"(?<![A-Za-z0-9])(?P<language>[a-z]{2,3})(?:[-_][A-Z][a-z]{3})?(?:[-_](?:[A-Z]{2}|\d{3}))?(?![A-Za-z0-9])",
)


def read(sides: tuple[FileLocation, FileLocation]) -> Iterator[Row]:
    """Yield the pairs of two files (source side, target side); an empty line stays an empty side.

    Raises:
        InputError: also when the files differ in their number of lines.
    """
    source, target = sides
    source_lines, target_lines = read_lines(source), read_lines(target)
    for source_line, target_line in itertools.zip_longest(source_lines, target_lines):
        if source_line is None or target_line is None:
            number, _ = source_line or target_line
            longer = number + sum(1 for _ in itertools.chain(source_lines, target_lines))
            counts = (number - 1, longer) if source_line is None else (longer, number - 1)
            raise InputError(
                f"{source} has {counts[0]} lines, {target} has {counts[1]}",
                "line n of one file must be the translation of line n of the other",
            )
        number, text = source_line
        yield Row(text, target_line[1], f"{source.name}:{number}")


def sides_of_archive(path: Path, member: str, selection: PairSelection) -> tuple[FileLocation, FileLocation]:
    """Return the two sides in one zip or tar: `member` with the languages filled in, else the only two files of one text.

    Two files are of one text if their names differ in the codes of their languages alone.

    Raises:
        InputError: the archive has no file for a side, no such two files, or several.
    """
    if not is_archive_name(path.name):
        raise InputError(f"{path} is one file, the format moses has two", "name two files, or a .zip or .tar with both")
    if member and "{language}" not in member:
        raise InputError(f"member {member!r} names one file for both sides", "write {language} where the side's code is")
    names = members(path)
    codes = {name: {member: _code_in(name, member)} if member else dict(_patterns(name)) for name in names}
    by_side = [_files_of_side(codes, tag) for tag in selection.languages]
    for files, tag in zip(by_side, selection.languages, strict=True):
        if not files:
            listed = ", ".join(names[:8]) or "no files"
            raise InputError(f"{path} has no file for {tag!r}", f"it has {listed}; set `member` to those to read")
    source, target = _only_pair(path, by_side[0], by_side[1], selection)
    return FileLocation(path, source), FileLocation(path, target)


def _patterns(name: str) -> Iterator[tuple[str, str]]:
    """Yield (pattern, code) for every part of a member's name that is a language: `x.en-fr.en` → (`x.en-fr.{language}`, `en`), …

    A part of a code of two languages (`en-de`) is none by itself. A code that is in several parts (`en/x.en`) is also replaced in all.
    """
    pieces = re.split(r"([./])", name)
    codes: Counter[str] = Counter()
    for index, piece in enumerate(pieces):
        before_piece, after_piece = "".join(pieces[:index]), "".join(pieces[index + 1 :])
        suffix = [("", piece, "")] if not after_piece and language_of(piece) else []  # `pt-br`: as a suffix it is no pair
        for before, code, after in suffix or _codes(piece):
            codes[code] += 1
            yield f"{before_piece}{before}{PLACEHOLDER}{after}{after_piece}", code
    for code in (code for code, count in codes.items() if count > 1):
        yield "".join(PLACEHOLDER if piece == code else piece for piece in pieces), code


def _codes(piece: str) -> list[tuple[str, str, str]]:
    """Return (before, code, after) for each language in a piece of a name: `en` and `pt_BR`, but not those of a pair (`en-de`)."""
    matches = [match for match in _CODE.finditer(piece) if match[0] not in _WORDS and language_of(match[0])]
    lengths = Counter(len(match["language"]) for match in matches)
    return [(piece[: match.start()], match[0], piece[match.end() :]) for match in matches if lengths[len(match["language"])] == 1]


def _files_of_side(codes: Mapping[str, Mapping[str, str]], tag: str) -> dict[str, str]:
    """Return the files of a language by pattern; of two codes of one language (`en`, `eng`) the canonical one goes first."""
    files: dict[str, list[tuple[bool, str]]] = defaultdict(list)
    for name, patterns in codes.items():
        for pattern, code in patterns.items():
            if language_of(code) == tag:
                files[pattern].append((code != tag, name))
    return {pattern: min(candidates)[1] for pattern, candidates in files.items()}


def _code_in(name: str, pattern: str) -> str:
    """Return what a pattern has in place of {language} in a name; empty: the name does not match."""
    before, *others = map(re.escape, pattern.split(PLACEHOLDER))
    match = re.fullmatch(f"{before}(?P<code>.+){'(?P=code)'.join(others)}", name, re.DOTALL)
    return match["code"] if match else ""


def _only_pair(path: Path, sources: Mapping[str, str], targets: Mapping[str, str], selection: PairSelection) -> tuple[str, str]:
    pairs = {(sources[pattern], targets[pattern]): pattern for pattern in sources if pattern in targets}
    if len(pairs) == 1:
        return next(iter(pairs))
    languages = "-".join(selection.languages)
    if pairs:
        patterns = sorted(pairs.values())
        listed = ", ".join(patterns[:8])
        problem = f"{path} contains {len(pairs)} texts in {languages}: {listed}{' …' if len(pairs) > 8 else ''}"
        raise InputError(problem, f"set `member` to the one to read, for example `member: {patterns[0]}`")
    listed = ", ".join(sorted({*sources.values(), *targets.values()})[:8])
    problem = f"{path} has no two files of one text in {languages}, only {listed}"
    raise InputError(problem, "set `member` to their common name with {language}, or unpack them and name them in `path`")
