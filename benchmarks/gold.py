"""Gold word alignments (hand-made links), scores in percent, and a check of the scorer on published outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mlctl.core.text_lines import lines
from mlctl.evaluation.data.gold_alignments import GoldAlignment as Gold
from mlctl.evaluation.data.gold_alignments import (
    GoldFiles,
    Link,
    Words,
    count_links,
    drop_links_outside,
    find_gold_files,
    parse_gold,
    parse_links,
)

__all__ = ["READERS", "Gold", "Score", "Words", "check_scorer", "grow_diag_final_and", "score"]


class Score(NamedTuple):
    """Alignment error rate, precision and recall (Och and Ney 2003), in percent."""

    aer: float
    precision: float
    recall: float

    def __str__(self) -> str:
        return f"{self.aer:5.1f} {self.precision:5.1f} {self.recall:5.1f}"


def score(found: Iterable[Iterable[Link]], gold: Gold) -> Score:
    """Score links: recall over sure links, precision over possible links."""
    links, sure, in_sure, in_possible = (sum(column) for column in zip(*count_links(found, gold), strict=True))
    error = 1 - (in_sure + in_possible) / (links + sure)
    return Score(100 * error, 100 * in_possible / max(links, 1), 100 * in_sure / sure)


def links_of(file: Path, swapped: bool = False) -> list[set[Link]]:
    """Read the output of an aligner: a line of links per pair, words numbered from 0."""
    read = [parse_links(line)[1] for line in lines(file)]
    return [{(j, i) for i, j in links} for links in read] if swapped else read


def grow_diag_final_and(forward: set[Link], reverse: set[Link]) -> set[Link]:
    """Symmetrise two directions (Koehn, Och and Marcu 2003)."""
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
    """Return for each side of a link whether its word has a link."""
    return any(i == link[0] for i, _ in links), any(j == link[1] for _, j in links)


def files_of(root: Path, name: str) -> GoldFiles:
    """Return the gold set whose file of links is `name`."""
    return next(
        found
        for found in find_gold_files({path.relative_to(root).as_posix(): path for path in root.rglob("*")})
        if found.name == name
    )


def awesome(root: Path, stem: str, drop: bool = True) -> Gold:
    """Read a gold set of awesome-align's examples; with `drop`, remove links outside their sentences."""
    found = files_of(root, f"awesome-align-examples/{stem}.gold")
    gold = found.read(found.files, found.base)
    return named(f"{stem[:2]}-{stem[2:]}", (stem[:2], stem[2:]), drop_links_outside(gold) if drop else gold)


def talp(root: Path, folder: str, source: str, target: str) -> Gold:
    """Read a file of words for each side, and a file of links with words numbered from 0."""
    stem = folder.partition("-")[0]
    return named(f"{source}-{target}", (source, target), files_of(root, f"{folder}/{stem}.{source}-{target}.talp").read_gold())


def bicici(root: Path) -> Gold:
    """Read German-English Europarl as English-German."""
    return named("de-en", ("de", "en"), files_of(root, "bicici-de-en/de-en.wa").read_gold()).reversed("en-de")


def wpt05(root: Path) -> Gold:
    """Read English-Hindi."""
    return named("en-hi", ("en", "hi"), files_of(root, "wpt05-en-hi/test.eng.hin.wa").read_gold())


def xl_wa(root: Path, language: str) -> Gold:
    """Read the hand-aligned sentences of dev and test: source TAB target TAB links."""
    files = [root / "xl-wa" / language / f"{part}.tsv" for part in ("dev", "test")]
    rows = [line.split("\t") for file in files for line in lines(file)]
    sides = [row[0] for row in rows], [row[1] for row in rows]
    return named(
        f"xl-wa en-{language}", ("en", language), drop_links_outside(parse_gold(sides, [row[2] for row in rows], 0, files[1]))
    )


def named(name: str, languages: tuple[str, str], gold: Gold) -> Gold:
    """Return the same gold set with another name."""
    return Gold(name, languages, gold.pairs, gold.sure, gold.possible, gold.dropped)


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

# Published alignment error rates of these outputs, in percent.
_VARIANTS = ("", "reverse", "intersection", "union", "grow-diagonal", "grow-diagonal-final")
_PUBLISHED = {"fastalign": (16.4, 15.9, 11.2, 19.5, 10.5, 12.1), "giza": (8.0, 9.8, 7.6, 9.9, 5.9, 6.2)}
_AWESOME = {"enfr": 4.1, "jaen": 37.4, "zhen": 13.3}


def published(root: Path) -> Iterator[tuple[str, float, Score]]:
    """Yield published outputs: name, published error rate, recomputed error rate."""
    hansards = awesome(root, "enfr")
    for tool, rates in _PUBLISHED.items():
        for variant, rate in zip(_VARIANTS, rates, strict=True):
            file = root / "lilt-results" / tool / ".".join(filter(None, ("test.enfr", variant, "talp")))
            yield f"{tool} {variant}".strip(), rate, score(links_of(file, variant == "reverse"), hansards)
    for stem, rate in _AWESOME.items():
        found = links_of(root / "awesome-align-examples" / f"{stem}.awesome-align.out")
        yield f"awesome-align {stem}", rate, score(found, awesome(root, stem, drop=False))  # as published


def check_scorer(root: Path) -> None:
    """Score published outputs.

    Raises:
        SystemExit: a recomputed figure differs from the published one, so the scorer cannot be trusted.
    """
    wrong = []
    for name, rate, ours in published(root):
        print(f"    {name:32} published {rate:5.1f}   recomputed {ours}")
        wrong += [name] if round(ours.aer, 1) != rate else []
    if wrong:
        raise SystemExit(f"the scorer does not reproduce the published figures of {', '.join(wrong)}")
