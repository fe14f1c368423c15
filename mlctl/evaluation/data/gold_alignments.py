"""Gold word alignments in their published formats, and counts of links against them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mlctl.core.text_lines import lines
from mlctl.errors import InputError

Link = tuple[int, int]  # source and target word, from 0
Words = list[str]

# i-j: sure; ipj and i?j: possible
_LINK = re.compile(r"(\d+)([-p?])(\d+)")
_SENTENCE = re.compile(r"<s snum=(\d+)>(.*?)</s>")
_MAX_DROPPED = 0.05  # a larger share of links outside of their sentences means that words are counted from another base
_REMEDY = "give the files as published"


@dataclass
class GoldAlignment:
    """Sentence pairs with gold links. Sure links are possible, too; `dropped` are links outside of their sentences."""

    name: str
    languages: tuple[str, str]
    pairs: list[tuple[Words, Words]]
    sure: list[set[Link]]
    possible: list[set[Link]]
    dropped: list[str] = field(default_factory=list)

    def reversed(self, name: str) -> GoldAlignment:
        """Return the alignment with source and target exchanged."""
        sure, possible = ([{(j, i) for i, j in links} for links in sentences] for sentences in (self.sure, self.possible))
        pairs = [(target, source) for source, target in self.pairs]
        return GoldAlignment(name, (self.languages[1], self.languages[0]), pairs, sure, possible, self.dropped)


class Counts(NamedTuple):
    """Link counts of one sentence: predicted, sure, predicted and sure, predicted and possible."""

    predicted: int
    sure: int
    in_sure: int
    in_possible: int


def count_links(predicted: Iterable[Iterable[Link]], gold: GoldAlignment) -> list[Counts]:
    """Return the counts of each sentence, for alignment error rate, precision and recall (Och and Ney 2003, section 4)."""
    sentences = zip(map(set, predicted), gold.sure, gold.possible, strict=True)
    return [Counts(len(links), len(sure), len(links & sure), len(links & possible)) for links, sure, possible in sentences]


class GoldFiles(NamedTuple):
    """Files of a gold alignment; `read` takes the number of a sentence's first word."""

    name: str
    languages: tuple[str, str]
    files: tuple[Path, ...]
    base: int
    read: Callable[[tuple[Path, ...], int], GoldAlignment]

    def read_gold(self, base: int | None = None) -> GoldAlignment:
        """Read the alignment without the links outside of their sentences; `base` None: as published.

        Raises:
            InputError: the files do not have this format, or so many links are outside of their sentences that the base is wrong.
        """
        first_word = self.base if base is None else base
        gold = drop_links_outside(self.read(self.files, first_word))
        links = sum(map(len, gold.possible)) + len(gold.dropped)
        if len(gold.dropped) > _MAX_DROPPED * links:
            raise InputError(
                f"{self.files[-1]}: {len(gold.dropped)} of {links} links are outside of their sentences if words count from {first_word}",
                "set index_base of this benchmark to 0 or 1",
            )
        return GoldAlignment(self.name, self.languages, gold.pairs, gold.sure, gold.possible, gold.dropped)


def find_gold_files(files: Mapping[str, Path]) -> Iterator[GoldFiles]:
    """Yield the alignments among files (by relative name) in every known format."""
    for name in sorted(files):
        for file_format in _FORMATS:
            match = file_format.pattern.fullmatch(name)
            names = [part.format(**match.groupdict(default="")) for part in file_format.files] if match else []
            if match and all(file in files for file in names):
                paths = tuple(files[file] for file in names)
                yield GoldFiles(name, file_format.languages(match), paths, file_format.base, file_format.read)
                break


def parse_links(line: str, base: int = 0) -> tuple[set[Link], set[Link]]:
    """Return the sure and the possible links of a line in Pharaoh format; words count from `base`."""
    links = [((int(i) - base, int(j) - base), kind) for i, kind, j in _LINK.findall(line)]
    return {link for link, kind in links if kind == "-"}, {link for link, _ in links}


def drop_links_outside(gold: GoldAlignment) -> GoldAlignment:
    """Drop links outside of their sentences, and list them in `dropped`."""
    for number, (source, target) in enumerate(gold.pairs):
        outside = sorted(link for link in gold.possible[number] if not _is_inside(link, source, target))
        gold.dropped += [f"{number + 1}: {i}-{j}" for i, j in outside]
        gold.sure[number] -= set(outside)
        gold.possible[number] -= set(outside)
    return gold


def parse_gold(sides: Sequence[Sequence[str]], links: Sequence[str], base: int, file: Path) -> GoldAlignment:
    """Return the alignment of tokenised sentences and lines of links, whether the links are inside of their sentences or not.

    Raises:
        InputError: the numbers of lines differ; the message names `file`.
    """
    if len({len(sides[0]), len(sides[1]), len(links)}) != 1:
        raise InputError(f"{file}: {len(sides[0])} and {len(sides[1])} sentences, {len(links)} lines of links", _REMEDY)
    pairs = [(source.split(), target.split()) for source, target in zip(*sides, strict=True)]
    parsed = [parse_links(line, base) for line in links]
    return GoldAlignment("", ("", ""), pairs, [sure for sure, _ in parsed], [possible for _, possible in parsed])


