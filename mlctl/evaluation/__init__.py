"""evaluate: judge the base model and the trained one by the same code, on held-out pairs and on published benchmarks."""

from mlctl.evaluation.contamination import benchmark_texts, text_digests
from mlctl.evaluation.harness import check, digests, evaluate
from mlctl.evaluation.parts import Parts

__all__ = ["Parts", "benchmark_texts", "check", "digests", "evaluate", "text_digests"]
