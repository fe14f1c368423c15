"""xSIM: are the sentences of a text aligned with their translations by margin? xSIM++: also among altered translations.

xSIM (Heffernan, Çelebi and Schwenk 2022, arXiv 2205.12654) is the share of sentences for which another one has the largest margin; xSIM++ (Chen et
al. 2023, arXiv 2306.12907) adds to the candidates translations with another number, entity or causality, and counts which of them were taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mlctl.evaluation.metrics.bitext_mining import nearest_by_margin
from mlctl.evaluation.metrics.retrieval import text_identities
from mlctl.modeling.nearest_neighbours import MARGIN

#: Category of an error: the sentence is no alteration of the translation.
MISALIGNED = "misaligned"


class Alignment(NamedTuple):
    """Which sentences are aligned with their translations.

    Attributes:
        correct: (N,) bool.
        wrong: (N,) row of the best candidate that is no translation.
    """

    correct: npt.NDArray[np.bool_]
    wrong: npt.NDArray[np.int64]


def align_by_margin(source: Tensor, target: Tensor, target_texts: Sequence[str], neighbours: int) -> Alignment:
    """Align each source sentence with the target that has the largest margin among its nearest ones.

    A target with the text of the translation is correct, too; a tie between a correct and a wrong one counts as wrong.

    Args:
        source: (N, H).
        target: (M, H), M ≥ N; row i is the translation of sentence i.
        target_texts: M texts.
        neighbours: nearest neighbours that are candidates, and that the margin averages over.
    """
    rows, margins = nearest_by_margin(source, target, neighbours)
    identities = torch.tensor(text_identities(target_texts), device=rows.device)
    correct = identities[: len(source), None] == identities[rows]
    best_correct = margins.masked_fill(~correct, -torch.inf).amax(1)
    best_wrong = margins.masked_fill(correct, -torch.inf).max(1, keepdim=True)
    wrong = rows.gather(1, best_wrong.indices)[:, 0]
    return Alignment((best_correct > best_wrong.values[:, 0] + MARGIN).cpu().numpy(), wrong.cpu().numpy())


def error_shares(
    alignment: Alignment, translations: Sequence[str], altered: Sequence[tuple[str, str] | None]
) -> dict[str, float]:
    """Return the share of sentences by category of error; all categories of the alterations, and `MISALIGNED`.

    Args:
        alignment: of N sentences.
        translations: N texts.
        altered: for each target the text that it is an alteration of, and the category; None: it is none.
    """
    shares = Counter(dict.fromkeys([MISALIGNED, *sorted({entry[1] for entry in altered if entry})], 0))
    for row in np.flatnonzero(~alignment.correct).tolist():
        entry = altered[alignment.wrong[row]]
        shares[entry[1] if entry and entry[0] == translations[row] else MISALIGNED] += 1
    return {category: count / len(alignment.correct) for category, count in shares.items()}
