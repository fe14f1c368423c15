"""`clean.scores` through the stage: the column, the rules, workers, kills, and scorers that fail."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import forked
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ray_cluster import cluster_of_one
from word_encoders import save_word_encoder

from mlctl.cleaning import clean
from mlctl.cleaning.reader import PART_ROWS
from mlctl.config import Clean, Languages
from mlctl.config.scores import EncoderScore
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.execution.ray_backend import RayBackend
from mlctl.schema import PAIR, REJECTED
from mlctl.scoring.encoder import EncoderScorer

SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
TRANSLATIONS = {f"{a}{b}s": f"{b}{a}x" for a in SYLLABLES[:20] for b in SYLLABLES[20:30]}
WORDS = list(TRANSLATIONS)
#: Settings that leave the made-up words alone.
SETTINGS = {"language_letters": 10_000, "max_repeats": 0, "near_duplicates": "off", "min_likelihood": -3}
LENGTH = (
    "import os, sys\n"
    "for line in sys.stdin:\n"
    "    source, target = line.rstrip('\\n').split('\\t')\n"
    "    print(len(target) - len(source) / 3)\n"
)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_word_encoder(tmp_path_factory.mktemp("encoder"), TRANSLATIONS)


def make_pairs(count: int, seed: int = 0, wrong: int = 10) -> list[tuple[str, str]]:
    """Translations word for word; one word of every `wrong`th pair is another one."""
    draw = random.Random(seed)
    pairs = []
    for number in range(count):
        words = draw.sample(WORDS, draw.randint(3, 7))
        target = [TRANSLATIONS[word] for word in words]
        if number % wrong == 0:
            target[0] = TRANSLATIONS[draw.choice(WORDS)]
        pairs.append((" ".join(words), " ".join(target)))
    return pairs


def write(folder: Path, pairs: list[tuple[str, str]], language: str = "fr", scores: list[dict[str, float]] | None = None) -> None:
    path = folder / f"in/pairs/{language}/00-a.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    same = {"source_language": "en", "target_language": language, "corpus": "a", "version": "", "licence": "", "synthetic": ""}
    rows = [
        {**same, "source": source, "target": target, "origin": str(n), "scores": list(scores[n].items()) if scores else None}
        for n, (source, target) in enumerate(pairs)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=PAIR), path)


def run(folder: Path, scores: dict[str, Any], out: str = "out", encoder: Path | None = None, **settings: Any) -> Path:
    (folder / out).mkdir(exist_ok=True)
    values = {**SETTINGS, "workers": 1, **settings, "scores": scores}
    encoders = dict.fromkeys(scores, encoder) if encoder else {}
    languages = Languages(targets=tuple(sorted(path.name for path in (folder / "in/pairs").iterdir())))
    clean(Clean.model_validate(values), languages, folder / "in", Workspace(folder / out), encoders=encoders)
    return folder / out


def rows(path: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return [{**row, "scores": dict(row["scores"] or [])} for row in listed]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def command(folder: Path, code: str = LENGTH) -> dict[str, Any]:
    file = folder / "program.py"
    file.write_text(code, encoding="utf-8")
    return {"kind": "command", "command": [sys.executable, str(file)]}


def test_each_kind_is_in_the_column_and_drops_in_order(tmp_path: Path, encoder: Path) -> None:
    pairs = make_pairs(40)
    pairs[5] = pairs[4]  # a duplicate is not scored
    write(tmp_path, pairs, scores=[{"laser": n / 10, "other": 1.0} if n % 2 else {} for n in range(40)])
    scores = {
        "e5": {"kind": "encoder", "model": "-", "min": 0.99, "min_characters": 0},
        "laser": {"kind": "corpus", "min": 1},
        "length": {**command(tmp_path), "min_percentile": 20},
    }
    out = run(tmp_path, scores, encoder=encoder)
    kept, dropped = rows(out / "pairs/fr.parquet"), rows(out / "rejected/fr.parquet")
    assert pq.read_schema(out / "pairs/fr.parquet").equals(PAIR)
    assert pq.read_schema(out / "rejected/fr.parquet").equals(REJECTED)
    score = EncoderScorer(EncoderScore(model="-"), encoder, "cpu", "e5").score
    cosines = score([s for s, _ in pairs], [t for _, t in pairs], "en", "fr")
    for row in (*kept, *dropped):
        number = int(row["origin"])
        corpus = {"laser": pytest.approx(number / 10), "other": 1.0} if number % 2 else {}
        if row.get("rule") == "duplicate":
            assert row["scores"] == corpus
            continue
        source, target = pairs[number]
        own = {"e5": pytest.approx(cosines[number], abs=1e-6), "length": pytest.approx(len(target) - len(source) / 3)}
        assert row["scores"] == corpus | own
    rules = {int(row["origin"]): row["rule"] for row in dropped}
    assert {number for number, rule in rules.items() if rule == "score e5"} == {0, 10, 20, 30}
    assert {number for number, rule in rules.items() if rule == "score laser"} == {1, 3, 7, 9}
    lengths = {int(row["origin"]): row["scores"]["length"] for row in (*kept, *dropped) if row.get("rule") != "duplicate"}
    cut = sorted(lengths.values())[int(0.2 * 39)]
    assert {number for number, rule in rules.items() if rule == "score length"} == {
        number for number, length in lengths.items() if length < cut and number not in {0, 10, 20, 30, 1, 3, 7, 9}
    }
    assert rules[5] == "duplicate"
    funnel = [row["rule"] for row in pq.read_table(out / "funnel.parquet").to_pylist()]
    assert funnel[-3:] == ["score e5", "score laser", "score length"]
    assert list(json.loads((out / "reasons.json").read_text()))[-3:] == funnel[-3:]
    histogram = pq.read_table(out / "scores/fr.parquet").to_pylist()
    assert [sum(row["pairs"] for row in histogram if row["score"] == name) for name in scores] == [39, 19, 39], "kept pairs alone"
    assert {row["cut"] for row in histogram if row["score"] == "length"} == {cut}
    examples = pq.read_table(out / "score_examples/fr.parquet").to_pylist()
    assert {row["source"] for row in examples if row["score"] == "e5" and not row["kept"]} == {
        pairs[n][0] for n in (0, 10, 20, 30)
    }


def test_a_score_without_limits_drops_nothing_and_is_no_rule(tmp_path: Path) -> None:
    write(tmp_path, make_pairs(30))
    without = run(tmp_path, {}, out="without")
    assert not (without / "scores").exists()
    out = run(tmp_path, {"length": command(tmp_path)})
    assert all("length" in row["scores"] for row in rows(out / "pairs/fr.parquet"))
    assert content(out)["funnel.parquet"] == content(without)["funnel.parquet"]


def test_a_lexicon_score_is_what_the_rule_decides_by(tmp_path: Path) -> None:
    pairs = make_pairs(1500)
    targets = [target for _, target in pairs]
    for number in range(60):
        pairs[number] = pairs[number][0], targets[number + 1]
    write(tmp_path, pairs)
    by_rule = run(tmp_path, {}, out="rule", likelihood_pairs=400, min_likelihood=-0.3)
    by_score = run(tmp_path, {"lexicon": {"kind": "lexicon", "min": -0.3}}, likelihood_pairs=400)
    dropped = [
        {row["origin"] for row in rows(out / "rejected/fr.parquet") if row["rule"] in ("unlikely translation", "score lexicon")}
        for out in (by_rule, by_score)
    ]
    assert len(dropped[0]) > 30
    assert dropped[0] == dropped[1]


def test_without_a_lexical_model_a_lexicon_score_drops_nothing(tmp_path: Path) -> None:
    write(tmp_path, make_pairs(30))
    out = run(tmp_path, {"lexicon": {"kind": "lexicon", "min_percentile": 50}})
    assert len(rows(out / "pairs/fr.parquet")) == 30
    assert all(row["scores"] == {} for row in rows(out / "pairs/fr.parquet"))


def test_the_short_last_part_is_compared_with_as_many_pairs_as_others(tmp_path: Path, encoder: Path) -> None:
    pairs = make_pairs(PART_ROWS + 50, wrong=3)
    write(tmp_path, pairs)
    out = run(tmp_path, {"margin": {"kind": "encoder", "model": "-", "metric": "margin", "min_characters": 0}}, encoder=encoder)
    last = {int(row["origin"]): row["scores"]["margin"] for row in rows(out / "pairs/fr.parquet")}
    settings = EncoderScore(model="-", metric="margin")
    window = [row for row in sorted(last) if row >= 50]
    scorer = EncoderScorer(settings, encoder, "cpu", "margin")
    expected = scorer.score([pairs[row][0] for row in window], [pairs[row][1] for row in window], "en", "fr")
    own = [row >= PART_ROWS for row in window]
    assert sum(own) == 50
    assert [last[row] for row in window if row >= PART_ROWS] == pytest.approx(expected[own].tolist(), abs=1e-6)


def test_short_pairs_have_no_encoder_score_and_are_nobodys_neighbours(tmp_path: Path, encoder: Path) -> None:
    """The longer side counts; with every scored pair below the limit, the short ones are all that is left."""
    pairs = make_pairs(60)
    lengths = [max(len(side) for side in pair) for pair in pairs]
    assert {17, 23, 29} <= set(lengths)  # three, four and five words of five characters
    write(tmp_path, pairs)
    score = {"kind": "encoder", "model": "-", "metric": "margin", "min_characters": 24}
    scores = {"m": score, "dropping": {**score, "min": 99.0}}
    out = run(tmp_path, scores, encoder=encoder)
    kept, dropped = rows(out / "pairs/fr.parquet"), rows(out / "rejected/fr.parquet")
    assert {int(row["origin"]) for row in kept} == {number for number, length in enumerate(lengths) if length < 24}
    assert all(not row["scores"] for row in kept)
    scorer = EncoderScorer(EncoderScore(model="-", metric="margin"), encoder, "cpu", "m")
    scored = [int(row["origin"]) for row in dropped]
    expected = scorer.score([pairs[row][0] for row in scored], [pairs[row][1] for row in scored], "en", "fr")
    assert [row["scores"]["m"] for row in dropped] == pytest.approx(expected.tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys\nfor line in sys.stdin: print('nan')", r"clean\.scores\.own: the score of a pair is nan"),
        ("import sys\nfor line in list(sys.stdin)[1:]: print(1)", r"clean\.scores\.own: .*: it wrote 29 scores for 30 pairs"),
    ],
)
def test_a_scorer_that_fails_is_one_error_and_what_is_done_stays(code: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, make_pairs(30))
    with pytest.raises(InputError, match=message):
        run(tmp_path, {"first": {"kind": "lexicon"}, "own": command(tmp_path, code)})
    done = {path: path.stat().st_ino for path in (tmp_path / "out/.scratch/clean-fr").rglob("0*.parquet")}
    assert len(done) == 2  # the filtered part and its first score
    broken = (tmp_path / "out/.scratch/clean-fr/rules.parquet").stat().st_ino
    scores = {"first": {"kind": "lexicon"}, "own": command(tmp_path)}
    inodes: list[int] = []
    (tmp_path / "out").mkdir(exist_ok=True)
    values = Clean.model_validate({**SETTINGS, "workers": 1, "scores": scores})

    def progress(*_: Any, **__: Any) -> None:
        inodes.extend(path.stat().st_ino for path in [*done, tmp_path / "out/.scratch/clean-fr/rules.parquet"] if path.exists())

    clean(values, Languages(targets=("fr",)), tmp_path / "in", Workspace(tmp_path / "out"), progress)
    assert set(inodes) == {*done.values(), broken}
    assert content(tmp_path / "out") == content(run(tmp_path, scores, out="again"))


# With a second argument the process kills itself as soon as such a file exists.
SCRIPT = """
import json, os, signal, sys, threading, time
from pathlib import Path
job = json.loads(sys.argv[1])
root, when = Path(job["root"]), job["when"]
def kill_in_the_middle():
    while not list(root.glob(when)):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)
