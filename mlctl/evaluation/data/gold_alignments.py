"""Gold word alignments in their published formats, and counts of links against them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError

Link = tuple[int, int]  # source and target word, from 0
Words = list[str]

# i-j: sure; ipj and i?j: possible
_LINK = re.compile(r"([0-9]{1,6})([-p?])([0-9]{1,6})")
_SENTENCE = re.compile(r'\s*<s snum="?([0-9]{1,9})"?>(.*?)</s>\s*')
_NUMBER = re.compile(r"-?[0-9]{1,9}")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_MIN_LINKS = 20  # of a set in which it is clear from which number its words count
_MAX_DROPPED = 0.05  # a larger share of links outside of their sentences means that words are counted from another base
_REMEDY = "give the files as published"


@dataclass
class GoldAlignment:
    """Sentence pairs with gold links. Sure links are possible, too.

    `dropped` are links outside of their sentences, `on_empty` those of sentence pairs that are left out because a side has no words, and
    `empty` the numbers of these pairs.
    """

    name: str
    languages: tuple[str, str]
    pairs: list[tuple[Words, Words]]
    sure: list[set[Link]]
    possible: list[set[Link]]
    dropped: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    on_empty: list[str] = field(default_factory=list)

    def reversed(self, name: str) -> GoldAlignment:
        """Return the alignment with source and target exchanged."""
        sure, possible = ([{(j, i) for i, j in links} for links in sentences] for sentences in (self.sure, self.possible))
        pairs = [(target, source) for source, target in self.pairs]
        return GoldAlignment(
            name, (self.languages[1], self.languages[0]), pairs, sure, possible, self.dropped, self.empty, self.on_empty
        )


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
        gold = self.read(self.files, first_word)
        problem = _counted_from_another_base(gold, first_word)
        gold = drop_links_outside(gold)
        links = sum(map(len, gold.possible)) + len(gold.dropped)
        if len(gold.dropped) > _MAX_DROPPED * links:
            problem = f"{len(gold.dropped)} of {links} links are outside of their sentences if words count from {first_word}"
        if problem:
            raise InputError(f"{self.files[-1]}: {problem}", "set index_base of this benchmark to 0 or 1")
        if not any(gold.sure):
            raise InputError(f"{self.files[-1]} has no sure links of sentences with words", _REMEDY)
        gold.name, gold.languages = self.name, self.languages
        return gold


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
    """Return the sure and the possible links of a line in Pharaoh format; words count from `base`.

    Raises:
        ValueError: for what is not a link; the message shows it.
    """
    sure: set[Link] = set()
    possible: set[Link] = set()
    for token in line.split():
        match = _LINK.fullmatch(token)
        if not match:
            raise ValueError(f"{token[:60]!r} is not a link such as 3-4 or 3p4")
        link = int(match[1]) - base, int(match[3]) - base
        possible.add(link)
        if match[2] == "-":
            sure.add(link)
    return sure, possible


def _counted_from_another_base(gold: GoldAlignment, base: int) -> str:
    """Return what shows that words are counted from the other base (1 for 0): "" if nothing does.

    The last word of most sentences is linked, as it is the full stop: counted from 1, it is outside if words are taken to count from
    0, and no link is at the first word. Of many links these are too few to exceed `_MAX_DROPPED`.
    """
    edges = Counter[str]()
    for (source, target), links in zip(gold.pairs, gold.possible, strict=True):
        for i, j in links:
            edges["links"] += 1
            edges["first"] += 0 in (i, j)
            edges["last"] += i == len(source) - 1 or j == len(target) - 1
            edges["before"] += -1 in (i, j)
            edges["after"] += i == len(source) or j == len(target)
    if edges["links"] < _MIN_LINKS:
        return ""
    if base == 0 and edges["after"] and not edges["first"]:
        return f"no link is at a word 0, and {edges['after']} are one after the last word: words seem to count from 1"
    if base == 1 and edges["before"] and not edges["last"]:
        return f"no link is at a last word, and {edges['before']} are at a word 0: words seem to count from 0"
    return ""


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
        InputError: the numbers of lines differ, or a line has something else than links; the message names `file` and line.
    """
    if len({len(sides[0]), len(sides[1]), len(links)}) != 1:
        raise InputError(f"{file}: {len(sides[0])} and {len(sides[1])} sentences, {len(links)} lines of links", _REMEDY)
    numbered = [(str(number), *row) for number, row in enumerate(zip(*sides, links, strict=True), 1)]
    return _parse_rows(numbered, [(file, number) for number in range(1, len(numbered) + 1)], base)


def _parse_rows(rows: Sequence[tuple[str, str, str, str]], places: Sequence[tuple[Path, int]], base: int) -> GoldAlignment:
    """Return the alignment of (number, source, target, links), whose links are at `places`; pairs without words on a side are left out."""
    gold = GoldAlignment("", ("", ""), [], [], [])
    for (number, source, target, line), (file, line_number) in zip(rows, places, strict=True):
        try:
            sure, possible = parse_links(line, base)
        except ValueError as error:
            raise InputError(f"{file}, line {line_number}: {error}", _REMEDY) from None
        _add_pair(gold, number, (source.split(), target.split()), sure, possible)
    return gold


def _add_pair(gold: GoldAlignment, number: str, pair: tuple[Words, Words], sure: set[Link], possible: set[Link]) -> None:
    if all(pair):
        gold.pairs.append(pair)
        gold.sure.append(sure)
        gold.possible.append(possible)
    else:
        gold.empty.append(number)
        gold.on_empty += [f"{number}: {i}-{j}" for i, j in sorted(possible)]


