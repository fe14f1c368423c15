"""Word alignments that people made, in the forms they are published in, and the score of links against them."""

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
_SNUM = re.compile(r"<s snum=(\d+)>(.*?)</s>")
_MOST_DROPPED = 0.05  # share of links outside of their sentences, from which on they were counted from another base


@dataclass
class Gold:
    """Sentence pairs with the links that people made. Sure links are possible too; `dropped` point outside of their sentences."""

    name: str
    languages: tuple[str, str]
    pairs: list[tuple[Words, Words]]
    sure: list[set[Link]]
    possible: list[set[Link]]
    dropped: list[str] = field(default_factory=list)

    def reversed(self, name: str) -> Gold:
        """Return the same with the sides changed."""
        sure, possible = ([{(j, i) for i, j in links} for links in several] for several in (self.sure, self.possible))
        pairs = [(target, source) for source, target in self.pairs]
        return Gold(name, (self.languages[1], self.languages[0]), pairs, sure, possible, self.dropped)


class Counts(NamedTuple):
    """Links of one sentence: found, sure, found and sure, found and possible."""

    found: int
    sure: int
    in_sure: int
    in_possible: int


def counts(found: Iterable[Iterable[Link]], gold: Gold) -> list[Counts]:
    """Return the counts of each sentence, of which alignment error rate, precision and recall are made (Och and Ney 2003, section 4)."""
    sentences = zip(map(set, found), gold.sure, gold.possible, strict=True)
    return [Counts(len(one), len(sure), len(one & sure), len(one & possible)) for one, sure, possible in sentences]


class GoldFiles(NamedTuple):
    """Where a set of gold alignments lies: `read` takes the number of a sentence's first word."""

    name: str
    languages: tuple[str, str]
    files: tuple[Path, ...]
    base: int
    read: Callable[[tuple[Path, ...], int], Gold]

    def gold(self, base: int | None = None) -> Gold:
        """Read it, links outside of their sentences dropped; `base` None: as it was published.

        Raises:
            InputError: the files are not of this form, or so many links lie outside of their sentences that the base is wrong.
        """
        chosen = self.base if base is None else base
        gold = checked(self.read(self.files, chosen))
        links = sum(map(len, gold.possible)) + len(gold.dropped)
        if len(gold.dropped) > _MOST_DROPPED * links:
            raise InputError(
                f"{self.files[-1]}: {len(gold.dropped)} of {links} links lie outside of their sentences when words count from {chosen}",
                "set index_base of this benchmark to 0 or 1",
            )
        return Gold(self.name, self.languages, gold.pairs, gold.sure, gold.possible, gold.dropped)


def find(files: Mapping[str, Path]) -> Iterator[GoldFiles]:
    """Yield the sets among files (by relative name) in every published form that is known."""
    for name in sorted(files):
        for form in _FORMS:
            match = form.pattern.fullmatch(name)
            names = [part.format(**match.groupdict(default="")) for part in form.files] if match else []
            if match and all(one in files for one in names):
                first, second = form.languages(match)
                paths = tuple(files[one] for one in names)
                yield GoldFiles(name, (first, second), paths, form.base, form.read)
                break


def pharaoh(line: str, base: int = 0) -> tuple[set[Link], set[Link]]:
    """Read the sure and the possible links of a line; words count from `base`."""
    read = [((int(i) - base, int(j) - base), kind) for i, kind, j in _LINK.findall(line)]
    return {link for link, kind in read if kind == "-"}, {link for link, _ in read}


def checked(gold: Gold) -> Gold:
    """Drop links that point outside of their sentences, and name them."""
    for number, (source, target) in enumerate(gold.pairs):
        outside = sorted(link for link in gold.possible[number] if not _inside(link, source, target))
        gold.dropped += [f"{number + 1}: {i}-{j}" for i, j in outside]
        gold.sure[number] -= set(outside)
        gold.possible[number] -= set(outside)
    return gold


def made(sides: Sequence[Sequence[str]], links: Sequence[str], base: int, place: Path) -> Gold:
    """Put together sentences of words with a space between and lines of links, wherever those point.

    Raises:
        InputError: there are not as many lines of each.
    """
    if len({len(sides[0]), len(sides[1]), len(links)}) != 1:
        raise InputError(
            f"{place}: {len(sides[0])} and {len(sides[1])} sentences, {len(links)} lines of links", "give the files as published"
        )
    pairs = [(source.split(), target.split()) for source, target in zip(*sides, strict=True)]
    read = [pharaoh(line, base) for line in links]
    return Gold("", ("", ""), pairs, [sure for sure, _ in read], [possible for _, possible in read])


