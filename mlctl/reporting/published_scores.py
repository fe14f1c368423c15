"""Scores that papers publish, for the leaderboard: zero-shot from English, averages over the languages of XTREME, English included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_XTREME = "Hu et al. 2020 (XTREME, arXiv 2003.11080)"
_MT5 = "Xue et al. 2021 (mT5, arXiv 2010.11934), table of XTREME results in the repository google-research/multilingual-t5"
_ML_CTL = "arXiv 2202.13083, table 1"

_TASKS = ("xnli", "pawsx", "panx", "xquad", "mlqa", "tydiqa", "udpos", "bucc", "tatoeba")
#: Tasks whose published averages include English; BUCC and Tatoeba have none.
WITH_ENGLISH = frozenset(_TASKS) - {"bucc", "tatoeba"}


@dataclass(frozen=True)
class PublishedModel:
    """A row of a paper.

    Attributes:
        name: of the model.
        source: where the figures are from.
        scores: task → main score in %.
    """

    name: str
    source: str
    scores: Mapping[str, float] = field(default_factory=dict)


def _row(name: str, source: str, *scores: float | None) -> PublishedModel:
    known = {task: score for task, score in zip(_TASKS, scores, strict=False) if score is not None}
    return PublishedModel(name, source, known)


#: Of question answering the F1. Figures of other papers for the same models, by other protocols, are not mixed in.
PUBLISHED = (
    _row("mBERT", f"{_XTREME}, as in {_MT5}, and in {_ML_CTL}", 65.4, 81.9, 62.2, 64.5, 61.4, 59.7, 70.3, 56.7, 38.7),
    _row("XLM", f"{_XTREME}, as in {_MT5}", 69.1, 80.9, 61.2, 59.8, 48.5, 43.6),
    _row("XLM-R large", f"{_XTREME}, as in {_MT5}", 79.2, 86.4, 65.4, 76.6, 71.6, 65.1),
    _row("InfoXLM", _MT5, 81.4, None, None, None, 73.6),
    _row("X-STILTs", _MT5, 80.4, 87.7, 64.7, 77.2, 72.3, 76.0),
    _row("VECO", _MT5, 79.9, 88.7, 65.7, 77.3, 71.7, 67.6),
    _row("RemBERT", _MT5, 80.8, 87.5, 70.1, 79.6, 73.1, 77.0),
    _row("mT5-Small", _MT5, 67.5, 82.4, 50.5, 58.1, 54.6, 36.4),
    _row("mT5-Base", _MT5, 75.4, 86.4, 55.7, 67.0, 64.6, 59.1),
    _row("mT5-Large", _MT5, 81.1, 88.9, 58.5, 77.8, 71.2, 68.4),
    _row("mT5-XL", _MT5, 82.9, 89.6, 65.5, 79.5, 73.5, 77.8),
    _row("mT5-XXL", _MT5, 85.0, 90.0, 69.2, 82.5, 76.0, 82.0),
    _row("mBERT + info-snt", _ML_CTL, 66.255, 84.092, 62.157, None, None, None, 71.544, 76.426, 41.148),
    _row("mBERT + cz-snt", _ML_CTL, 66.862, 84.485, 62.337, None, None, None, 71.733, 77.403, 41.751),
    _row("mBERT + ML-CTL-CZ", _ML_CTL, 67.750, 85.321, 62.865, None, None, None, 72.289, 78.440, 43.389),
)
