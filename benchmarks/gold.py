"""Hand-made word alignments in the notations they are published in, and the score of an aligner against them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

Link = tuple[int, int]  # source and target word, from 0
Words = list[str]
# i-j: sure; ipj and i?j: possible
_LINK = re.compile(r"(\d+)([-p?])(\d+)")
_SNUM = re.compile(r"<s snum=(\d+)>(.*?)</s>")


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


class Score(NamedTuple):
    """Alignment error rate, precision and recall (Och and Ney 2003), in per cent."""

    aer: float
    precision: float
    recall: float

    def __str__(self) -> str:
        return f"{self.aer:5.1f} {self.precision:5.1f} {self.recall:5.1f}"


def score(found: Iterable[Iterable[Link]], gold: Gold) -> Score:
    """Score links: recall counts sure links, precision those that are possible."""
    links = sure = in_sure = in_possible = 0
    for each, needed, allowed in zip(found, gold.sure, gold.possible, strict=True):
        one = set(each)
        links += len(one)
        sure += len(needed)
        in_sure += len(one & needed)
        in_possible += len(one & allowed)
    error = 1 - (in_sure + in_possible) / (links + sure)
    return Score(100 * error, 100 * in_possible / max(links, 1), 100 * in_sure / sure)


def lines(file: Path) -> list[str]:
    """Return the lines of a text, whatever ends them, without a byte-order mark; U+2028 ends none."""
    text = file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    return text.removesuffix("\n").split("\n")


def pharaoh(line: str, base: int = 0) -> tuple[set[Link], set[Link]]:
    """Read the sure and the possible links of a line; words count from `base`."""
    read = [((int(i) - base, int(j) - base), kind) for i, kind, j in _LINK.findall(line)]
    return {link for link, kind in read if kind == "-"}, {link for link, _ in read}


def links_of(file: Path, swapped: bool = False) -> list[set[Link]]:
    """Read an aligner's output: a line of links a pair, words from 0."""
    read = [pharaoh(line)[1] for line in lines(file)]
    return [{(j, i) for i, j in links} for links in read] if swapped else read


def grow_diag_final_and(forward: set[Link], reverse: set[Link]) -> set[Link]:
    """Join two directions (Koehn, Och and Marcu 2003)."""
    union, links = forward | reverse, forward & reverse
    near = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
    grown = True
    while grown:
        grown = False
        for i, j in sorted(links):
            for link in ((i + a, j + b) for a, b in near):
                if link in union - links and not all(linked(link, links)):
                    links, grown = links | {link}, True
    for direction in (forward, reverse):
        for link in sorted(direction - links):
            links = links | {link} if not any(linked(link, links)) else links
    return links


def linked(link: Link, links: set[Link]) -> tuple[bool, bool]:
    """Tell for each side of a link whether its word has a link."""
    return any(i == link[0] for i, _ in links), any(j == link[1] for _, j in links)


def checked(gold: Gold) -> Gold:
    """Drop links that point outside of their sentences, and name them."""
    for number, (source, target) in enumerate(gold.pairs):
        for links in (gold.sure[number], gold.possible[number]):
            for link in sorted(links):
                if not (0 <= link[0] < len(source) and 0 <= link[1] < len(target)):
                    links.discard(link)
                    gold.dropped += [name] if (name := f"{number + 1}: {link[0]}-{link[1]}") not in gold.dropped else []
    return gold


def made(
    name: str, languages: tuple[str, str], sides: Sequence[Sequence[str]], links: Sequence[str], base: int, drop: bool = True
) -> Gold:
    """Put together sentences of words with a space between and lines of links; `drop` those that point outside."""
    pairs = [(source.split(), target.split()) for source, target in zip(*sides, strict=True)]
    read = [pharaoh(line, base) for line in links]
    assert len(read) == len(pairs), f"{name}: {len(pairs)} pairs, {len(read)} lines of links"
    gold = Gold(name, languages, pairs, [sure for sure, _ in read], [possible for _, possible in read])
    return checked(gold) if drop else gold


def awesome(root: Path, stem: str, drop: bool = True) -> Gold:
    """Read `source ||| target` and links that count words from 1."""
    folder = root / "awesome-align-examples"
    split = [line.split("|||") for line in lines(folder / f"{stem}.src-tgt")]
    sides = [pair[0] for pair in split], [pair[1] for pair in split]
    return made(f"{stem[:2]}-{stem[2:]}", (stem[:2], stem[2:]), sides, lines(folder / f"{stem}.gold"), 1, drop)


