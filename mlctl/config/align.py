"""The recipe's section `align`: the word aligner, its training, and the minimum coverage of its links."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mlctl.config.base import Section, digested_elsewhere, runtime_only

AlignEngine = Literal["eflomal", "fast_align", "embedding", "combined"]
Symmetrisation = Literal["intersection", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and"]
Extraction = Literal["argmax", "itermax", "softmax"]

#: Aligners that can start from the model of an earlier run, and aligners that need an encoder.
WITH_PRIORS: frozenset[AlignEngine] = frozenset({"eflomal", "combined"})
WITH_ENCODER: frozenset[AlignEngine] = frozenset({"embedding", "combined"})


class Align(Section):
    """Word alignment."""

    engine: AlignEngine = Field(
        "eflomal",
        description="Aligner. eflomal: Gibbs sampling, fewest errors of the statistical models. fast_align: the older model, for comparison. "
        "embedding: similarity of an encoder's token states. combined: eflomal's links, confirmed and completed by an encoder's.",
    )
    symmetrisation: Symmetrisation = Field(
        "grow-diag-final-and", description="How the links of the two directions of a statistical model are combined."
    )
    max_words: int = Field(200, ge=1, le=1000, description="Maximum words of a side; longer pairs are rejected.")
    train_pairs: int = Field(
        1_000_000,
        ge=1,
        description="Maximum pairs that a language's model is trained on, sampled evenly; all pairs are aligned with it.",
    )
    priors: str = digested_elsewhere(
        "last",
        description="Priors of a model. last: the model of the last run on other text of the same languages, if any. none: no priors. "
        "Otherwise the folder of an align result.",
    )
    encoder: str = digested_elsewhere(
        "",
        description="Encoder of the aligners `embedding` and `combined`: a folder or hub name; last: the encoder that the last run trained; "
        "champion: the current champion of re-training; empty: the recipe's model.",
    )
    layer: int = Field(
        -1,
        ge=-1,
        description="Layer whose token states are compared; 0: the embeddings; -1: the layer at three fifths of the depth.",
    )
    extraction: Extraction = Field(
        "softmax",
        description="How links are extracted from similarities. argmax: best in both directions. itermax: argmax repeated for unlinked "
        "words. softmax: above `threshold` in both directions.",
    )
    threshold: float = Field(0.3, gt=0, lt=1, description="Minimum softmax probability of a link, in both directions.")
    min_link_coverage: float = Field(
        0.1, ge=0, le=1, description="Minimum share of linked words of both sides; below it, the run stops."
    )
    part_rows: int = Field(16_384, ge=1, description="Pairs in a part: a crash loses at most one part a worker.")
    workers: int = runtime_only(0, "Parts aligned in parallel; 0: one for each core.", ge=0)
    device: str = runtime_only("auto", "Device of the encoder: auto, cpu, cuda or cuda:N.", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    batch_tokens: int = runtime_only(8192, "Padded tokens in a batch of the encoder.", ge=16)

    @model_validator(mode="after")
    def _check_engine(self) -> Align:
        if self.encoder and self.engine not in WITH_ENCODER:
            raise ValueError(f"encoder applies to the aligners embedding and combined, not to {self.engine}")
        return self
