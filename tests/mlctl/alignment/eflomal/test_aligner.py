"""The default aligner end to end: it learns a toy language, saves its model, and gives the same bytes however it is run."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mlctl.alignment.aligner import Links, Pair, Sentence
from mlctl.alignment.eflomal import aligner as eflomal
from mlctl.alignment.eflomal import chains
from mlctl.alignment.eflomal.aligner import EflomalAligner
from mlctl.alignment.eflomal.chains import SamplingPlan
from mlctl.alignment.eflomal.model import ChainModel
from mlctl.errors import InputError
from mlctl.schema import LEXICON


def sentence(words: list[str]) -> Sentence:
    ends = np.cumsum([len(word) + 1 for word in words]).tolist()
    return Sentence(" ".join(words), [(end - 1 - len(word), end - 1) for word, end in zip(words, ends, strict=True)])


def toy(pairs: int, seed: int = 1, words: int = 60, mark: str = "") -> tuple[list[Pair], list[set[tuple[int, int]]]]:
    """Pairs of a toy language that translates word by word, with neighbouring words swapped at random; and their gold links."""
    draw = random.Random(seed)
    names = [f"{mark}{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(words)]
    result, gold = [], []
    for _ in range(pairs):
        source = [
            names[number] for number in dict.fromkeys(int(draw.paretovariate(0.6)) % words for _ in range(draw.randint(4, 14)))
        ]
        order = sorted(range(len(source)), key=lambda index: index + draw.uniform(0, 1.6))
        result.append((sentence(source), sentence([translated(source[index]) for index in order])))
        gold.append({(index, new) for new, index in enumerate(order)})
    return result, gold


def translated(word: str) -> str:
    return "".join(chr(ord(letter) + 0x500) for letter in word)  # Armenian


def errors(links: list[Links], gold: list[set[tuple[int, int]]]) -> float:
    """Return the alignment error rate, all gold links being sure."""
    predicted = [{(i, j) for i, j in pair_links.words.tolist()} for pair_links in links]
    shared = sum(len(cells & gold_cells) for cells, gold_cells in zip(predicted, gold, strict=True))
    return 1 - 2 * shared / sum(len(cells) + len(gold_cells) for cells, gold_cells in zip(predicted, gold, strict=True))


def trained(pairs: list[Pair], **options: object) -> EflomalAligner:
    aligner = EflomalAligner("grow-diag-final-and", 3, **options)  # type: ignore[arg-type]
    aligner.train(iter(pairs))
    return aligner


def digest(folder: Path) -> str:
    found = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        found.update(file.name.encode() + file.read_bytes())
    return found.hexdigest()


def same(one: list[Links], other: list[Links]) -> bool:
    return all(
        np.array_equal(a.words, b.words) and np.array_equal(a.confidence, b.confidence) for a, b in zip(one, other, strict=True)
    )


def test_a_toy_language_is_learned() -> None:
    pairs, gold = toy(250)
    links = trained(pairs).align(pairs)
    assert errors(links, gold) < 0.04
    for (source, target), each in zip(pairs, links, strict=True):
        assert each.words.dtype == np.int32
        assert each.confidence.dtype == np.float32
        assert each.words.tolist() == [list(link) for link in sorted({(i, j) for i, j in each.words.tolist()})]
        assert (each.words >= 0).all()
        assert (each.words < (len(source.spans), len(target.spans))).all()
        assert ((each.confidence > 0) & (each.confidence <= 1)).all()


def test_new_sentences_are_aligned_by_a_loaded_model_and_new_words_among_themselves(tmp_path: Path) -> None:
    aligner = trained(toy(250)[0])
    aligner.save(tmp_path)
    loaded = EflomalAligner.load(tmp_path, "grow-diag-final-and", 3)
    pairs, gold = toy(60, seed=2)
    assert same(aligner.align(pairs), loaded.align(pairs))
    assert errors(loaded.align(pairs), gold) < 0.05
    unknown, gold = toy(40, seed=4, words=20, mark="x")
    assert errors(loaded.align(unknown), gold) < 0.1


def test_what_is_new_to_a_model_is_sampled_the_longer_the_fewer_the_pairs() -> None:
    sweeps = [eflomal.adaptation_sweeps(pairs, new) for pairs, new in ((100_000, 0.0), (100, 0.0), (5_000, 0.05), (500, 0.05))]
    assert sweeps[0] == sweeps[1] == 0 < sweeps[2] < sweeps[3]


def test_links_of_known_words_do_not_depend_on_what_else_is_aligned() -> None:
    aligner = trained(toy(250)[0])
    pairs, others = toy(40, seed=2)[0], toy(30, seed=5)[0]
    assert same(aligner.align([*others, *pairs])[30:], aligner.align(pairs))


def test_threads_and_processes_change_no_byte(tmp_path: Path) -> None:
    pairs, _ = toy(120)
    folders = [tmp_path / name for name in ("one", "three", "process")]
    for folder in folders:
        folder.mkdir()
    one, three = trained(pairs), trained(pairs, threads=3)
    one.save(folders[0])
    three.save(folders[1])
    assert same(one.align(pairs), three.align(pairs))
    code = "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import test_aligner as t; t.trained(t.toy(120)[0], threads=2).save(pathlib.Path(sys.argv[2]))"
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent), str(folders[2])], check=True, env=environment)
    assert digest(folders[0]) == digest(folders[1]) == digest(folders[2])


def test_another_seed_draws_otherwise() -> None:
    pairs, _ = toy(60)
    other = EflomalAligner("grow-diag-final-and", 4)
    other.train(pairs)
    assert not same(trained(pairs).align(pairs), other.align(pairs))


def test_priors_help_where_there_is_little_text(tmp_path: Path) -> None:
    trained(toy(300, words=200)[0]).save(tmp_path)
    pairs, gold = toy(8, seed=5, words=200)
    alone, helped = trained(pairs), trained(pairs, priors=tmp_path)
    assert errors(helped.align(pairs), gold) < errors(alone.align(pairs), gold) / 2


def test_the_heuristic_is_the_one_that_is_asked_for(tmp_path: Path) -> None:
    right, _ = toy(40)
    wrong = [(source, target) for (source, _), (_, target) in itertools.pairwise(right)]
    trained(wrong).save(tmp_path)
    names = ("intersection", "grow-diag", "grow-diag-final-and", "union")
    links = [EflomalAligner.load(tmp_path, name, 3).align(wrong) for name in names]  # type: ignore[arg-type]
    sizes = [sum(len(each.words) for each in found) for found in links]
    assert sizes == sorted(set(sizes))


def test_the_lexicon_has_the_translations(tmp_path: Path) -> None:
    words = [f"{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(60)]
    numbered = (
        sentence(words),
        sentence([translated(word) for word in (*words[1:], words[0])]),
    )  # no word has its translation's number
    trained([numbered, *toy(250)[0]]).save(tmp_path)
    table = pq.read_table(tmp_path / "lexicon.parquet")
    assert table.schema.equals(LEXICON)
    rows = {(row["source"], row["target"]): row for row in table.to_pylist()}
    assert min(rows["ab", translated("ab")]["forward"], rows["ab", translated("ab")]["backward"]) > 0.9
    for name, side in (("forward", "source"), ("backward", "target")):
        sums = table.group_by(side).aggregate([(name, "sum")])[f"{name}_sum"].to_numpy()
        assert 0.5 < sums.max() <= 1.001


def inflected(pairs: int, seed: int) -> tuple[list[Pair], list[set[tuple[int, int]]]]:
    """The toy language with longer words, each form of which has an ending of its own, so that nearly no form is met twice."""
    made, gold = toy(pairs, seed=seed)
    draw = np.random.default_rng(seed)

    def form(word: str) -> str:
        return word * 2 + "".join(map(chr, draw.integers(97, 123, 3)))

    worded = [[[form(side.text[start:end]) for start, end in side.spans] for side in pair] for pair in made]
    return [(sentence(source), sentence(target)) for source, target in worded], gold


def test_forms_that_are_met_once_are_aligned_by_their_families(monkeypatch: pytest.MonkeyPatch) -> None:
    (pairs, gold), (new, gold_of_new) = inflected(250, seed=1), inflected(60, seed=2)
    aligner = trained(pairs)
    together, frozen = errors(aligner.align(pairs), gold), errors(aligner.align(new), gold_of_new)
    assert max(together, frozen) < 0.06
    monkeypatch.setattr(eflomal, "replace_by_stems", lambda pairs, _: pairs)
    assert errors(trained(pairs).align(pairs), gold) > 2 * together, "without stems"


def test_words_spelled_alike_find_each_other_where_there_is_hardly_any_text(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{first}{second}{third}" for first in "bdf" for second in "aei" for third in "lmn"]
    draw = np.random.default_rng(3)
    pairs, gold = [], []
    for _ in range(6):
        source = draw.choice(names, 6, replace=False).tolist()
        order = draw.permutation(6)
        pairs.append((sentence(source), sentence([source[place] for place in order])))
        gold.append({(int(place), new) for new, place in enumerate(order)})
    assert errors(trained(pairs).align(pairs), gold) < 0.05
    monkeypatch.setattr(eflomal, "with_identical_words", lambda state, _: state)
    assert errors(trained(pairs).align(pairs), gold) > 0.15


def test_the_lexicon_has_whole_words_and_goes_on_from_the_earlier_one(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    word, form, other = "abab", "ababst", "\u0561\u0562"
    trained([(sentence([word, "x"]), sentence([other, "y"]))] * 30).save(folders[0])
    trained([(sentence([form, "x"]), sentence([other, "y"]))] * 10, priors=folders[0]).save(folders[1])
    first, second = (
        {(row["source"], row["target"]): row for row in pq.read_table(folder / "lexicon.parquet").to_pylist()}
        for folder in folders
    )
    assert first[word, other]["count"] == pytest.approx(30, abs=1)
    assert (form, other) not in first
    assert second[word, other]["count"] == pytest.approx(30, abs=1)
    assert second[form, other]["count"] == pytest.approx(10, abs=1)
    assert second["x", "y"]["count"] == pytest.approx(40, abs=2)
    assert second[form, other]["forward"] > 0.9
    assert second[word, other]["backward"] == pytest.approx(0.75, abs=0.05)


def test_an_earlier_lexicon_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    trained(toy(10)[0]).save(tmp_path)
    (tmp_path / "lexicon.parquet").write_bytes(b"text")
    with pytest.raises(InputError, match=r"lexicon\.parquet"):
        EflomalAligner("union", 3, tmp_path)  # before anything is learned


@pytest.mark.slow
def test_links_that_still_move_are_sampled_longer_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    parallel, _ = toy(250)
    unrelated = [(source, target) for (source, _), (_, target) in zip(parallel, reversed(parallel), strict=True)]
    sweeps: list[int] = []

    def record(group: chains.Chains, extra: int, averaged: int) -> list[ChainModel]:
        sweeps.append(extra)
        return chains.average_sweeps(group, extra, averaged)

    monkeypatch.setattr(eflomal, "average_sweeps", record)
    monkeypatch.setattr(eflomal, "sampling_plan", lambda _: SamplingPlan((1, 1, 4), 1, 3, best_of_two=2, extra=5))
    trained(parallel)
    assert set(sweeps) == {0}
    sweeps.clear()
    single = trained(unrelated)
    assert set(sweeps) == {5}
    six = EflomalAligner("grow-diag-final-and", 3, threads=6)
    six.train(unrelated)
    for expected, actual in zip(single.align(unrelated), six.align(unrelated), strict=True):
        assert np.array_equal(expected.confidence, actual.confidence)


@pytest.mark.slow
def test_hostile_words_are_words_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eflomal, "sampling_plan", lambda _: SamplingPlan((1, 1, 2), 1, 2))  # hundreds of words a side take long
    hostile = ["", "\0", "|||", "\u2028", "\ud800", "a\udfffb", "\ufeff", "💥" * 50, "0-1", "-"]
    text = "".join(hostile)
    ends = np.cumsum([len(word) for word in hostile]).tolist()
    odd = Sentence(text, [(end - len(word), end) for word, end in zip(hostile, ends, strict=True)])
    pairs = [(odd, odd), (sentence(["a"]), odd), (odd, sentence(["b"] * 1000)), (sentence(["a"] * 250), sentence(["b"] * 250))]
    aligner = trained(pairs * 2)
    aligner.save(tmp_path)
    links = EflomalAligner.load(tmp_path, "union", 3).align(pairs)
    assert len(links) == len(pairs)
    assert links[0].words.max() < len(hostile)


def test_nothing_to_learn_and_nothing_to_align(tmp_path: Path) -> None:
    aligner = trained([])
    assert aligner.align([]) == []
    pairs, _ = toy(5)
    assert len(aligner.align(pairs)) == 5
    aligner.save(tmp_path)
    assert same(EflomalAligner.load(tmp_path, "grow-diag-final-and", 3).align(pairs), aligner.align(pairs))


def test_a_long_list_is_aligned_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, gold = toy(120)
    aligner = trained(pairs)
    monkeypatch.setattr(eflomal, "_BLOCK_PAIRS", 50)
    links = aligner.align(pairs)
    assert len(links) == 120
    assert same(links[50:100], aligner.align(pairs[50:100]))
    assert errors(links, gold) < 0.05


@pytest.mark.parametrize("damage", ["missing", "cut", "other"])
def test_a_damaged_model_is_named(tmp_path: Path, damage: str) -> None:
    trained(toy(10)[0]).save(tmp_path)
    file = tmp_path / "forward-0.npz"
    if damage == "missing":
        for each in tmp_path.glob("forward-*"):
            each.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-200])
    else:
        (tmp_path / "source.parquet").write_bytes(b"text")
    with pytest.raises(InputError, match=str(tmp_path)):
        EflomalAligner.load(tmp_path, "union", 1)


_MEASURE = """
import random, resource, sys
sys.path.insert(0, sys.argv[1])
import test_aligner as t
from mlctl.alignment.eflomal.chains import Chains, empty_state
from mlctl.alignment.eflomal.vocabulary import encode_pairs
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
def run(number):
    draw = random.Random(1)
    words = [f"w{k}" for k in range(20000)]
    def side():
        return t.sentence([words[int(draw.paretovariate(0.5)) % 20000] for _ in range(25)])
    pairs = encode_pairs((side(), side()) for _ in range(number))
    chains = []
    for corpus, v, w in ((pairs.corpus, pairs.source, pairs.target), (pairs.corpus.reversed(), pairs.target, pairs.source)):
        chains.append(Chains(corpus, empty_state(1, len(v), len(w)), len(w), [1]))
        for stage in (0, 2):
            chains[-1].sweep(stage)
run(3000)
before = peak()
run(23000)
print((peak() - before) / 20000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory in kilobytes")
def test_memory_for_each_pair_of_sentences_is_bounded() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", _MEASURE, str(Path(__file__).parent)]
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    assert float(done.stdout) < 1500  # of random words, none of which is a translation: real text takes less
