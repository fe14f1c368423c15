"""Word alignment: which word of a sentence is translated by which word of the other.

Words are Moses tokens where they are spaced and dictionary words where they are not. A model is trained once a language, saved, and
links the pairs part by part, in processes of their own, always alike.
"""

from mlctl.alignment.registry import WITH_ENCODER, WITH_PRIORS
from mlctl.alignment.stage import align

__all__ = ["WITH_ENCODER", "WITH_PRIORS", "align"]
