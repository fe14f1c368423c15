"""The words that training word pairs may have: all of them, or those that a lexicon confirms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_pairs import MODEL, SETTINGS, made, row, rows_of, workspace, write
from test_content_words import links, word_pairs

from mlctl import schema
from mlctl.config import Languages
from mlctl.errors import InputError
from mlctl.sharding import shard
from mlctl.sharding.lexicon_filter import read_translations


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (row("the cat", "le chat"), [("the", "le"), ("cat", "chat")]),
        (row("the cat the dog", "le chat le chien"), [("the", "le"), ("cat", "chat"), ("the", "le"), ("dog", "chien")]),
        (row("cat cat", "chat minou", links=links((0, 1), (1, 0))), [("cat", "minou"), ("cat", "chat")]),
        (row("of the cat", "du chat", links=links((0, 0), (1, 0), (2, 1))), [("of the", "du"), ("cat", "chat")]),
        (row("a 12 , ?", "u 12 , ?"), [("a", "u"), ("12", "12")]),  # punctuation has nothing to learn from
    ],
)
def test_all_words_are_told_apart_by_their_links(pair: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert word_pairs(pair, all_words=True) == expected


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (row("The Cat sat", "Le chat assis"), [("Cat", "chat")]),  # sat has another translation, the function words are left out
        (row("cat dog", "chien chat"), []),  # a wrong link
        (row("dog", "Chien"), [("dog", "Chien")]),
        (row("cat dog pig", "chat chien porc", links=links((0, 0), (0, 1), (1, 1), (2, 2))), []),  # a block, and a word not in it
    ],
)
def test_word_pairs_that_the_lexicon_confirms(pair: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert word_pairs(pair, translations={"cat": "chat", "dog": "chien", "sat": "était", "the": "le"}) == expected


def lexicon(file: Path, entries: list[tuple[str, str, float, float]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    names = ("source", "target", "forward", "backward")
    rows = [dict(zip(names, entry, strict=True)) | {"count": 1.0} for entry in entries]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema.LEXICON), file)
    return file


def test_translations_are_mutual_and_probable(tmp_path: Path) -> None:
    entries = [
        *[("cat", "chat", 0.8, 0.9), ("cat", "minou", 0.2, 1.0)],  # minou's best is cat, cat's is chat
        *[("dog", "chien", 0.4, 0.4), ("hound", "chien", 0.9, 0.3)],  # hound's best is chien, chien's is dog
        *[("pig", "porc", 0.5, 0.5), ("pig", "cochon", 0.5, 0.5)],  # of equals the first
    ]
    file = lexicon(tmp_path / "lexicon.parquet", entries)
    assert read_translations(file, 0.0) == {"cat": "chat", "dog": "chien", "pig": "porc"}
    assert read_translations(file, 0.5) == {"cat": "chat", "pig": "porc"}
    assert read_translations(file, 0.81) == {}


WORDS = st.sampled_from("abc")
SHARES = st.sampled_from([0.1, 0.25, 0.5, 0.75])


@given(st.dictionaries(st.tuples(WORDS, WORDS), st.tuples(SHARES, SHARES), max_size=9), st.sampled_from([0.0, 0.25, 0.5]))
def test_translations_against_a_search(entries: dict[tuple[str, str], tuple[float, float]], least: float) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        rows = [(*words, *shares) for words, shares in entries.items()]
        found = read_translations(lexicon(Path(folder) / "lexicon.parquet", rows), least)
    best_of_source = {s: max((row for row in rows if row[0] == s), key=lambda row: row[2]) for s, _ in entries}
    best_of_target = {t: max((row for row in rows if row[1] == t), key=lambda row: row[3]) for _, t in entries}
    expected = {
        row[0]: row[1] for row in rows if row == best_of_source[row[0]] == best_of_target[row[1]] and min(row[2:]) >= least
    }
    assert found == expected


def test_a_stage_trains_on_confirmed_words_and_holds_out_content_words(tmp_path: Path) -> None:
    pairs = made("fr", 300)
    aligned = write(tmp_path / "aligned", {"fr": pairs})
    words = sorted({word for pair in pairs for word in pair["source"].split()} - {"the", "The", "again", "!"})
    confirmed = {word: f"{word}fr" for word in words[::2]} | {"the": "le"}
    lexicon(aligned / "models" / "fr" / "lexicon.parquet", [(a, b, 0.9, 0.9) for a, b in confirmed.items()])
    pieces = {}
    for name, changes in (("content", {}), ("confirmed", {"words": "all", "min_lexicon_probability": 0.5})):
        work = workspace(tmp_path / name)
        shard(SETTINGS.model_copy(update=changes), MODEL, Languages(targets=("fr",)), 5, aligned, work)
        assert rows_of(work.path("heldout")) == rows_of(tmp_path / "content" / "heldout"), "the questions are the same"
        pieces[name] = {
            (item["source"], tuple(word_pair.values())): word_pair
            for item in rows_of(work.path("train"))
            for word_pair in item["word_pairs"]
        }
    new = pieces["confirmed"].keys() - pieces["content"].keys()
    assert 0 < len(pieces["confirmed"]) < len(pieces["content"]) + len(new)
    assert new, "the function word"
    assert all(source.casefold().startswith("the ") for source, _ in new)


def test_without_a_lexicon_the_setting_says_so(tmp_path: Path) -> None:
    aligned = write(tmp_path / "aligned", {"fr": made("fr", 30)})
    changed = SETTINGS.model_copy(update={"min_lexicon_probability": 0.0})
    with pytest.raises(InputError, match=r"min_lexicon_probability needs lexicon\.parquet"):
        shard(changed, MODEL, Languages(targets=("fr",)), 5, aligned, workspace(tmp_path / "out"))
