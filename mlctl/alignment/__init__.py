"""Word alignment: which word of a sentence is the translation of which word of the other sentence.

Words are Moses tokens in scripts with spaces and dictionary words in those without. One model is trained and saved per language;
worker processes load it and align the pairs part by part, with the same result in any process.

Importing this package is cheap: the tokenizers' libraries are loaded at the first use of `align`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlctl.alignment.registry import WITH_ENCODER, WITH_PRIORS

if TYPE_CHECKING:
    from mlctl.alignment.stage import align

__all__ = ["WITH_ENCODER", "WITH_PRIORS", "align"]


def __getattr__(name: str) -> Any:
    """Import the stage on first use (PEP 562)."""
    if name != "align":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mlctl.alignment import stage

    return stage.align
