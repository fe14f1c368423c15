"""How much right translation the rules for faulty outputs reject, and how much of each kind of fault they find.

    python benchmarks/translation_faults.py --ntrex FOLDER [--quick]

FOLDER has NTREX-128 (`newstest2019-src.eng.txt`, `newstest2019-ref.XXX.txt`, plain or .gz). Its human translations, in both directions,
stand for right output. The rules were chosen on every 25th line: these are left out. Faults are made from the same translations. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from mojibake import files, read_lines

from mlctl.translation.backend import Translation
from mlctl.translation.output_checks import check_outputs

CHOSEN = 25  # the rules were chosen on one line of so many
ANSWERS = (
    "I apologize, but I am unable to translate this text.",
    "As a language model, I do not have access to that.",
    "Could you please provide the text that you would like me to translate?",
)
Spoil = Callable[[str, str, str, random.Random], str]


def loop(source: str, output: str, other: str, rng: random.Random) -> str:
    """Break off and repeat the last characters to four times the length."""
    del source, other
    cut = output[: max(6, int(len(output) * rng.uniform(0.2, 0.8)))]
    phrase = cut[-rng.randint(4, 30) :]
    return cut + phrase * (1 + 2 * len(output) // len(phrase))


def gibberish(source: str, output: str, other: str, rng: random.Random) -> str:
    del source, other
    return output + "".join(" " + "".join(rng.choices("bcdfghjklmnpqrstvwxz", k=rng.randint(5, 9))) for _ in range(6))


FAULTS: dict[str, Spoil] = {
    "loop": loop,
    "twice": lambda _, output, __, ___: f"{output} {output}",
    "six times": lambda _, output, __, ___: " ".join([output] * 6),
    "gibberish tail": gibberish,
    "beginning only": lambda _, output, __, ___: output[: max(1, len(output) // 8)],
    "punctuation": lambda _, __, ___, rng: "".join(rng.choices(".,;:!?-", k=rng.randint(1, 12))),
    "refusal": lambda _, __, ___, rng: rng.choice(ANSWERS),
    "introduction": lambda _, output, __, ___: f"Here's the translated sentence:\n\n{output}",
    "explanation": lambda _, output, __, ___: f"{output}\n\nExplanation: The name was not translated.",
    "JSON": lambda _, output, __, ___: json.dumps({"translation": output}),
    "bold": lambda _, output, __, ___: f"**{output}**",
    "untranslated": lambda source, _, __, ___: source,
    "another sentence": lambda _, __, other, ___: other,
}


def rejections(pairs: Sequence[tuple[str, str]], source: str, target: str) -> list[str]:
    """Return the rule that rejects each output of (text, output); "": none."""
    outputs = check_outputs([text for text, _ in pairs], [Translation(output) for _, output in pairs], source, target)
    return [output.rule for output in outputs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ntrex", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="one line of 50")
    options = parser.parse_args()
    sources = read_lines(next(options.ntrex.glob("newstest2019-src.eng.txt*")))
    right: dict[str, Counter[str]] = {}
    rules, caught = Counter[str](), defaultdict[str, Counter[bool]](Counter)
    for language, file in files(options.ntrex):
        if language == "en":
            continue
        rng, counts, targets = random.Random(0), right.setdefault(language, Counter()), read_lines(file)
        numbers = [n for n in range(min(len(sources), len(targets))) if n % CHOSEN and sources[n] and targets[n]]
        pairs = [(sources[n], targets[n]) for n in numbers[:: 50 if options.quick else 4]]
        found = rejections(pairs, "en", language) + rejections([(target, source) for source, target in pairs], language, "en")
        counts.update(outputs=len(found), rejected=sum(map(bool, found)))
        rules.update(filter(None, found))
        others = [targets[rng.choice(numbers)] for _ in pairs]
        for kind, spoil in FAULTS.items():
            spoiled = [(text, spoil(text, output, other, rng)) for (text, output), other in zip(pairs, others, strict=True)]
            caught[kind].update(map(bool, rejections(spoiled, "en", language)))
    total = sum(right.values(), Counter[str]())
    print("language: right outputs rejected")
    for language, counts in sorted(right.items(), key=lambda item: -item[1]["rejected"]):
        if counts["rejected"]:
            print(f"    {language:10}{counts['rejected']:6} of {counts['outputs']:,}")
    print(f"    {'all':10}{total['rejected']:6} of {total['outputs']:,}; by rule: {dict(rules.most_common())}")
    shares = {kind: round(counts[True] / counts.total(), 4) for kind, counts in caught.items()}
    print("kind of fault: share found\n" + "\n".join(f"    {kind:20}{share:8.1%}" for kind, share in shares.items()))
    print(
        json.dumps(
            {"outputs": total["outputs"], "rejected_share": round(total["rejected"] / total["outputs"], 6), "found": shares}
        )
    )


if __name__ == "__main__":
    main()
