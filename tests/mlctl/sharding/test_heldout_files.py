"""No held-out sentence is trained on, on either side, whatever it is paired with: read from the files on disk."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from made_pairs import LANGUAGES, MODEL, SETTINGS, VOCABULARY, row, rows_of, workspace, write

from mlctl.sharding import shard

SHARED = 40  # sentences that two pairs have


def same_text(text: str) -> str:
    """Return the letters and digits of a text, by other means than the library's."""
    return "".join(character for character in unicodedata.normalize("NFKC", text).casefold() if character.isalnum())


def sentence(draw: random.Random, suffix: str = "") -> str:
    """Return a sentence of five words: too short for a passage, so that it is recognised as a whole or not at all."""
    return " ".join(f"{word}{suffix}" for word in draw.sample(VOCABULARY, 5))


def pairs(shared: str) -> dict[str, list[dict[str, Any]]]:
    """Return aligned pairs of French and German, `SHARED` sentences of which stand in two pairs; all others are unique."""
    draw = random.Random(3)
    found = {language: [row(sentence(draw), sentence(draw, language), language) for _ in range(200)] for language in ("fr", "de")}
    for number in range(SHARED):
        text, other = found["fr"][number]["target"], found["fr"][number]["source"]
        new = {
            "target, another source": row(sentence(draw), text),
            "target in other case, another source": row(sentence(draw), text.upper() + " !"),
            "target, another language": row(sentence(draw), text, "de"),
            "target as a source": row(text, sentence(draw, "de"), "de"),
            "source, another target": row(other, sentence(draw, "fr")),
            "source as a target": row(sentence(draw), other, "de"),
        }[shared]
        found[new["target_language"]].insert(number * 3, new)
    return found


@pytest.mark.parametrize(
    "shared",
    [
        "target, another source",
        "target in other case, another source",
        "target, another language",
        "target as a source",
        "source, another target",
        "source as a target",
    ],
)
def test_a_held_out_sentence_is_in_no_training_row(tmp_path: Path, shared: str) -> None:
    aligned = pairs(shared)
    settings = SETTINGS.model_copy(update={"heldout_pairs": 1000})  # as many as may be: a tenth of the pairs
    root = workspace(tmp_path / "work").root
    shard(settings, MODEL, LANGUAGES, 1, write(tmp_path / "aligned", aligned), workspace(root))
    heldout = {language: pq.read_table(root / "heldout" / f"{language}.parquet").to_pylist() for language in ("fr", "de")}
    training = rows_of(root / "train")
    assert len(training) > 250
    assert all(len(found) >= 20 for found in heldout.values())
    held = {same_text(pair[side]) for found in heldout.values() for pair in found for side in ("source", "target")}
    dev_pairs = rows_of(root / "dev")
    dev = {same_text(pair[side]) for pair in dev_pairs for side in ("source", "target")}
    for side in ("source", "target"):
        assert held.isdisjoint(same_text(found[side]) for found in training), side
        assert dev.isdisjoint(same_text(found[side]) for found in training), side
    assert dev.isdisjoint(held)
    assert len(dev_pairs) > 15, "a twentieth of the pairs"


def test_held_out_pairs_do_not_depend_on_dev_pairs(tmp_path: Path) -> None:
    aligned = write(tmp_path / "aligned", pairs("target as a source"))
    roots = {number: workspace(tmp_path / str(number)).root for number in (0, 5)}
    metrics = {}
    for number, root in roots.items():
        settings = SETTINGS.model_copy(update={"dev_pairs": number})
        metrics[number] = shard(settings, MODEL, LANGUAGES, 1, aligned, workspace(root))
    held = [[(pair["source"], pair["target"]) for pair in rows_of(root / "heldout")] for root in roots.values()]
    assert held[0] == held[1]
    assert (rows_of(roots[0] / "dev"), len(rows_of(roots[5] / "dev"))) == ([], 10)
    assert [metrics[number][f"{language}.dev"] for number in roots for language in ("fr", "de")] == [0, 0, 5, 5]


