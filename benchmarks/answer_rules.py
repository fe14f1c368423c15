"""EM and F1 of answers, compared with the official scripts of SQuAD and MLQA on the same answers.

    python benchmarks/answer_rules.py --xtreme FOLDER --text FILE … [--answers N]

FOLDER is a checkout of github.com/google-research/xtreme, whose `third_party` has both scripts; FILE is text in any language, plain or .gz: answers
and gold answers are random pieces of its lines, changed in case, with marks and articles added. The exit code is 1 if one value differs. The last
line is JSON.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mlctl.core.text_lines import numbered_lines
from mlctl.evaluation.metrics.answer_scores import Normalise, exact_match, f1, squad_words
from mlctl.evaluation.tasks.question_answering import mlqa_rules

LANGUAGES = ("ar", "de", "en", "es", "hi", "vi", "zh")
MAX_LINES = 2000  # of each file
MAX_CHARACTERS = 25
CHANGES: Sequence[Callable[[str], str]] = (str, str.upper, "The {}!".format, "«{}» la".format, "ال{}、".format)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--xtreme", type=Path, required=True)
    parser.add_argument("--text", type=Path, nargs="+", required=True)
    parser.add_argument("--answers", type=int, default=20_000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rules = list(_rules(options.xtreme / "third_party"))
    draw, lines = random.Random(0), [line for file in options.text for line in _lines(file)]
    compared = different = 0
    for _ in range(options.answers):
        line = draw.choice(lines)
        gold = [_piece(line, draw) for _ in range(draw.randint(1, 3))]
        answer = draw.choice(CHANGES)(draw.choice([*gold, _piece(line, draw)]))
        for name, official, normalise in rules:
            ours = f1(answer, gold, normalise), exact_match(answer, gold, normalise)
            compared += 1
            if ours != official(answer, gold):
                different += 1
                print(f"{name}: {answer!r} for {gold}: {ours}, official {official(answer, gold)}")
    print(json.dumps({"answers": options.answers, "compared": compared, "different": different}))
    sys.exit(bool(different))


def _rules(folder: Path) -> Iterator[tuple[str, Callable[[str, list[str]], tuple[float, float]], Normalise]]:
    """Yield name, official F1 and exact match, and mlctl's rules."""
    squad, mlqa = (_load(folder / f"evaluate_{name}.py") for name in ("squad", "mlqa"))
    metrics = ("f1_score", "exact_match_score")

    def official(module: Any, answer: str, gold: list[str], *more: str) -> tuple[float, float]:
        values = [module.metric_max_over_ground_truths(getattr(module, name), answer, gold, *more) for name in metrics]
        return float(values[0]), float(values[1])

    yield "SQuAD", lambda answer, gold: official(squad, answer, gold), squad_words
    for language in LANGUAGES:
        yield f"MLQA {language}", lambda answer, gold, tag=language: official(mlqa, answer, gold, tag), mlqa_rules(language)


def _load(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _lines(file: Path) -> Iterator[str]:
    return itertools.islice((line for _, line in numbered_lines(file) if line.strip()), MAX_LINES)


def _piece(line: str, draw: random.Random) -> str:
    start = draw.randrange(len(line))
    return line[start : start + draw.randint(0, MAX_CHARACTERS)]


if __name__ == "__main__":
    main()
