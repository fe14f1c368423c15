"""Word alignment: which word of a sentence is the translation of which word of the other sentence.

Words are Moses tokens in scripts with spaces and dictionary words in those without. One model is trained and saved per language;
worker processes load it and align the pairs part by part, with the same result in any process.
"""

from mlctl.alignment.registry import WITH_ENCODER, WITH_PRIORS
from mlctl.alignment.stage import align

__all__ = ["WITH_ENCODER", "WITH_PRIORS", "align"]
