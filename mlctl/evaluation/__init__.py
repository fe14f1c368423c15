"""evaluate: judge the base model and the trained one by the same code on the held-out pairs of every language."""

from mlctl.evaluation.harness import evaluate

__all__ = ["evaluate"]
