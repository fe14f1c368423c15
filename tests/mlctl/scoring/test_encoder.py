"""Scores of an encoder: the cosine of sentence-transformers, and the margin of the paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from word_encoders import save_word_encoder

from mlctl.config.scores import EncoderScore
from mlctl.errors import InputError
from mlctl.scoring.encoder import EncoderScorer, margins

WORDS = {"a": "x", "b": "y", "c": "z", "d": "w"}
SOURCES = ["a b", "b c d", "c", "d a b", "a b"]
TARGETS = ["x y", "y z w", "x", "w x y", "x y z"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_word_encoder(tmp_path_factory.mktemp("encoder"), WORDS)


def scorer(folder: Path, **settings: object) -> EncoderScorer:
    return EncoderScorer(EncoderScore.model_validate({"model": "-", **settings}), folder, "cpu", "e5")


def test_the_cosine_is_that_of_sentence_transformers(folder: Path) -> None:
    model = SentenceTransformer(str(folder), device="cpu")
    sides = [model.encode(side, normalize_embeddings=True) for side in (SOURCES, TARGETS)]
    scores = scorer(folder).score(SOURCES, TARGETS, "en", "fr")
    assert scores.dtype == np.float32
    assert np.allclose(scores, (sides[0] * sides[1]).sum(1), atol=1e-5)
    assert scores[[0, 1, 3]].min() > 0.99 > scores[[2, 4]].max()


def test_a_score_does_not_depend_on_the_other_pairs_of_the_call_or_on_threads(folder: Path) -> None:
    one = scorer(folder)
    whole = one.score(SOURCES, TARGETS, "en", "fr")
    for row, pair in enumerate(zip(SOURCES, TARGETS, strict=True)):
        assert one.score([pair[0]], [pair[1]], "en", "fr") == pytest.approx(whole[row], abs=1e-6)
    torch.set_num_threads(3)
    try:
        assert np.array_equal(one.score(SOURCES, TARGETS, "en", "fr"), whole)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)


def expected_margin(sources: np.ndarray, targets: np.ndarray, k: int, row: int) -> float:
    """The equation of the paper, in float64, without equal texts."""
    cosines = sources @ targets.T
    to_targets = sorted((cosines[row, j] for j in range(len(targets)) if j != row), reverse=True)[:k]
    to_sources = sorted((cosines[j, row] for j in range(len(sources)) if j != row), reverse=True)[:k]
    return float(cosines[row, row] / (sum(to_targets) / (2 * k) + sum(to_sources) / (2 * k)))


@pytest.mark.parametrize("neighbours", [1, 3])
def test_the_margin_is_the_equation_of_the_paper(neighbours: int) -> None:
    generator = torch.Generator().manual_seed(0)
    sources = torch.rand(2500, 8, generator=generator)
    noise = torch.rand(2500, 8, generator=generator)  # a pair's own translation is among the nearest
    vectors = [torch.nn.functional.normalize(side, dim=1) for side in (sources, sources + 0.1 * noise)]
    ids = torch.arange(2500)
    found = margins(*vectors, ids, ids, neighbours)
    arrays = [side.double().numpy() for side in vectors]
    for row in (0, 1, 1023, 1024, 2499):
        assert float(found[row]) == pytest.approx(expected_margin(*arrays, neighbours, row), rel=1e-5)


def test_equal_texts_are_no_neighbours_of_their_own_pair() -> None:
    generator = torch.Generator().manual_seed(1)
    vectors = [torch.nn.functional.normalize(torch.rand(20, 8, generator=generator), dim=1) for _ in range(2)]
    ids = torch.arange(20)
    once = margins(*vectors, ids, ids, 3)
    doubled = [torch.cat([side, side]) for side in vectors]
    twice = margins(*doubled, torch.cat([ids, ids]), torch.cat([ids, ids]), 3)
    assert torch.allclose(twice, torch.cat([once, once]), atol=1e-6)


def test_a_pair_without_neighbours_has_a_margin_of_one(folder: Path) -> None:
    assert scorer(folder, metric="margin").score(["a b"], ["x"], "en", "fr").tolist() == [1]
    assert len(scorer(folder, metric="margin").score([], [], "en", "fr")) == 0


def test_margin_is_lower_where_the_true_translation_is_among_the_others(folder: Path) -> None:
    sources = ["a b", "b c", "c d", "d a b"]
    right, shifted = ["x y", "y z", "z w", "w x y"], ["y z", "x y", "w x y", "z w"]
    one = scorer(folder, metric="margin", neighbours=1)
    assert one.score(sources, right, "en", "fr").min() > one.score(sources, shifted, "en", "fr").max()


def test_a_folder_without_encoder_and_an_unknown_device_are_errors(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        scorer(tmp_path)
    with pytest.raises(InputError, match=r"clean\.scores\.e5\.device"):
        EncoderScorer(EncoderScore(model="-"), folder, "cuda:77", "e5")
