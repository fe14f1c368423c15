from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_pairs import MODEL, SETTINGS, contents, made, row, rows_of, workspace, write
from tokenizers import Tokenizer

from mlctl import schema
from mlctl.config import Languages
from mlctl.sharding import shard
from mlctl.sharding.content_words import ContentWords, SideWords
from mlctl.sharding.phrase_blocks import find_blocks
from mlctl.sharding.word_frequency_cap import WordFrequencyCap


def word_pairs(pair: dict[str, Any], **changes: Any) -> list[tuple[str, str]]:
    chosen = {
        "source_stop_words": frozenset({"the", "of"}),
        "target_stop_words": frozenset({"le", "de"}),
        "min_letters": 2,
        **changes,
    }
    batch = pa.Table.from_pylist([row("x y", "u v"), pair], schema=schema.ALIGNED).to_batches()[0]
    result = ContentWords(**{"blocks": True, "min_confidence": 0.0, **chosen}).word_pairs(
        batch, SideWords.of(batch, "source"), SideWords.of(batch, "target")
    )
    words = pair["source"].split(" "), pair["target"].split(" ")
    indices = zip((result.source - 2).tolist(), (result.target - 2).tolist(), result.rows.tolist(), strict=True)
    return [(" ".join(words[0][a:b]), " ".join(words[1][c:d])) for (a, b), (c, d), number in indices if number == 1]


def links(*pairs: tuple[int, int]) -> list[dict[str, int]]:
    return [{"source": source, "target": target} for source, target in pairs]


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (row("the cat sat", "le chat assis"), [("cat", "chat"), ("sat", "assis")]),
        (row("cat cat dog", "chat minou chien"), [("dog", "chien")]),  # cat: which one is meant?
        (row("Cat cat dog", "chat minou chien"), [("dog", "chien")]),
        (row("cat dog pig", "bête bête porc"), [("pig", "porc")]),
        (
            row("cat dog pig", "chat chien porc", links=links((0, 0), (0, 1), (1, 1), (2, 2))),
            [("cat dog", "chat chien"), ("pig", "porc")],
        ),
        (row("a 12 cat ?", "u 12 chat ?"), [("cat", "chat")]),
        (row("cat dog", "chat chien", links=[]), []),
        (row("cat 猫 ไป", "猫 c ไ"), [("cat", "猫"), ("ไป", "ไ")]),
        (row("THE cat", "LE chat"), [("cat", "chat")]),
    ],
)
def test_word_pairs_of_content_words(pair: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert word_pairs(pair) == expected


BLOCKS = [
    (row("the data base", "le Datenbank", links=links((1, 1), (2, 1))), [("data base", "Datenbank")]),
    (row("a potato now", "une pomme de terre", links=links((1, 1), (1, 2), (1, 3))), [("potato", "pomme de terre")]),
    (row("a house", "le maison", links=links((1, 0), (1, 1))), []),  # a function word at an end
    (row("cat sat", "chat est assis", links=links((0, 0), (0, 2), (1, 1))), [("sat", "est")]),  # assis is far from chat
    (row("gave it up", "abandonna cela", links=links((0, 0), (2, 0), (1, 1))), [("it", "cela")]),
    (row("big big data", "Massendaten", links=links((1, 0), (2, 0))), []),  # which big?
    (row("ab cd ef gh", "ij kl", links=links((0, 0), (1, 0), (2, 1), (3, 1))), [("ab cd", "ij"), ("ef gh", "kl")]),
    (row("ab cd ef gh ij", "kl", links=links(*((word, 0) for word in range(5)))), []),  # five words
    (row("ab cd ef gh ij", "kl", links=links(*((word, 0) for word in range(4)))), [("ab cd ef gh", "kl")]),
    (row("ab cd ef", "gh ij kl", links=links((0, 1), (1, 0), (1, 2), (2, 2))), [("ab", "ij")]),
]


@pytest.mark.parametrize(("pair", "expected"), BLOCKS)
def test_blocks_of_words_linked_to_each_other_alone(pair: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert word_pairs(pair) == expected
    assert word_pairs(pair, blocks=False) == [word_pair for word_pair in expected if " " not in "".join(word_pair)]


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), unique=True, max_size=9), max_size=4))
@settings(max_examples=200, deadline=None)
def test_blocks_are_what_a_search_finds(sentences: list[list[tuple[int, int]]]) -> None:
    sentences = [sorted(pairs) for pairs in sentences]
    rows = np.array([number for number, pairs in enumerate(sentences) for _ in pairs], np.int64)
    flat = np.array([pair for pairs in sentences for pair in pairs], np.int64).reshape(-1, 2)
    result = find_blocks(rows, flat, np.linspace(0, 1, len(flat), dtype=np.float32))
    actual = {
        (row, *source, *target)
        for row, source, target in zip(result.rows.tolist(), result.source.tolist(), result.target.tolist(), strict=True)
    }
    assert actual == {(number, *block) for number, pairs in enumerate(sentences) for block in searched(pairs)}
    assert len(actual) == len(result.rows)


def searched(pairs: list[tuple[int, int]]) -> Iterator[tuple[int, int, int, int]]:
    """Yield the rectangles that are full of words which hang together by links."""
    left = list(pairs)
    while left:
        group = [left.pop(0)]
        for one in group:
            joined = [other for other in left if one[0] == other[0] or one[1] == other[1]]
            group += joined
            left = [other for other in left if other not in joined]
        sources, targets = ({pair[side] for pair in group} for side in (0, 1))
        if all(max(words) - min(words) + 1 == len(words) for words in (sources, targets)):
            yield min(sources), max(sources) + 1, min(targets), max(targets) + 1