def talp(root: Path, folder: str, source: str, target: str) -> Gold:
    """Read a file of words for each side, and links that count them from 0."""
    stem = root / folder / f"{folder.partition('-')[0]}.{source}-{target}"
    sides = lines(Path(f"{stem}.{source}")), lines(Path(f"{stem}.{target}"))
    return made(f"{source}-{target}", (source, target), sides, lines(Path(f"{stem}.talp")), 0)


def bicici(root: Path) -> Gold:
    """Read German-English Europarl as English-German."""
    folder = root / "bicici-de-en"
    sides = lines(folder / "test.de"), lines(folder / "test.en")
    return made("de-en", ("de", "en"), sides, lines(folder / "de-en.wa"), 0).reversed("en-de")


def wpt05(root: Path) -> Gold:
    """Read the form of the WPT tasks: numbered sentences, a link a line, words from 1."""
    folder = root / "wpt05-en-hi"
    texts = [
        {number: text.split() for number, text in _SNUM.findall("\n".join(lines(folder / name)))}
        for name in ("test.eng", "test.hin")
    ]
    numbers = [number for number in texts[0] if number in texts[1]]
    links: dict[str, set[Link]] = {number: set() for number in numbers}
    for line in lines(folder / "test.eng.hin.wa"):
        number, i, j = line.split()[:3]
        links[number].add((int(i) - 1, int(j) - 1))
    pairs = [(texts[0][number], texts[1][number]) for number in numbers]
    gold = checked(Gold("en-hi", ("en", "hi"), pairs, list(links.values()), [set(each) for each in links.values()]))
    kept = [row for row, (source, target) in enumerate(gold.pairs) if source and target]
    return Gold(
        "en-hi",
        ("en", "hi"),
        *([several[row] for row in kept] for several in (gold.pairs, gold.sure, gold.possible)),
        gold.dropped,
    )


def xl_wa(root: Path, language: str) -> Gold:
    """Read the sentences that people aligned, dev and test: source TAB target TAB links."""
    rows = [line.split("\t") for part in ("dev", "test") for line in lines(_part(root / "xl-wa" / language, part))]
    sides = [row[0] for row in rows], [row[1] for row in rows]
    return made(f"xl-wa en-{language}", ("en", language), sides, [row[2] for row in rows], 0)


def _part(folder: Path, part: str) -> Path:
    return next(file for file in sorted(folder.iterdir()) if part in file.name)


XL_WA = ("da", "es", "et", "hu", "pt", "ru", "sl")
READERS: dict[str, Callable[[Path], Gold]] = {
    "en-fr": lambda root: awesome(root, "enfr"),
    "en-cs": lambda root: talp(root, "czenali-en-cs", "en", "cs"),
    "en-sv": lambda root: talp(root, "liu-en-sv", "en", "sv"),
    "en-de": bicici,
    "zh-en": lambda root: awesome(root, "zhen"),
    "ja-en": lambda root: awesome(root, "jaen"),
    "en-hi": wpt05,
    "en-es": lambda root: talp(root, "graca-en-es", "en", "es"),
    **{f"xl-wa en-{language}": lambda root, language=language: xl_wa(root, language) for language in XL_WA},  # type: ignore[misc]
}

# What the data's own publications say of these outputs: alignment error rate in per cent.
_VARIANTS = ("", "reverse", "intersection", "union", "grow-diagonal", "grow-diagonal-final")
_PUBLISHED = {"fastalign": (16.4, 15.9, 11.2, 19.5, 10.5, 12.1), "giza": (8.0, 9.8, 7.6, 9.9, 5.9, 6.2)}
_AWESOME = {"enfr": 4.1, "jaen": 37.4, "zhen": 13.3}


def published(root: Path) -> Iterator[tuple[str, float, Score]]:
    """Yield published outputs: the name, the error rate that was published, and ours."""
    hansards = awesome(root, "enfr")
    for tool, rates in _PUBLISHED.items():
        for variant, rate in zip(_VARIANTS, rates, strict=True):
            file = root / "lilt-results" / tool / ".".join(filter(None, ("test.enfr", variant, "talp")))
            yield f"{tool} {variant}".strip(), rate, score(links_of(file, variant == "reverse"), hansards)
    for stem, rate in _AWESOME.items():
        found = links_of(root / "awesome-align-examples" / f"{stem}.awesome-align.out")
        yield f"awesome-align {stem}", rate, score(found, awesome(root, stem, drop=False))  # as it was published


def check_scorer(root: Path) -> None:
    """Score published outputs.

    Raises:
        SystemExit: a figure is not the published one: nothing that follows could be trusted.
    """
    wrong = []
    for name, rate, ours in published(root):
        print(f"    {name:32} published {rate:5.1f}   here {ours}")
        wrong += [name] if round(ours.aer, 1) != rate else []
    if wrong:
        raise SystemExit(f"the scorer does not give the published figures of {', '.join(wrong)}")
