"""The effect of a lexicon of earlier text on the rule for unlikely translations."""

from __future__ import annotations

import itertools
import random
import signal
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import forked
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlctl.cleaning import clean, prior_lexicon
from mlctl.cleaning.filters.translation_likelihood import UnlikelyTranslation
from mlctl.cleaning.ibm_model1 import EncodedTexts, IbmModel1, Prior, Vocabulary, split_words
from mlctl.cleaning.prior_lexicon import PriorLexicon
from mlctl.config import Clean, Languages
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.schema import LEXICON, PAIR

# Language identification is off: the made-up words are of no language.
SETTINGS = Clean(language_letters=10_000, workers=1)
SYLLABLES = [a + b for a in "bdfgklmnprst" for b in "aeiou"]
WORDS = ["".join(draw.sample(SYLLABLES, 2)) for draw in map(random.Random, range(400))]


def write_lexicon(file: Path, rows: Sequence[tuple[str, str, float]]) -> Path:
    columns = [[row[number] for row in rows] for number in (0, 1, 2)]
    table = pa.table([*columns[:2], *[[0.5] * len(rows)] * 2, columns[2]], names=LEXICON.names)
    pq.write_table(table.cast(LEXICON), file, row_group_size=7)
    return file


def foreign(word: str) -> str:
    return word[::-1] + "x"


def lexicon(folder: Path, count: float = 400.0) -> Path:
    """Every word with its translation, and now and then with the next word's."""
    pairs = itertools.pairwise([*WORDS, WORDS[0]])
    entries = [entry for word, other in pairs for entry in ((word, foreign(word), count), (word, foreign(other), count / 20))]
    return write_lexicon(folder / "lexicon.parquet", entries)


def write_pairs(folder: Path, count: int, wrong: int) -> None:
    """Pairs of made-up sentences; the first `wrong` ones have the next one's translation."""
    draw = random.Random(count)
    sources = [draw.sample(WORDS, draw.randint(7, 12)) for _ in range(count)]
    shifted = [*sources[1:wrong], sources[0], *sources[wrong:]] if wrong else sources
    rows = [
        dict.fromkeys(PAIR.names[:-1], "")
        | {"source": " ".join(text), "target": " ".join(map(foreign, other)), "origin": str(number)}
        for number, (text, other) in enumerate(zip(sources, shifted, strict=True))
    ]
    (folder / "in/pairs/fr").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=PAIR), folder / "in/pairs/fr/00.parquet")


def unlikely(folder: Path, lexicons: dict[str, Path], out: str) -> set[int]:
    (folder / out).mkdir(exist_ok=True)
    clean(SETTINGS, Languages(targets=("fr",)), folder / "in", Workspace(folder / out), lexicons=lexicons)
    rejected = pq.read_table(folder / out / "rejected/fr.parquet").to_pylist()
    return {int(row["origin"]) for row in rejected if row["rule"] == UnlikelyTranslation.name}


def test_a_lexicon_lets_few_pairs_be_judged(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=60, wrong=12)
    assert unlikely(tmp_path, {}, "alone") == set()
    assert unlikely(tmp_path, {"fr": lexicon(tmp_path)}, "with") == set(range(12))
    few = {"fr": lexicon(tmp_path, count=1.0)}  # 400 links are not the worth of 2,000 pairs
    assert unlikely(tmp_path, few, "few") == set()
    assert unlikely(tmp_path, {"de": lexicon(tmp_path)}, "other") == set(), "another language's"


def test_a_lexicon_of_other_words_says_nothing(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=60, wrong=12)
    strange = write_lexicon(tmp_path / "strange.parquet", [("zzz", "yyy", 1e6), (WORDS[0], "yyy", 1e6)])
    assert unlikely(tmp_path, {"fr": strange}, "out") == set()


SCRIPT = """
import os, signal, sys
from pathlib import Path
from mlctl.cleaning import clean
from mlctl.config import Clean, Languages
from mlctl.core.workspace import Workspace
def progress(done, total, unit, **figures):
    if done:
        os.kill(os.getpid(), signal.SIGKILL)
root = Path(sys.argv[1])
settings = Clean(language_letters=10_000, workers=1)
clean(settings, Languages(targets=("fr",)), root / "in", Workspace(root / "out"), progress, {"fr": root / "lexicon.parquet"})
"""


def test_a_kill_changes_nothing(tmp_path: Path) -> None:
    write_pairs(tmp_path, count=60, wrong=12)
    lexicons = {"fr": lexicon(tmp_path)}
    (tmp_path / "out").mkdir()
    assert forked.run_script(SCRIPT, str(tmp_path)) == -signal.SIGKILL
    assert not (tmp_path / "out/pairs/fr.parquet").exists()
    assert unlikely(tmp_path, lexicons, "out") == unlikely(tmp_path, lexicons, "calm") == set(range(12))
    names = ("pairs/fr.parquet", "rejected/fr.parquet", "funnel.parquet")
    assert all((tmp_path / "out" / name).read_bytes() == (tmp_path / "calm" / name).read_bytes() for name in names)