def test_word_pairs_of_little_confidence_are_left_out() -> None:
    pair = row("cat dog pig", "chat chien porc", links=links((0, 0), (1, 1), (1, 2), (2, 2)), confidences=[0.7, 0.2, 0.9, 1.0])
    assert word_pairs(pair, min_confidence=0.7) == [("cat", "chat"), ("dog pig", "chien porc")]
    assert word_pairs(pair, min_confidence=0.71) == []


def limited(folder: Path, aligned: Path, seed: int, **changes: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    work = workspace(folder)
    changed = SETTINGS.model_copy(update={"heldout_pairs": 0, "dev_pairs": 0, **changes})
    return shard(changed, MODEL, Languages(), seed, aligned, work), rows_of(work.path("train"))


def source_words(rows: list[dict[str, Any]], folder: Path) -> Counter[str]:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))
    return Counter(
        tokenizer.decode(item["source_ids"][word_pair["source_start"] : word_pair["source_end"]])
        for item in rows
        for word_pair in item["word_pairs"]
    )


def test_no_word_has_more_word_pairs_than_the_limit(tmp_path: Path) -> None:
    aligned = write(tmp_path / "aligned", {"fr": made("fr", 300)})
    _, free = limited(tmp_path / "free", aligned, 5, word_frequency_cap=None)
    metrics, rows = limited(tmp_path / "some", aligned, 5, word_frequency_cap=4)
    before, after = source_words(free, tmp_path / "free"), source_words(rows, tmp_path / "some")
    assert max(before.values()) > 8
    assert all(min(count, 4) - after[word] in (0, 1, 2) for word, count in before.items())  # equal texts go together
    assert max(after.values()) == 4
    assert sum(after.values()) > 0.9 * sum(min(count, 4) for count in before.values())
    funnel = pq.read_table(tmp_path / "some" / "funnel.parquet").to_pylist()[-1]
    assert (funnel["rule"], funnel["rows_in"], funnel["rows_out"]) == ("word frequency cap", len(free), len(rows))
    assert metrics["word_pairs"] == sum(after.values())
    assert metrics["fr.word_pairs_per_row"] == round(sum(after.values()) / len(rows), 4)
    _, others = limited(tmp_path / "others", aligned, 6, word_frequency_cap=4)
    assert [item["word_pairs"] for item in others] != [item["word_pairs"] for item in rows]


def test_the_limit_does_not_depend_on_the_size_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aligned = write(tmp_path / "aligned", {"fr": made("fr", 150)})
    limited(tmp_path / "one", aligned, 5, word_frequency_cap=2, max_synthetic=1.0)
    monkeypatch.setattr("mlctl.sharding.stage.RUN_PAIRS", 23)
    limited(tmp_path / "many", aligned, 5, word_frequency_cap=2, max_synthetic=1.0)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


@pytest.mark.parametrize("most", [1, 40, 400])
def test_the_limit_takes_the_lowest_draws_of_each_word(most: int) -> None:
    rng = np.random.default_rng(1)
    words = [rng.choice(40, size=rng.integers(1, 6), replace=False, p=np.arange(1, 41) / 820).tolist() for _ in range(3000)]
    keys = np.sort(rng.integers(0, 1 << 63, 3000).astype(np.uint64))
    table = pa.table({"key": keys, "word_pairs": pa.array(words), "word_pair_words": pa.array(words, pa.list_(pa.uint64()))})
    kept = WordFrequencyCap.fit(lambda: iter([table.slice(0, 1000), table.slice(1000)]), most)(table)
    counts = Counter(itertools.chain.from_iterable(words))
    left = Counter(itertools.chain.from_iterable(kept["word_pair_words"].to_pylist()))
    assert left == {word: min(count, most) for word, count in counts.items()}
    assert kept["word_pairs"].to_pylist() == kept["word_pair_words"].to_pylist()
    assert all(kept["word_pairs"].to_pylist())


def test_the_cap_holds_for_what_the_limit_left(tmp_path: Path) -> None:
    human = [row(f"cat dog {number}", f"chat chien {number}") for number in range(90)]  # the limit leaves two or so
    rows = [*human, *({**item, "synthetic": "target"} for item in made("fr", 150))]
    aligned = write(tmp_path / "aligned", {"fr": rows})
    _, left = limited(tmp_path / "work", aligned, 5, word_frequency_cap=3, max_synthetic=1.0, stop_words=1)
    synthetic = sum(bool(item["synthetic"]) for item in left)
    assert 0 < synthetic <= len(left) - synthetic
    table = pq.read_table(tmp_path / "work" / "funnel.parquet").to_pylist()
    assert [item["rule"] for item in table][-2:] == ["synthetic cap", "word frequency cap"]
    assert table[-1]["rows_out"] == len(left)


def test_the_share_of_pairs_without_word_pairs_is_told(tmp_path: Path) -> None:
    rows = made("fr", 60)
    none = [row(f"one two {number}", f"un deux {number}", links=[]) for number in range(len(rows))]
    metrics, _ = limited(tmp_path / "work", write(tmp_path / "aligned", {"fr": rows + none}), 0)
    assert metrics["fr.without_word_pair"] == 0.5
