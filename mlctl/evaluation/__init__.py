"""evaluate: judge the base model and the trained one by the same code, on held-out pairs and on published benchmarks."""

from mlctl.evaluation.data.benchmark_texts import benchmark_texts, text_digests
from mlctl.evaluation.score_cache import ScoreCache
from mlctl.evaluation.stage import check, digests, evaluate
from mlctl.evaluation.statistics.promotion import PromotionDecision, decide

__all__ = ["PromotionDecision", "ScoreCache", "benchmark_texts", "check", "decide", "digests", "evaluate", "text_digests"]