def _is_inside(link: Link, source: Words, target: Words) -> bool:
    return 0 <= link[0] < len(source) and 0 <= link[1] < len(target)


def _lines(file: Path) -> list[str]:
    """Return the lines of a file. Raises InputError for control characters: words of them would be scored."""
    read = []
    for number, line in numbered_lines(file):
        if control := _CONTROL.search(line):
            raise InputError(f"{file}, line {number} has the control character U+{ord(control[0]):04X}", _REMEDY)
        read.append(line)
    return read


def _same_length(files: Sequence[Path]) -> list[list[str]]:
    """Return the lines of files, without the blank lines at the end of one that the others do not have."""
    columns = [_lines(file) for file in files]
    shortest = min(map(len, columns))
    return [column[:shortest] if not "".join(column[shortest:]).strip() else column for column in columns]


def _read_joined(files: tuple[Path, ...], base: int) -> GoldAlignment:
    """Read `source ||| target` and links."""
    texts, links = _same_length(files)
    pairs = [line.split("|||") for line in texts]
    for number, pair in enumerate(pairs, 1):
        if len(pair) != 2:
            raise InputError(f"{files[0]}, line {number} is not `source ||| target`", _REMEDY)
    return parse_gold([[pair[0] for pair in pairs], [pair[1] for pair in pairs]], links, base, files[1])


def _read_separate(files: tuple[Path, ...], base: int) -> GoldAlignment:
    """Read a file of each side, and links."""
    source, target, links = _same_length(files)
    return parse_gold([source, target], links, base, files[2])


def _read_table(files: tuple[Path, ...], base: int) -> GoldAlignment:
    """Read source TAB target TAB links."""
    rows, places = [], []
    for number, line in enumerate(_lines(files[0]), 1):
        cells = line.split("\t")
        if line.strip() and len(cells) < 3:
            raise InputError(f"{files[0]}, line {number} is not source TAB target TAB links", _REMEDY)
        if line.strip():
            rows.append((str(number), cells[0], cells[1], cells[2]))
            places.append((files[0], number))
    return _parse_rows(rows, places, base)


def _read_numbered(files: tuple[Path, ...], base: int) -> GoldAlignment:
    """Read `number TAB words` of each side, and `number TAB links`, in any order."""
    source, target, links = (_numbered_texts(file, _NUMBERED_LINE) for file in files)
    for other, file in ((target, files[1]), (links, files[2])):
        _check_same_numbers(source, files[0], other, file)
    rows = [(str(number), text, target[number][1], links[number][1]) for number, (_, text) in source.items()]
    return _parse_rows(rows, [(files[2], links[number][0]) for number in source], base)


_NUMBERED_LINE = re.compile(r"([0-9]{1,9})\t(.*)")


def _numbered_texts(file: Path, form: re.Pattern[str]) -> dict[int, tuple[int, str]]:
    """Return line number and text by the number of the sentence."""
    texts: dict[int, tuple[int, str]] = {}
    for line_number, line in enumerate(_lines(file), 1):
        if not line.strip():
            continue
        match = form.fullmatch(line)
        if not match:
            raise InputError(f"{file}, line {line_number}: {line[:60]!r} is not a numbered sentence", _REMEDY)
        if int(match[1]) in texts:
            raise InputError(f"{file}, line {line_number}: sentence {match[1]} is there twice", _REMEDY)
        texts[int(match[1])] = line_number, match[2]
    return texts


def _check_same_numbers(first: Mapping[int, object], first_file: Path, second: Mapping[int, object], second_file: Path) -> None:
    for numbers, file, other, other_file in ((first, first_file, second, second_file), (second, second_file, first, first_file)):
        if missing := sorted(set(other) - set(numbers)):
            raise InputError(f"{file} has no sentence {missing[0]}, which is in {other_file}", _REMEDY)


def _read_wpt(files: tuple[Path, ...], base: int) -> GoldAlignment:
    """Read the format of the WPT tasks: numbered sentences, and lines of sentence, source word, target word, perhaps S or P and a
    probability. Sentences without words are left out."""
    source, target = (_numbered_texts(file, _SENTENCE) for file in files[:2])
    _check_same_numbers(source, files[0], target, files[1])
    sure: dict[int, set[Link]] = {number: set() for number in source}
    possible: dict[int, set[Link]] = {number: set() for number in source}
    for line_number, line in enumerate(_lines(files[2]), 1):
        if line.strip():
            place = f"{files[2]}, line {line_number}"
            number, link, is_sure = _wpt_link(line, place, base)
            if number not in source:
                raise InputError(f"{place}: {files[0].name} has no sentence {number}", _REMEDY)
            possible[number].add(link)
            sure[number] |= {link} if is_sure else set()
    gold = GoldAlignment("", ("", ""), [], [], [])
    for number, (_, text) in source.items():
        _add_pair(gold, str(number), (text.split(), target[number][1].split()), sure[number], possible[number])
    return gold


def _wpt_link(line: str, place: str, base: int) -> tuple[int, Link, bool]:
    """Return the sentence, the link and whether it is sure."""
    numbers, rest = line.split()[:3], line.split()[3:]
    kind = rest.pop(0) if rest and rest[0] in ("S", "P") else "S"
    if len(numbers) < 3 or not all(map(_NUMBER.fullmatch, numbers)) or len(rest) > 1 or not all(map(_is_probability, rest)):
        problem = f"{place}: {line[:60]!r} is not a link (sentence, source word, target word, perhaps S or P and a probability)"
        raise InputError(problem, _REMEDY)
    number, i, j = map(int, numbers)
    return number, (i - base, j - base), kind == "S"


def _is_probability(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


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
