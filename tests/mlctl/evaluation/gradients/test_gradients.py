"""Gradients of alignment and of tasks: the linear head, gradients by layer, the losses, and the file of the stage."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mlctl import schema
from mlctl.config import Evaluate, Languages, Model
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.evaluation import ScoreCache, evaluate
from mlctl.evaluation.finetuning.features import Row
from mlctl.evaluation.gradients.layer_gradients import layer_gradients, similarities
from mlctl.evaluation.gradients.linear_head import fit_head
from mlctl.evaluation.gradients.losses import AlignedPair, SentenceVectors, sentence_losses, task_losses, word_losses
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.modeling.sentence_config import Pooling

from ..conftest import entry, save_tokenizer, settings
from ..tasks.test_finetuned import panx, pawsx

Rows = Callable[[str], list[dict[str, Any]]]
Write = Callable[[dict[str, list[dict[str, Any]]]], Path]
HOW = SentenceVectors(Pooling((2,)), None, 0)
#: Of two languages; the words of the first pair are in no batch with those of the last.
PAIRS = [
    [AlignedPair(([2, 9, 10, 11, 3], [2, 20, 21, 3]), [((1, 2), (1, 2)), ((2, 4), (2, 3))])],
    [
        AlignedPair(([2, 12, 13, 3], [2, 22, 23, 24, 3]), [((1, 2), (3, 4))]),
        AlignedPair(([2, 14, 3], [2, 25, 26, 3]), [((1, 2), (1, 3))]),
    ],
]


@pytest.fixture
def encoder(make_model: Callable[[Evaluate], ModelUnderTest]) -> Any:
    return make_model(settings()).encoder.float()


def test_the_head_is_the_minimum_of_its_objective() -> None:
    torch.manual_seed(0)
    states, labels = torch.randn(60, 5) + 3, torch.randint(0, 3, (60,))
    head = fit_head(states, labels, classes=4)
    assert head.weights.shape == (4, 5)
    weights = head.weights.clone().requires_grad_()
    standard = (states.double() - states.double().mean(0)) / states.double().std(0, correction=0)
    objective = torch.nn.functional.cross_entropy(standard @ weights.T + head.bias, labels) + 1e-3 * weights.square().sum()
    objective.backward()  # type: ignore[no-untyped-call]
    assert weights.grad is not None
    assert weights.grad.abs().max() < 1e-4
    assert head.loss(states, labels).item() / 60 < 1.1, "below that of chance, log 3"
    again = fit_head(7 * states - 2, labels, classes=4)
    assert again.loss(7 * states - 2, labels).item() == pytest.approx(head.loss(states, labels).item(), rel=1e-3)


@given(st.floats(0.1, 10), st.floats(-3, 3), st.integers(0, 99))
def test_the_cosine_of_gradients_is_that_of_vectors(scale: float, mix: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    first = [torch.randn(7, generator=generator), torch.randn(3, generator=generator)]
    other = [torch.randn(7, generator=generator), torch.randn(3, generator=generator)]
    second = [scale * a + mix * b for a, b in zip(first, other, strict=True)]
    rows = similarities(first, second)
    assert [row.layer for row in rows] == [1, 2, None]
    for row, a, b in zip(rows, [*first, torch.cat(first)], [*second, torch.cat(second)], strict=True):
        assert row.cosine == pytest.approx(torch.cosine_similarity(a.double(), b.double(), dim=0).item(), abs=1e-6)
        assert row.lengths == pytest.approx((a.norm().item(), b.norm().item()), rel=1e-5)
    assert all(row.cosine == pytest.approx(-1) for row in similarities(first, [-scale * part for part in first]))
    assert similarities(first, [torch.zeros(7), other[1]])[0].cosine is None, "a gradient of length 0 has no direction"


def test_gradients_of_the_layers_alone_are_those_of_autograd(encoder: Any) -> None:
    ids, ones = torch.tensor([[2, 9, 10, 3]]), torch.ones(1, 4, dtype=torch.int64)

    def losses() -> Any:
        for weight in (1.0, 0.5):
            yield weight * encoder(input_ids=ids, attention_mask=ones).last_hidden_state.pow(3).sum()

    gradients = layer_gradients(encoder, losses())
    weights = [list(layer.parameters()) for layer in encoder.encoder.layer]
    expected = torch.autograd.grad(sum(losses()), [weight for layer in weights for weight in layer])
    assert [len(part) for part in gradients] == [sum(weight.numel() for weight in layer) for layer in weights]
    assert torch.allclose(torch.cat(list(gradients)), torch.cat([part.flatten() for part in expected]), rtol=1e-4, atol=1e-4)
    assert encoder.embeddings.word_embeddings.weight.grad is None


def _info_nce(source: torch.Tensor, target: torch.Tensor, temperature: float) -> float:
    """InfoNCE by its formula, the sum over pairs, of the mean of both directions."""
    cosine = torch.cosine_similarity(source.double()[:, None], target.double()[None], dim=2) / temperature
    rows = -(cosine.diagonal() - cosine.exp().sum(1).log()) - (cosine.diagonal() - cosine.exp().sum(0).log())
    return float(rows.sum() / 2)


def test_losses_of_alignment_are_their_formulas_within_each_language(encoder: Any) -> None:
    def states(ids: Any) -> torch.Tensor:
        with torch.no_grad():
            ones = torch.ones(1, len(ids), dtype=torch.int64)
            found: torch.Tensor = encoder(input_ids=torch.tensor([ids]), attention_mask=ones).last_hidden_state[0]
        return found

    words, sentences = 0.0, 0.0
    for of_language in PAIRS:
        vectors = [
            torch.stack([states(pair.sides[side])[slice(*word[side])].mean(0) for pair in of_language for word in pair.words])
            for side in range(2)
        ]
        words += _info_nce(vectors[0], vectors[1], 0.1)
        means = [torch.stack([states(pair.sides[side]).mean(0) for pair in of_language]) for side in range(2)]
        sentences += _info_nce(means[0], means[1], 0.05)
    assert sum(loss.item() for loss in word_losses(encoder, PAIRS, HOW)) == pytest.approx(words / 4, rel=1e-4)
    assert sum(loss.item() for loss in sentence_losses(encoder, PAIRS, HOW)) == pytest.approx(sentences / 3, rel=1e-4)


def test_the_head_is_fitted_to_other_examples_than_the_gradient_is_of(encoder: Any) -> None:
    rows = [Row([2, 9 + number % 2, 10, 3], [0] * 4, [-100, number % 2, 1 - number % 2, -100], number) for number in range(8)]
    swapped = [*rows[:4], *(row._replace(labels=[-100, row.labels[2], row.labels[1], -100]) for row in rows[4:])]
    right, wrong = (sum(loss.item() for loss in task_losses(encoder, of, "tagger", 0, 2)) for of in (rows, swapped))
    assert right < 0.5
    assert wrong > 1
    with pytest.raises(InputError, match="fewer than two examples"):
        list(task_losses(encoder, rows[:1], "tagger", 0, 2))


def test_the_second_sentence_of_a_pair_has_its_own_type(encoder: Any) -> None:
    rows = [Row([2, 9, 3, 10, 3], [0, 0, 0, number % 2, number % 2], [number % 2], number) for number in range(8)]
    assert sum(loss.item() for loss in task_losses(encoder, rows, "classifier", 0, 2)) < 0.5, "only the types tell the labels"


def run(write_sharded: Write, copied_rows: Rows, trained: Path, root: Path, examples: int) -> Path:
    for name in ("base", "model"):
        save_tokenizer(trained / name)
    sharded = write_sharded({"fr": copied_rows("fr"), "de": copied_rows("de")})
    quick = {"epochs": 1, "batch_size": 4, "learning_rate": 3e-3, "languages": ["en"]}
    tasks = entry("panx", panx(root / "n"), **quick), entry("pawsx", pawsx(root / "p"), **quick)
    languages = Languages(source="en", targets=("fr", "de"))
    evaluate_settings = settings(*tasks, resamples=100, gradient_examples=examples)
    cache, workspace = ScoreCache(root / "parts"), Workspace(root / "out")
    evaluate(evaluate_settings, Model(), languages, 0, sharded, trained, workspace, score_cache=cache)
    return root / "out" / "gradients.parquet"


def test_the_stage_writes_them_for_both_models(write_sharded: Write, copied_rows: Rows, trained: Path, tmp_path: Path) -> None:
    file = run(write_sharded, copied_rows, trained, tmp_path, 3)
    assert pq.read_schema(file) == schema.GRADIENTS
    rows = pq.read_table(file).to_pylist()
    order = [
        (model, task, alignment, layer)
        for model in ("base", "trained")
        for task in ("panx", "pawsx")
        for alignment in ("words", "sentences")
        for layer in (1, 2, None)
    ]
    assert [(row["model"], row["task"], row["alignment"], row["layer"]) for row in rows] == order
    for row in rows:
        constant = row["model"] == "base"  # every state of that model is equal: nothing to align
        assert row["cosine"] is None if constant else -1 <= row["cosine"] <= 1
        assert constant or row["task_norm"] > 0
    found = {(row["model"], row["task"], row["alignment"]): row["alignment_norm"] for row in rows if row["layer"] is None}
    assert found["trained", "panx", "words"] == found["trained", "pawsx", "words"]
    assert found["trained", "panx", "words"] != found["trained", "panx", "sentences"]


def test_without_the_setting_nothing_is_written(write_sharded: Write, copied_rows: Rows, trained: Path, tmp_path: Path) -> None:
    assert not run(write_sharded, copied_rows, trained, tmp_path, 0).exists()


def test_the_setting_needs_a_benchmark_that_fine_tunes(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="add udpos, panx, xnli, pawsx or sib200"):
        settings(entry("tatoeba", tmp_path), gradient_examples=10)
