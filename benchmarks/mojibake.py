"""How much text that was decoded with the wrong encoding is kept as it is, and how much right text is changed.

    python benchmarks/mojibake.py --ntrex FOLDER [--quick]

FOLDER has NTREX-128 (`newstest2019-src.eng.txt`, `newstest2019-ref.XXX.txt`, plain or .gz). Each line of each language is misread by
pairs of encodings (true encoding, read as) that can hold it and that change it; a line is handled if it is repaired to the byte or
dropped. `lines`: a tenth of the lines is misread, each by a random pair. `files`: all lines are misread by the same pair. `right`: the
lines as they are. The costs and limits of the rule were chosen on the languages of TUNED; the figures of the others are held out. The
last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import ftfy.bad_codecs  # noqa: F401  (registers the sloppy codecs)

from mlctl.cleaning.characters import normalize_characters
from mlctl.cleaning.corpus_statistics import collect_statistics, fit_statistics
from mlctl.cleaning.filters.base import SentencePair
from mlctl.cleaning.filters.language_script import Mojibake
from mlctl.cleaning.mojibake.repair import EncodingRepair
from mlctl.cleaning.normalize import normalize_pair
from mlctl.config import Clean
from mlctl.languages import canonical

TUNED = set(
    "af ar az bn cs cy de dz en es et eu fi fj fr he hi hu id ig ja ka kk ku ky lb lo mk mn mr ms mt my nd ne nl no nso ny pl pt ro ru sm sq "
    "sv sw ta te th tn tr ur uz vi yue zh zu".split()
)
WESTERN = ("cp1252", "latin-1")
OTHERS = (
    *("cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874", "koi8-r", "koi8-u"),
    *("iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "mac-roman", "mac-latin2", "mac-cyrillic", "mac-greek"),
)
RELATED = (
    ("koi8-r", "cp1251"),
    ("cp1251", "koi8-r"),
    ("iso8859-5", "cp1251"),
    ("mac-cyrillic", "cp1251"),
    ("iso8859-2", "cp1250"),
)
PAIRS = (
    *((true, western) for true in OTHERS for western in WESTERN),
    *((western, other) for western in WESTERN for other in OTHERS),
    *(("utf-8", other) for other in (*WESTERN, *OTHERS)),
    *RELATED,
)
SINGLE_BYTE_SHARE = 0.9  # at least, of the misread lines: more pairs have UTF-8 as the true encoding
SHARE = 10  # one line of so many is misread


def misread(text: str, true: str, read_as: str) -> str | None:
    """Return a text as it reads in the wrong encoding; None if it cannot be misread so or stays the same."""
    codec = f"sloppy-windows-{read_as[2:]}" if read_as.startswith("cp12") else read_as
    try:
        result = text.encode(true).decode(codec)
    except UnicodeError:
        return None
    return None if result == text else result


def read_lines(file: Path) -> list[str]:
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return [normalize_characters(line) for line in data.decode().split("\n")]


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield language and file of each translation."""
    for file in sorted(folder.glob("newstest2019-ref*.txt*")):
        code = file.name.removeprefix("newstest2019-ref").lstrip("-0123456789.").partition(".txt")[0]
        yield canonical(code), file


def learn(language: str, sources: Sequence[str], targets: Sequence[str]) -> tuple[EncodingRepair, EncodingRepair]:
    """Return what the stage would learn from a corpus."""
    sample = collect_statistics(Clean(), "en", language, zip(sources, targets, strict=True))
    repairs = fit_statistics(Clean(), "en", language, [sample]).repairs
    assert repairs
    return repairs


def outcome(repairs: tuple[EncodingRepair, EncodingRepair], text: str, right: str) -> str:
    pair = normalize_pair("x", text, repairs=repairs)
    if Mojibake().drops(SentencePair(pair, True, True)):
        return "dropped"
    return "repaired" if pair.target == normalize_pair("x", right).target else "kept"


def count_lines(
    language: str, sources: Sequence[str], targets: Sequence[str], table: dict[tuple[str, str], Counter[str]]
) -> None:
    """Misread single lines among right ones; add the outcomes by pair."""
    rng = random.Random(0)
    spoiled = list(targets)
    used: dict[int, tuple[str, str]] = {}
    for number in range(0, len(targets), SHARE):
        options = [(pair, text) for pair in PAIRS if (text := misread(targets[number], *pair))]
        single_byte = [option for option in options if option[0][0] != "utf-8"]
        if options:
            used[number], spoiled[number] = rng.choice(
                single_byte if single_byte and rng.random() < SINGLE_BYTE_SHARE else options
            )
    repairs = learn(language, sources, spoiled)
    for number, pair in used.items():
        table[pair][outcome(repairs, spoiled[number], targets[number])] += 1


