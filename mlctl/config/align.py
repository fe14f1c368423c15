"""The recipe's section `align`: which engine links words, how it learns, and what its links must be like."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mlctl.config.base import Section, digested_elsewhere, runtime_only

AlignEngine = Literal["eflomal", "fast_align", "embedding", "combined"]
Symmetrisation = Literal["intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and"]
Extraction = Literal["argmax", "itermax", "softmax"]

#: Engines that can start from the model of an earlier run, and engines that need an encoder.
WITH_PRIORS: frozenset[AlignEngine] = frozenset({"eflomal", "combined"})
WITH_ENCODER: frozenset[AlignEngine] = frozenset({"embedding", "combined"})


class Align(Section):
    """How words are aligned."""

    engine: AlignEngine = Field(
        "eflomal",
        description="eflomal: the model of that name, fewer errors. fast_align: the older model, for comparison. embedding: the token "
        "states of an encoder. combined: eflomal's links, confirmed and completed by an encoder's.",
    )
    symmetrisation: Symmetrisation = Field(
        "grow-diag-final-and", description="How the two directions of a statistical model are joined."
    )
    max_words: int = Field(
        200, ge=1, le=1000, description="Words of one side at most; longer pairs are set aside with this reason."
    )
    train_pairs: int = Field(
        1_000_000,
        ge=1,
        description="Pairs that a language's model learns from, spread evenly over them; all are aligned with it.",
    )
    priors: str = digested_elsewhere(
        "last",
        description="What a model knows before it learns. last: what the last run on other text of the same languages learned, if there is "
        "one. none: nothing. Else the folder of an align result.",
    )
    encoder: str = digested_elsewhere(
        "",
        description="Encoder of engines `embedding` and `combined`: a folder or hub name; last: what the last run trained; "
        "champion: the best that re-training has found; empty: the recipe's model.",
    )
    layer: int = Field(
        -1, ge=-1, description="Layer whose token states are compared; 0: the embeddings; -1: at three fifths of the depth."
    )
    extraction: Extraction = Field(
        "softmax",
        description="How links are read from similarities. argmax: best in both directions. itermax: again for what is left. "
        "softmax: above `threshold` in both.",
    )
    threshold: float = Field(0.3, gt=0, lt=1, description="Least share of softmax for a link, in both directions.")
    min_link_coverage: float = Field(
        0.1, ge=0, le=1, description="Share of the words of both sides that are linked, at least; below, the language stops."
    )
    part_rows: int = Field(16_384, ge=1, description="Pairs a part: what a crash can lose at most.")
    workers: int = runtime_only(0, "Parts aligned side by side; 0: one a core.", ge=0)
    device: str = runtime_only("auto", "Where the encoder runs: auto, cpu, cuda or cuda:N.", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    batch_tokens: int = runtime_only(8192, "Padded tokens that the encoder takes at once.", ge=16)

    @model_validator(mode="after")
    def _settings_fit(self) -> Align:
        if self.encoder and self.engine not in WITH_ENCODER:
            raise ValueError(f"encoder is for the engines embedding and combined, not for {self.engine}")
        return self