def _inside(link: Link, source: Words, target: Words) -> bool:
    return 0 <= link[0] < len(source) and 0 <= link[1] < len(target)


def _together(files: tuple[Path, ...], base: int) -> Gold:
    """Read `source ||| target` and links."""
    split = [line.split("|||") for line in lines(files[0])]
    if any(len(pair) != 2 for pair in split):
        raise InputError(f"{files[0]}: a line is not `source ||| target`", "give the files as published")
    return made([[pair[0] for pair in split], [pair[1] for pair in split]], lines(files[1]), base, files[1])


def _apart(files: tuple[Path, ...], base: int) -> Gold:
    """Read a file of each side, and links."""
    return made([lines(files[0]), lines(files[1])], lines(files[2]), base, files[2])


def _table(files: tuple[Path, ...], base: int) -> Gold:
    """Read source TAB target TAB links."""
    rows = [line.split("\t") for line in lines(files[0])]
    if any(len(row) < 3 for row in rows):
        raise InputError(f"{files[0]}: a line is not source TAB target TAB links", "give the files as published")
    return made([[row[0] for row in rows], [row[1] for row in rows]], [row[2] for row in rows], base, files[0])


def _numbered(files: tuple[Path, ...], base: int) -> Gold:
    """Read `number TAB words` of each side, and `number TAB links`, in any order."""
    columns = [dict(line.split("\t", 1) for line in lines(file) if "\t" in line) for file in files]
    numbers = [number for number in columns[0] if number in columns[1] and number in columns[2]]
    sides = [[column[number] for number in numbers] for column in columns]
    return made(sides[:2], sides[2], base, files[2])


def _wpt(files: tuple[Path, ...], base: int) -> Gold:
    """Read the form of the WPT tasks: numbered sentences, a link a line; sentences without words are left out."""
    texts = [{number: text.split() for number, text in _SNUM.findall("\n".join(lines(file)))} for file in files[:2]]
    numbers = [number for number in texts[0] if texts[0][number] and texts[1].get(number)]
    links: dict[str, set[Link]] = {number: set() for number in numbers}
    possible: dict[str, set[Link]] = {number: set() for number in numbers}
    for line in lines(files[2]):
        number, i, j, *kind = line.split()
        if number in links:
            link = int(i) - base, int(j) - base
            possible[number].add(link)
            links[number] |= set() if kind[:1] == ["P"] else {link}
    pairs = [(texts[0][number], texts[1][number]) for number in numbers]
    return Gold("", ("", ""), pairs, list(links.values()), list(possible.values()))


class _Form(NamedTuple):
    """A published form: which file tells of it, which files belong to it, from where words count."""

    pattern: re.Pattern[str]
    files: tuple[str, ...]
    base: int
    read: Callable[[tuple[Path, ...], int], Gold]
    source: str = ""

    def languages(self, match: re.Match[str]) -> tuple[str, str]:
        return match.groupdict().get("a") or self.source, match["b"]


_AT = r"(?P<d>(?:.*/)?)"
_FORMS = (
    _Form(re.compile(_AT + r"(?P<a>[a-z]{2})(?P<b>[a-z]{2})\.gold"), ("{d}{a}{b}.src-tgt", "{d}{a}{b}.gold"), 1, _together),
    _Form(
        re.compile(_AT + r"(?P<s>[^/]+)\.(?P<a>[a-z]{2,3})-(?P<b>[a-z]{2,3})\.talp"),
        ("{d}{s}.{a}-{b}.{a}", "{d}{s}.{a}-{b}.{b}", "{d}{s}.{a}-{b}.talp"),
        0,
        _apart,
    ),
    _Form(re.compile(_AT + r"(?P<a>[a-z]{2})-(?P<b>[a-z]{2})\.wa"), ("{d}test.{a}", "{d}test.{b}", "{d}{a}-{b}.wa"), 0, _apart),
    _Form(
        re.compile(_AT + r"(?P<s>[^/]+)\.(?P<a>[a-z]{3})\.(?P<b>[a-z]{3})\.wa"),
        ("{d}{s}.{a}", "{d}{s}.{b}", "{d}{s}.{a}.{b}.wa"),
        1,
        _wpt,
    ),
    _Form(
        re.compile(_AT + r"(?P<s>[^/]+)_(?P<a>[a-z]{3})_(?P<b>[a-z]{3})\.gold"),
        ("{d}{s}_{a}.txt", "{d}{s}_{b}.txt", "{d}{s}_{a}_{b}.gold"),
        0,
        _numbered,
    ),
    _Form(re.compile(_AT + r"(?P<b>[a-z]{2})/test\.tsv"), ("{d}{b}/test.tsv",), 0, _table, "en"),
)
