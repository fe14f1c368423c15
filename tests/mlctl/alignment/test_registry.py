"""The registry, and the aligner fast_align behind the protocol of an aligner."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlctl.alignment import registry
from mlctl.alignment.aligner import Aligner, Links, Pair, Sentence
from mlctl.config import Align
from mlctl.config.align import Symmetrisation
from mlctl.errors import InputError


def sentence(words: list[str]) -> Sentence:
    spans, end = [], 0
    for word in words:
        spans.append((end, end + len(word)))
        end += len(word) + 1
    return Sentence(" ".join(words), spans)


def vague(rows: int = 60, seed: int = 2) -> list[Pair]:
    """Pairs with uncertain links."""
    draw, pairs = random.Random(seed), []
    for _ in range(rows):
        words = [f"w{draw.randint(0, 20)}" for _ in range(draw.randint(2, 8))]
        others = [f"v{word[1:]}" if draw.random() < 0.6 else "v99" for word in words[1:]] + ["v50"]
        pairs.append((sentence(words), sentence(others)))
    return pairs


def trained(pairs: list[Pair], symmetrisation: Symmetrisation = "grow-diag-final-and") -> Aligner:
    aligner = registry.create_aligner(Align(engine="fast_align", symmetrisation=symmetrisation), "en", "fr", 0)
    aligner.train(iter(pairs))
    return aligner


def same(a: list[Links], b: list[Links]) -> bool:
    return all(
        np.array_equal(expected.words, actual.words) and np.array_equal(expected.confidence, actual.confidence)
        for expected, actual in zip(a, b, strict=True)
    )


def test_symmetrisations_lie_between_intersection_and_union() -> None:
    pairs = vague()
    cells = {name: [set(map(tuple, links.words.tolist())) for links in trained(pairs, name).align(pairs)] for name in _HEURISTICS}
    for row in range(len(pairs)):
        for name in _HEURISTICS:
            assert cells["intersection"][row] <= cells[name][row] <= cells["union"][row]
    sizes = {name: sum(map(len, rows)) for name, rows in cells.items()}
    assert sizes["intersection"] < sizes["grow-diag"] <= sizes["grow-diag-final-and"] <= sizes["union"]
    assert sizes["intersection"] > 0.3 * sizes["union"]  # the directions look at the same pairs the same way round


_HEURISTICS: tuple[Symmetrisation, ...] = get_args(Symmetrisation)


def test_what_is_saved_aligns_as_what_was_trained(tmp_path: Path) -> None:
    pairs, others = vague(), vague(seed=5)
    aligner = trained(pairs)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    aligner.save(tmp_path / "a")
    trained(pairs).save(tmp_path / "b")
    files = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("a", "b")]
    assert files[0] == files[1]
    assert not any(b"w1 " in content for content in files[0].values())  # no sentence is kept
    loaded = registry.load_aligner(Align(engine="fast_align"), "en", "fr", 0, tmp_path / "a")
    assert same(loaded.align(others), aligner.align(others))
    assert same(loaded.align(others[:7]), loaded.align(others)[:7])  # a pair's links are its own


def test_links_are_sorted_once_each_with_a_confidence() -> None:
    pairs = vague()
    for (source, target), links in zip(pairs, trained(pairs, "union").align(pairs), strict=True):
        words = links.words.tolist()
        assert links.words.dtype == np.int32
        assert links.confidence.dtype == np.float32
        assert words == sorted(words)
        assert len(set(map(tuple, words))) == len(words) == len(links.confidence)
        assert (links.words < [len(source.spans), len(target.spans)]).all()
        assert ((links.confidence >= 0) & (links.confidence <= 1)).all()


#: Words that break vocabulary files: spaces, control characters, reserved words, other planes.
_ODD = st.lists(
    st.one_of(
        st.sampled_from(["NULL", "UNKNOWN_WORD", "<UNUSED_WORD>", "\x00", "a\x00b", "|||", "\u2028", "\x1c"]),
        st.text("\x00\x01aé我😀\u0301\x7f", min_size=1, max_size=3),
    ),
    min_size=1,
    max_size=4,
)


@given(rows=st.lists(st.tuples(_ODD, _ODD), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_odd_words_survive_the_files(rows: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("model")
    pairs = [(sentence(source), sentence(target)) for source, target in rows]
    aligner = trained(pairs)
    aligner.save(folder)
    assert same(registry.load_aligner(Align(engine="fast_align"), "en", "fr", 0, folder).align(pairs), aligner.align(pairs))


def test_empty_sides_and_unknown_words_are_no_crash() -> None:
    empty = (sentence([]), sentence(["v1"]))
    aligner = trained([empty, *vague()])
    none, unknown = aligner.align([empty, (sentence(["never", "seen"]), sentence(["nor", "this"]))])
    assert none.words.shape == (0, 2)
    assert ((unknown.confidence >= 0) & (unknown.confidence <= 1)).all()


@pytest.mark.parametrize("engine", ["fast_align", "eflomal"])
def test_a_folder_without_a_model_is_said(tmp_path: Path, engine: Any) -> None:
    with pytest.raises(InputError, match="model"):
        registry.load_aligner(Align(engine=engine), "en", "fr", 0, tmp_path)


@pytest.mark.parametrize("engine", ["embedding", "combined"])
def test_an_encoder_is_asked_for_by_name(engine: Any) -> None:
    with pytest.raises(InputError, match=f"en-fr: align.engine={engine} needs an encoder") as raised:
        registry.create_aligner(Align(engine=engine), "en", "fr", 0)
    assert "align.encoder" in raised.value.remedy
