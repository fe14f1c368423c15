"""Sharding: aligned pairs become training rows, so that training tokenises nothing and searches for nothing.

A row holds the token ids of both sides and the subword spans of the word pairs of content words. Some pairs of each language are held
out of training, by text, for the benchmark; so is all text of the recipe's benchmarks and evaluation sets. Each shard is a random
sample of the whole corpus, whatever its size.
"""

from mlctl.sharding.decontamination import EvaluationText
from mlctl.sharding.evaluation_sets import check, evaluation_set_digests
from mlctl.sharding.stage import shard
from mlctl.sharding.unseen_heldout import write_unseen_heldout

__all__ = ["EvaluationText", "check", "evaluation_set_digests", "shard", "write_unseen_heldout"]