def test_no_passage_of_a_dev_pair_is_trained_on(tmp_path: Path) -> None:
    """Messages made from one template would be on both sides."""
    draw = random.Random(5)
    template = " ".join(draw.sample(VOCABULARY, 8))
    same = [row(f"{template} {word}", f"{sentence(draw)} {word}fr") for word in draw.sample(VOCABULARY, 60)]
    aligned = write(tmp_path / "aligned", {"fr": same + pairs("target as a source")["fr"]})
    settings = SETTINGS.model_copy(update={"heldout_pairs": 0, "max_length": 64, "dev_pairs": 12})
    root = workspace(tmp_path / "work").root
    shard(settings, MODEL, LANGUAGES.model_copy(update={"targets": ("fr",)}), 1, aligned, workspace(root))
    in_dev, in_training = (sum(pair["source"].startswith(template) for pair in rows_of(root / name)) for name in ("dev", "train"))
    assert in_dev > 0
    assert in_training == 0
    rules = {found["rule"]: found["rows_in"] - found["rows_out"] for found in pq.read_table(root / "funnel.parquet").to_pylist()}
    assert (rules["dev pair"], rules["dev passage"]) == (12, 60 - in_dev)


def test_a_dev_pair_has_no_passage_of_a_held_out_pair(tmp_path: Path) -> None:
    draw = random.Random(5)
    template = " ".join(draw.sample(VOCABULARY, 8))
    same = [row(f"{template} {word}", f"{sentence(draw)} {word}fr") for word in draw.sample(VOCABULARY, 60)]
    aligned = write(tmp_path / "aligned", {"fr": same + pairs("target as a source")["fr"]})
    settings = SETTINGS.model_copy(update={"heldout_pairs": 12, "max_length": 64, "dev_pairs": 12})
    root = workspace(tmp_path / "work").root
    shard(settings, MODEL, LANGUAGES.model_copy(update={"targets": ("fr",)}), 1, aligned, workspace(root))
    with_template = [sum(pair["source"].startswith(template) for pair in rows_of(root / name)) for name in ("heldout", "dev")]
    assert with_template[0] > 0
    assert with_template[1] == 0
    assert len(rows_of(root / "dev")) == 12


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_held_out_sentence_is_in_one_pair_of_its_language(tmp_path: Path, side: str) -> None:
    """Retrieval has one right answer, so that no other pair may have the sentence."""
    aligned = pairs(f"{side}, another {'target' if side == 'source' else 'source'}")
    settings = SETTINGS.model_copy(update={"heldout_pairs": 1000})
    root = workspace(tmp_path / "work").root
    shard(settings, MODEL, LANGUAGES, 1, write(tmp_path / "aligned", aligned), workspace(root))
    texts = [same_text(pair[side]) for pair in aligned["fr"]]
    assert all(texts.count(same_text(pair[side])) == 1 for pair in rows_of(root / "heldout") if pair["target_language"] == "fr")


@pytest.mark.parametrize("shared", ["target, another language", "target as a source"])
def test_training_pairs_are_dropped_by_the_rule_that_names_the_reason(tmp_path: Path, shared: str) -> None:
    aligned, root = pairs(shared), workspace(tmp_path / "work").root
    settings = SETTINGS.model_copy(update={"heldout_pairs": 1000})
    shard(settings, MODEL, LANGUAGES, 1, write(tmp_path / "aligned", aligned), workspace(root))
    heldout = rows_of(root / "heldout")
    held = {same_text(pair[side]) for pair in heldout for side in ("source", "target")}
    chosen = {pair["source"] for pair in heldout if pair["target_language"] == "de"}
    rest = [pair for pair in aligned["de"] if pair["source"] not in chosen]
    expected = sum(not held.isdisjoint({same_text(pair["source"]), same_text(pair["target"])}) for pair in rest)
    rules = {found["rule"]: found for found in pq.read_table(root / "funnel.parquet").to_pylist() if found["language"] == "de"}
    assert 0 < expected == rules["held-out text"]["rows_in"] - rules["held-out text"]["rows_out"]