@pytest.mark.parametrize("content", [b"", b"PAR1 no more", None])
def test_what_is_no_lexicon_is_named(content: bytes | None, tmp_path: Path) -> None:
    write_pairs(tmp_path, count=60, wrong=0)
    file = tmp_path / "lexicon.parquet"
    if content is None:
        pq.write_table(pa.table({"word": ["a"]}), file)
    else:
        file.write_bytes(content)
    with pytest.raises(InputError, match=r"lexicon\.parquet: cannot be read as a lexicon"):
        unlikely(tmp_path, {"fr": file}, "out")


def parts(word: str) -> list[str]:
    return [part for part in split_words(word) if not any(map(str.isdigit, part))]


def expected(
    entries: Sequence[tuple[str, str, float]], source_words: Vocabulary, target_words: Vocabulary
) -> dict[tuple[str, str], float]:
    """The links of words with words, counted one by one."""
    counts: defaultdict[tuple[str, str], float] = defaultdict(float)
    for source, target, count in entries:
        longer = max(len(split_words(source)), len(split_words(target)))
        for one, other in itertools.product(parts(source), parts(target)):
            if one in source_words.words and other in target_words.words:
                counts[one, other] += count / longer
    return counts


ENTRY = st.sampled_from(
    ["house", "houses", "maison", "l'", "aujourd'hui", "北京", "京", "大学生", "00", "covid-00", ",", "ß", "it's"]
)
ENTRIES = st.lists(st.tuples(ENTRY, ENTRY, st.sampled_from([0.5, 1.0, 2.0, 30.0])), max_size=40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=ENTRIES, rows=st.sampled_from([1, 3, 1000]))
def test_links_are_those_of_the_words_that_are_counted(
    entries: list[tuple[str, str, float]], rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beginnings of words, letters where words are not spaced, no numbers; however the file is read."""
    monkeypatch.setattr(prior_lexicon, "_BATCH_ROWS", rows)
    texts = [split_words("houses and a house in 北京 2020 00")], [split_words("la maison aujourd'hui 大学 l'eau ss house 00")]
    lexicon = PriorLexicon.read(write_lexicon(tmp_path / "lexicon.parquet", entries), texts)
    vocabularies = Vocabulary(texts[0][0][::-1]), Vocabulary(texts[1][0])
    links = expected(entries, *vocabularies)
    table = np.zeros((len(vocabularies[0]), len(vocabularies[1])))
    for (one, other), count in links.items():
        table[vocabularies[0].words.index(one), vocabularies[1].words.index(other)] = count
    assert lexicon.known == ({one for one, _ in links}, {other for _, other in links})
    for prior, whole in zip(lexicon.priors(vocabularies), (table, table.T), strict=True):
        bounded = whole * np.minimum(1, 10 / np.maximum(whole.sum(1, keepdims=True), 1e-9))
        np.testing.assert_allclose(prior.counts * prior.weights, bounded, rtol=1e-5)


def test_a_lexicon_is_worth_the_pairs_that_teach_as_much_of_these_words(tmp_path: Path) -> None:
    file = write_lexicon(tmp_path / "lexicon.parquet", [("one", "un", 60.0), ("else", "autre", 40.0)])
    texts = [["one", "new"], ["one", "one"]], [["un"], ["un"]]
    assert PriorLexicon.read(file, texts).equivalent_pairs == pytest.approx(0.75 * 100 / 2)
    assert PriorLexicon.read(file, ([], [])).equivalent_pairs == 0


def posterior(texts: list[tuple[list[int], list[int]]], prior: np.ndarray, unigram: np.ndarray) -> np.ndarray:
    """Four rounds of EM for IBM model 1 (Brown et al. 1993) with a Dirichlet prior, word by word, in float64."""
    base = prior + 0.5 * unigram
    table = base / base.sum(1, keepdims=True)
    for _ in range(4):
        counts = base.copy()
        for sources, targets in texts:
            for word in targets:
                shares = 0.9 * table[sources, word] / len(sources)
                np.add.at(counts, (sources, word), shares / (shares.sum() + 0.1 * unigram[word]))
        table = counts / counts.sum(1, keepdims=True)
    return table


def test_the_prior_counts_as_word_pairs_that_were_seen() -> None:
    rng = np.random.default_rng(0)
    texts = [(rng.integers(0, 5, rng.integers(1, 6)), rng.integers(0, 6, rng.integers(1, 6))) for _ in range(40)]
    prior = rng.gamma(0.3, 4, (5, 6)).astype(np.float32)
    sources, targets = (EncodedTexts(np.concatenate(side), np.cumsum([0, *map(len, side)])) for side in zip(*texts, strict=True))
    unigram = (np.bincount(targets.ids, minlength=6) + 1) / (len(targets.ids) + 6)
    table = posterior([(a.tolist(), b.tolist()) for a, b in texts], prior.astype(np.float64), unigram)
    ratio = np.log(0.9 * table / unigram + 0.1)
    single = EncodedTexts(np.arange(5).repeat(6), np.arange(31)), EncodedTexts(np.tile(np.arange(6), 5), np.arange(31))
    scores = IbmModel1.fit(sources, targets, (5, 6), Prior(prior / 2, np.full((5, 1), 2, dtype=np.float32))).scores(*single)
    np.testing.assert_allclose(scores, np.clip(ratio, -2.5, 4).ravel(), rtol=1e-4, atol=1e-5)