if when:
    threading.Thread(target=kill_in_the_middle, daemon=True).start()
from mlctl.cleaning import clean
from mlctl.config import Clean, Languages
from mlctl.core.workspace import Workspace
encoders = {name: Path(path) for name, path in job["encoders"].items()}
clean(Clean.model_validate(job["settings"]), Languages(targets=("de", "fr")), Path(job["in"]), Workspace(root), encoders=encoders)
"""


@pytest.mark.slow
def test_workers_and_kills_change_nothing(tmp_path: Path, encoder: Path) -> None:
    write(tmp_path, make_pairs(PART_ROWS + 900))
    write(tmp_path, make_pairs(60, seed=1), "de")
    scores = {
        "cosine": {"kind": "encoder", "model": "-", "min_percentile": 5, "min_characters": 0},
        "margin": {"kind": "encoder", "model": "-", "metric": "margin", "min_percentile": 2, "min_characters": 0},
        "length": command(tmp_path),
    }

    def script(out: str, when: str = "", workers: int = 2) -> int:
        (tmp_path / out).mkdir(exist_ok=True)
        encoders = {name: str(encoder) for name in ("cosine", "margin")}
        settings = {**SETTINGS, "workers": workers, "scores": scores}
        job = {"root": str(tmp_path / out), "in": str(tmp_path / "in"), "when": when, "encoders": encoders, "settings": settings}
        return forked.run_script(SCRIPT, json.dumps(job))

    assert script("one", workers=1) == 0
    kept: dict[str, int] = {}
    for when in ("cosine/0*", "margin/.part*", "margin/0*1.parquet", "length/0*"):
        assert script("killed", f".scratch/clean-fr/scores/{when}") == -signal.SIGKILL
        folder = tmp_path / "killed/.scratch/clean-fr/scores"
        done = {str(path.relative_to(folder)): path.stat().st_ino for path in folder.glob("*/0*.parquet")}
        assert done.items() >= kept.items(), "done again"
        kept = done
    assert len([name for name in kept if name.startswith("cosine")]) == 2
    assert script("killed") == 0
    assert content(tmp_path / "killed") == content(tmp_path / "one")
    assert {name for name in content(tmp_path / "one") if name.startswith("score")} == {
        f"{kind}/{language}.parquet" for kind in ("scores", "score_examples") for language in ("de", "fr")
    }


@pytest.mark.ray
@pytest.mark.slow
def test_on_ray_the_scores_are_the_same_to_the_byte(tmp_path: Path, encoder: Path) -> None:
    for language, seed in (("fr", 0), ("de", 1)):
        write(tmp_path, make_pairs(1500, seed), language)  # of each a part, and together enough for workers
    margin = {"kind": "encoder", "model": "-", "metric": "margin", "min_percentile": 5, "min_characters": 0, "device": "cpu"}
    scores = {"margin": margin, "length": command(tmp_path), "lexicon": {"kind": "lexicon"}}
    here = run(tmp_path, scores, encoder=encoder)
    values = Clean.model_validate({**SETTINGS, "workers": 2, "scores": scores})
    (tmp_path / "ray").mkdir()
    workspace = Workspace(tmp_path / "ray")
    with cluster_of_one(tmp_path) as address, RayBackend(address, workspace) as cluster:
        languages, encoders = Languages(targets=("de", "fr")), dict.fromkeys(scores, encoder)
        clean(values, languages, tmp_path / "in", workspace, backend=cluster, encoders=encoders)
    assert content(tmp_path / "ray") == content(here)


def test_a_run_without_scorers_does_not_load_torch(tmp_path: Path) -> None:
    write(tmp_path, make_pairs(30))
    code = (
        "import sys; from pathlib import Path; from mlctl.cleaning import clean; from mlctl.config import Clean, Languages\n"
        "from mlctl.core.workspace import Workspace\n"
        "clean(Clean.model_validate({'scores': {'l': {'kind': 'lexicon'}}}), Languages(targets=('fr',)), Path(sys.argv[1]), Workspace(Path(sys.argv[2])))\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    (tmp_path / "out").mkdir()
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "in"), str(tmp_path / "out")], check=True)


def test_scores_are_for_pairs_alone(tmp_path: Path) -> None:
    write(tmp_path, [*make_pairs(9), (WORDS[0], None)])  # type: ignore[list-item]
    out = run(tmp_path, {"length": {**command(tmp_path), "min": 99}})
    assert [row["scores"] for row in rows(out / "untranslated/fr.parquet")] == [{}]
    assert len(rows(out / "rejected/fr.parquet")) == 9
    assert np.all([row["rule"] == "score length" for row in rows(out / "rejected/fr.parquet")])
