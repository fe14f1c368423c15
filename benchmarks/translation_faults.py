"""How much right translation the rules for faulty outputs reject, and how much of each kind of fault they find.

    python benchmarks/translation_faults.py --ntrex FOLDER [--parallel FOLDER] [--apertium] [--quick]

--ntrex: NTREX-128 (`newstest2019-src.eng.txt`, `newstest2019-ref.XXX.txt`, plain or .gz). Its human translations, in both directions,
stand for right output. The rules were chosen on every 25th line: these are left out. --parallel: other text, in files
`NAME.en-XX.en.gz` and `NAME.en-XX.XX.gz`; rejected lines of them were looked at, none was used to choose a rule. --apertium: the installed modes from and to English translate
NTREX's lines, which counts what real output of a backend is rejected. Faults (`faulty_outputs.py`) are made from the same translations. Every
STEP-th line is read. The last line is JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from faulty_outputs import FAULTS, Right
from mojibake import files, read_lines

from mlctl.config import Translate
from mlctl.core.unicode_scripts import dominant_script
from mlctl.errors import InputError
from mlctl.translation.backend import Translation
from mlctl.translation.output_checks import check_outputs
from mlctl.translation.registry import loaded

CHOSEN = 25  # the rules were chosen on one line of so many
SPOILED = 40  # one pair of so many is spoiled, in each way
# NTREX's files that are not in the language's standard form: Tachelhit in Arabic script, Burmese in the encoding Zawgyi.
LEFT_OUT = ("en", "shi", "my")
MIN_LETTERS = 30  # of a text that is spoiled
Pairs = list[tuple[str, str]]


def rejections(pairs: Sequence[tuple[str, str]], source: str, target: str) -> list[str]:
    """Return the rule that rejects each output of (text, output); "": none."""
    outputs = check_outputs([text for text, _ in pairs], [Translation(output) for _, output in pairs], source, target)
    return [output.rule for output in outputs]


def ntrex(folder: Path, step: int) -> dict[str, Pairs]:
    """Return the held-out pairs (English, other) of each language."""
    sources = read_lines(next(folder.glob("newstest2019-src.eng.txt*")))
    corpora: dict[str, Pairs] = {}
    for language, file in files(folder):
        if language not in LEFT_OUT:
            pairs = zip(sources, read_lines(file), strict=False)
            held_out = [pair for number, pair in enumerate(pairs) if number % CHOSEN and all(pair)]
            corpora.setdefault(language, []).extend(held_out[::step])
    return corpora


def moses(folder: Path, step: int) -> Iterator[tuple[str, str, Pairs]]:
    """Yield corpus, language and pairs of each corpus in Moses form."""
    for file in sorted(folder.glob("*/*.en-*.en.gz")):
        stem = file.name.removesuffix(".en.gz")
        language = stem.rpartition("-")[2]
        sides = [
            gzip.decompress(path.read_bytes()).decode().split("\n") for path in (file, file.with_name(f"{stem}.{language}.gz"))
        ]
        pairs = [(" ".join(text.split()), " ".join(output.split())) for text, output in zip(*sides, strict=True)]
        yield stem.partition(".")[0], language, [pair for pair in pairs if all(pair)][::step]


def apertium(corpora: dict[str, Pairs]) -> Iterator[tuple[str, str, Pairs]]:
    """Yield source, target and (text, output) of each installed mode from or to English, for the languages of the corpora."""
    settings = Translate(backend="apertium")
    for language, pairs in corpora.items():
        for source, target, side in (("en", language, 0), (language, "en", 1)):
            texts = [pair[side] for pair in pairs]
            try:
                with loaded(settings, source, target) as backend:
                    outputs = backend.translate(texts, source, target)
            except InputError:  # no such mode
                continue
            yield source, target, [(text, output.text) for text, output in zip(texts, outputs, strict=True) if not output.rule]


class RightOutputs:
    """Counts right outputs and those that are rejected."""

    def __init__(self, examples: Path | None) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self._examples = examples

    def add(self, corpus: str, direction: tuple[str, str], pairs: Pairs) -> None:
        counts = self.counts.setdefault(corpus, Counter())
        for (text, output), rule in zip(pairs, rejections(pairs, *direction), strict=True):
            counts["outputs"] += 1
            if rule:
                counts[rule] += 1
                self._write(corpus, *direction, rule, text, output)

    def _write(self, *fields: str) -> None:
        if self._examples:
            with self._examples.open("a", encoding="utf-8") as file:
                file.write("\t".join(fields) + "\n")

    def show(self) -> dict[str, float]:
        """Print the counts; return the share that is rejected in each corpus."""
        print("right outputs rejected")
        shares = {}
        for corpus, counts in self.counts.items():
            rules = {rule: count for rule, count in counts.most_common() if rule != "outputs"}
            rejected = sum(rules.values())
            shares[corpus] = rejected / max(1, counts["outputs"])
            print(f"    {corpus:22} {rejected:5} of {counts['outputs']:8,} ({shares[corpus]:.3%})  {rules}")
        return shares


def spoil(corpora: dict[str, Pairs], missed: Path | None) -> dict[str, dict[str, Counter[bool]]]:
    """Return for each kind and form of fault how many outputs are rejected, in both directions in turn."""
    caught: dict[str, dict[str, Counter[bool]]] = {kind: defaultdict(Counter) for kind in FAULTS}
    words = {language: [word for _, output in pairs[:20] for word in output.split()[:20]] for language, pairs in corpora.items()}
    scripts = {language: dominant_script(" ".join(some)) for language, some in words.items()}
    for language, pairs in corpora.items():
        rng = random.Random(language)
        for target, source, side in ((language, "en", 1), ("en", language, 0)):
            chosen = [
                (pair[1 - side], pair[side])
                for pair in pairs
                if min(map(len, pair)) >= MIN_LETTERS * (0.3 + 0.7 * (target == "en"))
            ]
            chosen = chosen[side :: 2 * SPOILED]
            letters = "".join(sorted({c for _, output in chosen for c in output.lower() if c.isalpha()}))
            own = {scripts[language], "Latn"}
            others = [
                word
                for other, some in words.items()
                if scripts[other] not in own
                for word in some
                if dominant_script(word) not in {*own, ""}
            ]
            for kind, forms in FAULTS.items():
                for form, make in forms.items():
                    spoiled = [(text, make(Right(text, output, target, letters, others, rng))) for text, output in chosen]
                    found = rejections(spoiled, source, target)
                    caught[kind][form].update(map(bool, found))
                    write_missed(
                        missed, kind, form, target, [pair for pair, rule in zip(spoiled, found, strict=True) if not rule]
                    )
    return caught


def write_missed(file: Path | None, kind: str, form: str, language: str, pairs: Pairs) -> None:
    if file:
        with file.open("a", encoding="utf-8") as out:
            out.writelines(f"{kind}\t{form}\t{language}\t{text!r}\t{output!r}\n" for text, output in pairs)


def show_faults(caught: dict[str, dict[str, Counter[bool]]]) -> dict[str, float]:
    """Print the share of each kind and form that is found; return those of the kinds."""
    print("faults found")
    shares = {}
    for kind, forms in caught.items():
        total = sum(forms.values(), Counter[bool]())
        shares[kind] = round(total[True] / max(1, total.total()), 4)
        print(f"    {kind:30} {shares[kind]:7.1%} of {total.total():,}")
        for form, counts in forms.items():
            print(f"        {form:34} {counts[True] / max(1, counts.total()):7.1%}")
    return shares


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ntrex", type=Path, required=True)
    parser.add_argument("--parallel", type=Path, help="folder of other corpora, in Moses form")
    parser.add_argument("--apertium", action="store_true", help="translate with the installed modes of Apertium")
    parser.add_argument("--step", type=int, default=2, help="read every STEP-th held-out line (2)")
    parser.add_argument("--quick", action="store_true", help="--step 20")
    parser.add_argument("--rejected", type=Path, help="write the right outputs that are rejected to this file")
    parser.add_argument("--missed", type=Path, help="write the faults that are not found to this file")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    step = 20 if options.quick else options.step
    corpora, right = ntrex(options.ntrex, step), RightOutputs(options.rejected)
    for language, pairs in corpora.items():
        right.add("NTREX, from English", ("en", language), pairs)
        right.add("NTREX, to English", (language, "en"), [(target, source) for source, target in pairs])
    for corpus, language, pairs in moses(options.parallel, step) if options.parallel else ():
        right.add(f"{corpus}, from English", ("en", language), pairs)
        right.add(f"{corpus}, to English", (language, "en"), [(target, source) for source, target in pairs])
    for source, target, pairs in apertium(corpora) if options.apertium else ():
        right.add(f"Apertium, {source}→{target}", (source, target), pairs)
    shares, found = right.show(), show_faults(spoil(corpora, options.missed))
    print(json.dumps({"rejected": {name: round(share, 6) for name, share in shares.items()}, "found": found}))


if __name__ == "__main__":
    main()
