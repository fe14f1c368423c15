"""evaluate: scores the base and the trained encoder with the same code, on held-out pairs and on published benchmarks.

Importing this package is cheap: torch, pyarrow and numpy are loaded by the functions that need them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mlctl.evaluation.data.benchmark_texts import benchmark_texts, check, digests, text_digests

if TYPE_CHECKING:
    from mlctl.evaluation.score_cache import ScoreCache
    from mlctl.evaluation.stage import evaluate
    from mlctl.evaluation.statistics.promotion import PromotionDecision, decide

__all__ = ["PromotionDecision", "ScoreCache", "benchmark_texts", "check", "decide", "digests", "evaluate", "text_digests"]

_MODULES = {
    "PromotionDecision": "statistics.promotion",
    "ScoreCache": "score_cache",
    "decide": "statistics.promotion",
    "evaluate": "stage",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
