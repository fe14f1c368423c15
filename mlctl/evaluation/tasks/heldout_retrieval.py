"""The benchmarks on held-out pairs: what is asked of a model in one language. Both models are judged by these functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from mlctl.evaluation.data.heldout import Heldout, WordPair
from mlctl.evaluation.embedding.token_embeddings import encode
from mlctl.evaluation.metrics.item_scores import Outcome, of_hits
from mlctl.evaluation.metrics.retrieval import hits, same_texts

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from mlctl.evaluation.model_under_test import ModelUnderTest

_FEWEST = 2


def judge(
    encoder: PreTrainedModel, heldout: Heldout, word_pairs: Sequence[WordPair], source: str, batch_rows: int, tasks: Sequence[str]
) -> list[Outcome]:
    """Run the benchmarks of one language from one encoding of each side.

    Args:
        encoder: in evaluation mode.
        heldout: pairs of one target language.
        word pairs: the word benchmark's word pairs; none of its words twice on a side.
        source: language of the source side.
        batch_rows: sentences encoded at once.
        tasks: "sentence-retrieval", "word-retrieval".

    Returns:
        An outcome for each task and direction; a task with fewer than two items is left out.
    """
    words = word_pairs if "word-retrieval" in tasks else ()
    left = encode(encoder, heldout.source.ids, [(c.row, *c.source) for c in words], batch_rows)
    right = encode(encoder, heldout.target.ids, [(c.row, *c.target) for c in words], batch_rows)
    found = []
    for task, level, identities in (
        ("sentence-retrieval", 0, torch.tensor([heldout.source.identities, heldout.target.identities]).T),
        ("word-retrieval", 1, torch.arange(len(words))[:, None]),
    ):
        if task in tasks and len(identities) >= _FEWEST:
            found += both_ways(task, left[level], right[level], identities, source, heldout.language)
    return found


def both_ways(
    task: str, left: torch.Tensor, right: torch.Tensor, identities: torch.Tensor, source: str, target: str
) -> list[Outcome]:
    """Return the outcomes of asking from the left side and from the right, (N, H) each; see `retrieval.hits`."""
    items = [str(number) for number in range(len(identities))]
    return [
        of_hits(task, f"{source}→{target}", hits(left, right, identities).cpu().numpy(), items),
        of_hits(task, f"{target}→{source}", hits(right, left, identities).cpu().numpy(), items),
    ]


def translations(
    task: str, subject: ModelUnderTest, source: Sequence[str], target: Sequence[str], source_language: str, target_language: str
) -> list[Outcome]:
    """Ask for the translations of sentences that stand in the same order on both sides, from the source side and from the target's."""
    identities = torch.tensor([same_texts(source), same_texts(target)]).T
    sides = subject.vectors(source, remember=True), subject.vectors(target)
    return both_ways(task, *sides, identities, source_language, target_language)