def _is_inside(link: Link, source: Words, target: Words) -> bool:
    return 0 <= link[0] < len(source) and 0 <= link[1] < len(target)


def _read_joined(files: tuple[Path, ...], base: int) -> GoldAlignment:
    """Read `source ||| target` and links."""
    pairs = [line.split("|||") for line in lines(files[0])]
    if any(len(pair) != 2 for pair in pairs):
        raise InputError(f"{files[0]}: a line is not `source ||| target`", _REMEDY)
    return parse_gold([[pair[0] for pair in pairs], [pair[1] for pair in pairs]], lines(files[1]), base, files[1])


def _read_separate(files: tuple[Path, ...], base: int) -> GoldAlignment:
    """Read a file of each side, and links."""
    return parse_gold([lines(files[0]), lines(files[1])], lines(files[2]), base, files[2])


def _read_table(files: tuple[Path, ...], base: int) -> GoldAlignment:
    """Read source TAB target TAB links."""
    rows = [line.split("\t") for line in lines(files[0])]
    if any(len(row) < 3 for row in rows):
        raise InputError(f"{files[0]}: a line is not source TAB target TAB links", _REMEDY)
    return parse_gold([[row[0] for row in rows], [row[1] for row in rows]], [row[2] for row in rows], base, files[0])


def _read_numbered(files: tuple[Path, ...], base: int) -> GoldAlignment:
    """Read `number TAB words` of each side, and `number TAB links`, in any order."""
    columns = [dict(line.split("\t", 1) for line in lines(file) if "\t" in line) for file in files]
    numbers = [number for number in columns[0] if number in columns[1] and number in columns[2]]
    sides = [[column[number] for number in numbers] for column in columns]
    return parse_gold(sides[:2], sides[2], base, files[2])


def _read_wpt(files: tuple[Path, ...], base: int) -> GoldAlignment:
    """Read the format of the WPT tasks: numbered sentences, one link a line; sentences without words are left out."""
    source, target = ({number: text.split() for number, text in _SENTENCE.findall("\n".join(lines(file)))} for file in files[:2])
    numbers = [number for number in source if source[number] and target.get(number)]
    sure: dict[str, set[Link]] = {number: set() for number in numbers}
    possible: dict[str, set[Link]] = {number: set() for number in numbers}
    for line in lines(files[2]):
        number, i, j, *kind = line.split()
        if number in sure:
            link = int(i) - base, int(j) - base
            possible[number].add(link)
            sure[number] |= set() if kind[:1] == ["P"] else {link}
    pairs = [(source[number], target[number]) for number in numbers]
    return GoldAlignment("", ("", ""), pairs, list(sure.values()), list(possible.values()))


class _Format(NamedTuple):
    """A published format: the file that identifies it, the files that belong to it, and the number of the first word."""

    pattern: re.Pattern[str]
    files: tuple[str, ...]
    base: int
    read: Callable[[tuple[Path, ...], int], GoldAlignment]
    source: str = ""

    def languages(self, match: re.Match[str]) -> tuple[str, str]:
        return match.groupdict().get("a") or self.source, match["b"]


_FOLDER = r"(?P<d>(?:.*/)?)"
_FORMATS = (
    _Format(
        re.compile(_FOLDER + r"(?P<a>[a-z]{2})(?P<b>[a-z]{2})\.gold"), ("{d}{a}{b}.src-tgt", "{d}{a}{b}.gold"), 1, _read_joined
    ),
    _Format(
        re.compile(_FOLDER + r"(?P<s>[^/]+)\.(?P<a>[a-z]{2,3})-(?P<b>[a-z]{2,3})\.talp"),
        ("{d}{s}.{a}-{b}.{a}", "{d}{s}.{a}-{b}.{b}", "{d}{s}.{a}-{b}.talp"),
        0,
        _read_separate,
    ),
    _Format(
        re.compile(_FOLDER + r"(?P<a>[a-z]{2})-(?P<b>[a-z]{2})\.wa"),
        ("{d}test.{a}", "{d}test.{b}", "{d}{a}-{b}.wa"),
        0,
        _read_separate,
    ),
    _Format(
        re.compile(_FOLDER + r"(?P<s>[^/]+)\.(?P<a>[a-z]{3})\.(?P<b>[a-z]{3})\.wa"),
        ("{d}{s}.{a}", "{d}{s}.{b}", "{d}{s}.{a}.{b}.wa"),
        1,
        _read_wpt,
    ),
    _Format(
        re.compile(_FOLDER + r"(?P<s>[^/]+)_(?P<a>[a-z]{3})_(?P<b>[a-z]{3})\.gold"),
        ("{d}{s}_{a}.txt", "{d}{s}_{b}.txt", "{d}{s}_{a}_{b}.gold"),
        0,
        _read_numbered,
    ),
    _Format(re.compile(_FOLDER + r"(?P<b>[a-z]{2})/test\.tsv"), ("{d}{b}/test.tsv",), 0, _read_table, "en"),
)