def count_files(
    language: str, sources: Sequence[str], targets: Sequence[str], table: dict[tuple[str, str], Counter[str]], pairs: int
) -> None:
    """Misread all lines that a pair of encodings can hold; add the outcomes of those that change."""
    options = [pair for pair in PAIRS if sum(misread(text, *pair) is not None for text in targets[:100]) >= 5]
    for pair in random.Random(0).sample(options, min(pairs, len(options))):
        spoiled = [misread(text, *pair) for text in targets]
        repairs = learn(language, sources, [new or old for new, old in zip(spoiled, targets, strict=True)])
        table[pair].update(outcome(repairs, new, old) for new, old in zip(spoiled, targets, strict=True) if new)


def count_right(language: str, sources: Sequence[str], targets: Sequence[str]) -> Counter[str]:
    repairs = learn(language, sources, targets)
    counts = Counter[str](lines=len(targets))
    for text in targets:
        plain, pair = normalize_pair("x", text), normalize_pair("x", text, repairs=repairs)
        counts["changed"] += pair.target != plain.target
        counts["dropped"] += pair.misread
    return counts


def kept_share(counts: Counter[str]) -> float:
    return counts["kept"] / counts.total() if counts.total() else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ntrex", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="600 lines of each language, one file of each instead of two")
    options = parser.parse_args()
    limit = 600 if options.quick else None
    sources = read_lines(next(options.ntrex.glob("newstest2019-src.eng.txt*")))[:limit]
    by_pair: dict[str, dict[tuple[str, str], Counter[str]]] = {"lines": defaultdict(Counter), "files": defaultdict(Counter)}
    sums: dict[tuple[bool, str], Counter[str]] = defaultdict(Counter)
    print(
        f"{'language':10}{'held out':>9}{'misread lines':>15}{'kept':>7}{'misread files':>15}{'kept':>7}{'right':>8}{'changed':>9}{'dropped':>9}"
    )
    for language, file in files(options.ntrex):
        lines = read_lines(file)[:limit]
        pairs = [(source, target) for source, target in zip(sources, lines, strict=False) if source and target]
        sides = [source for source, _ in pairs], [target for _, target in pairs]
        tables: tuple[dict[tuple[str, str], Counter[str]], ...] = (defaultdict(Counter), defaultdict(Counter))
        count_lines(language, *sides, tables[0])
        count_files(language, *sides, tables[1], 1 if options.quick else 2)
        right = count_right(language, *sides)
        held_out = language not in TUNED
        totals = []
        for name, table in zip(("lines", "files"), tables, strict=True):
            totals.append(sum(table.values(), Counter[str]()))
            sums[held_out, name].update(totals[-1])
            for pair, counts in table.items():
                by_pair[name][pair].update(counts)
        sums[held_out, "right"].update(right)
        shares = "".join(f"{total.total():15,}{kept_share(total):7.1%}" for total in totals)
        print(
            f"{language:10}{'yes' if held_out else 'no':>9}{shares}{right['lines']:8,}{right['changed']:9}{right['dropped']:9}",
            flush=True,
        )
    print_pairs(by_pair)
    print(json.dumps(figures(sums)))


def print_pairs(by_pair: dict[str, dict[tuple[str, str], Counter[str]]]) -> None:
    print(
        f"\n{'true encoding':14}{'read as':14}{'lines':>8}{'repaired':>10}{'dropped':>9}{'kept':>7}{'of files':>10}{'repaired':>10}{'dropped':>9}{'kept':>7}"
    )
    for pair in sorted({*by_pair["lines"], *by_pair["files"]}):
        cells = ""
        for name, width in (("lines", 8), ("files", 10)):
            counts = by_pair[name][pair]
            total = counts.total() or 1
            cells += f"{counts.total():{width},}{counts['repaired'] / total:10.1%}{counts['dropped'] / total:9.1%}{counts['kept'] / total:7.1%}"
        print(f"{pair[0]:14}{pair[1]:14}{cells}")


def figures(sums: dict[tuple[bool, str], Counter[str]]) -> dict[str, float | int]:
    result: dict[str, float | int] = {}
    for held_out, group in ((True, "held_out"), (False, "tuned")):
        for name in ("lines", "files"):
            result[f"{group}_{name}"] = sums[held_out, name].total()
            result[f"{group}_{name}_kept"] = round(kept_share(sums[held_out, name]), 4)
        right = sums[held_out, "right"]
        result[f"{group}_right"] = right["lines"]
        result[f"{group}_right_touched"] = round((right["changed"] + right["dropped"]) / max(1, right["lines"]), 6)
    return result


if __name__ == "__main__":
    main()
