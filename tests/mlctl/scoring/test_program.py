"""Scores of programs, with real ones: in all forms of the command line, and failing in all ways."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from mlctl.config.scores import BicleanerAiScore, CometQeScore
from mlctl.errors import InputError
from mlctl.scoring import identity
from mlctl.scoring.program import ProgramScorer
from mlctl.scoring.registry import open_scorer
from mlctl.scoring.scorer import Scorer, checked_scores

SOURCES, TARGETS = ["a\tb", "cc\u2028c", "d"], ["x", "yy\n", "zzz"]
RATIO = "source, target = line.rstrip('\\n').split('\\t'); print(len(target) / len(source))"
STREAM = f"for line in sys.stdin:\n    {RATIO}"
PAIRS = f"for line in open(sys.argv[1], encoding='utf-8'):\n    {RATIO}"
FILES = """
    sources, targets = (open(name, encoding='utf-8').read().split('\\n')[:-1] for name in sys.argv[1:3])
    print('this is no score')
    with open(sys.argv[3], 'w') as out:
        for source, target in zip(sources, targets, strict=True):
            print(len(target) / len(source), file=out)
"""


def program(folder: Path, code: str, executable: bool = False) -> tuple[str, ...]:
    file = folder / "program.py"
    file.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n" + textwrap.dedent(code), encoding="utf-8")
    file.chmod(0o755)
    return (str(file),) if executable else (sys.executable, str(file))


def scores(scorer: Scorer, name: str = "own") -> list[float]:
    return checked_scores(scorer, name, SOURCES, TARGETS, "en", "fr").tolist()


@pytest.mark.parametrize(
    ("code", "arguments"),
    [(STREAM, ()), (PAIRS, ("{pairs}",)), (FILES, ("{sources}", "{targets}", "{scores}"))],
)
def test_pairs_on_standard_input_or_in_files(code: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert scores(ProgramScorer("own", (*program(tmp_path, code), *arguments))) == pytest.approx([1 / 3, 2 / 4, 3])
    assert len(ProgramScorer("own", program(tmp_path, "sys.exit(1)")).score([], [], "en", "fr")) == 0


def test_languages_are_filled_in(tmp_path: Path) -> None:
    code = "for line in sys.stdin: print(len(sys.argv[1]))"
    assert scores(ProgramScorer("own", (*program(tmp_path, code), "{source}-{target}+"))) == [6, 6, 6]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("for line in list(sys.stdin)[1:]: print(1)", r"clean\.scores\.own: .*: it wrote 2 scores for 3 pairs"),
        ("for line in sys.stdin: print('much')", "line 1 of its output is no number: 'much'"),
        ("for line in sys.stdin: print('nan')", r"the score of a pair is nan: 'a\\tb' and 'x'"),
        ("for line in sys.stdin: print('-inf')", "the score of a pair is -inf"),
        ("print('no model', file=sys.stderr); sys.exit(3)", "ended with exit status 3; standard error: no model"),
        ("os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
        ("sys.stdout.buffer.write(b'\\xff\\n')", "another form"),
        ("time.sleep(60)", r"did not end within 1\.3 s for 3 pairs"),
    ],
)
def test_what_a_program_does_wrong_is_one_error(code: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        scores(ProgramScorer("own", program(tmp_path, code), seconds=(1.0, 0.1)))


def test_a_missing_program_is_an_error() -> None:
    with pytest.raises(InputError, match="no executable program '/no/such'"):
        ProgramScorer("own", ["/no/such"])


# What `bicleaner-ai-classify` 3.6 does with these options: columns from 1, the output before the model.
BICLEANER = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument('input', type=argparse.FileType('rt'))
    parser.add_argument('output', nargs='?', type=argparse.FileType('w'), default=sys.stdout)
    parser.add_argument('model')
    parser.add_argument('--scol', default=3, type=int)
    parser.add_argument('--tcol', default=4, type=int)
    for flag in ('--score_only', '--disable_hardrules', '--disable_lm_filter', '--quiet', '-q'):
        parser.add_argument(flag, action='store_true')
    args = parser.parse_args()
    bias = float(open(args.model + '/metadata.yaml').read())
    assert os.environ['BICLEANER_AI_THREADS'] == '1'
    for line in args.input:
        parts = line.split('\\t')
        score = len(parts[args.tcol - 1].strip()) / len(parts[args.scol - 1].strip()) + bias
        args.output.write(f'{score:.3f}\\n' if args.score_only else f'{line.strip()}\\t{score:.3f}\\n')
"""
# What `comet-score` 2.2 does: segments of each file of translations in a JSON file.
COMET = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument('-s', '--sources')
    parser.add_argument('-t', '--translations', nargs='+')
    parser.add_argument('--to_json', default='')
    parser.add_argument('--model', default='Unbabel/wmt22-comet-da')
    parser.add_argument('--gpus', type=int, default=1)
    parser.add_argument('--batch_size', type=int, default=16)
    for flag in ('--quiet', '--only_system'):
        parser.add_argument(flag, action='store_true')
    args = parser.parse_args()
    assert args.model.endswith('.ckpt') and args.gpus == 0
    bias = float(open(args.model).read())
    sides = [[line.strip() for line in open(name, encoding='utf-8')] for name in (args.sources, args.translations[0])]
    segments = [{'src': s, 'mt': t, 'COMET': len(t) / len(s) + bias} for s, t in zip(*sides)]
    print(f'{args.translations[0]}\\tscore: 0.5')
    json.dump({args.translations[0]: segments}, open(args.to_json, 'w'))
"""


def test_bicleaner_ai(tmp_path: Path) -> None:
    (tmp_path / "en-fr").mkdir()
    (tmp_path / "en-fr/metadata.yaml").write_text("2")
    (command,) = program(tmp_path, BICLEANER, executable=True)
    settings = BicleanerAiScore(model=str(tmp_path / "{source}-{target}"), program=command)
    assert scores(open_scorer(settings, "b", "en", "fr"), "b") == pytest.approx([2.333, 2.5, 5])
    before = identity.digest(settings, "b", "en", ["fr"])
    (tmp_path / "en-fr/metadata.yaml").write_text("3")
    assert identity.digest(settings, "b", "en", ["fr"]) != before


def test_comet(tmp_path: Path) -> None:
    checkpoint = tmp_path / "model/checkpoints/model.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("1")
    (command,) = program(tmp_path, COMET, executable=True)
    settings = CometQeScore(model=str(tmp_path / "model"), program=command)
    assert scores(open_scorer(settings, "c", "en", "fr"), "c") == pytest.approx([1 + 1 / 3, 1.5, 4])
    before = identity.digest(settings, "c", "en", ["fr"])
    checkpoint.write_text("2")
    assert identity.digest(settings, "c", "en", ["fr"]) != before
    checkpoint.unlink()
    with pytest.raises(InputError, match=r"clean\.scores\.c\.model: .* has no checkpoint"):
        open_scorer(settings, "c", "en", "fr")


class Wrong:
    compares = False

    def score(self, sources: list[str], *_: object) -> np.ndarray:
        return np.zeros(len(sources) - 1, np.float32)


def test_a_scorer_of_too_few_scores_is_an_error() -> None:
    with pytest.raises(InputError, match=r"clean\.scores\.own: 2 scores for 3 pairs"):
        checked_scores(Wrong(), "own", SOURCES, TARGETS, "en", "fr")  # type: ignore[arg-type]
