"""The recipe's section `model`: the encoder that is trained."""

from __future__ import annotations

from pydantic import Field, model_validator

from mlctl.config.base import Section, digested_elsewhere, runtime_only


class ScratchModel(Section):
    """A small BERT with a tokenizer trained on the corpus, for a recipe that names no encoder."""

    vocabulary: int = Field(16000, ge=200, description="Maximum number of WordPiece types.")
    layers: int = Field(2, ge=1, description="Transformer layers.")
    hidden: int = Field(192, ge=8, description="Size of token states.")
    heads: int = Field(4, ge=1, description="Attention heads; divides `hidden`.")
    feed_forward: int = Field(768, ge=8, description="Size of the feed-forward layer.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout of states and attention.")
    tokenizer: str = digested_elsewhere(
        "",
        description="Folder or hub name of a Hugging Face model whose tokenizer is used; empty: one is trained on the corpus.",
    )

    @model_validator(mode="after")
    def _check_heads(self) -> ScratchModel:
        if self.hidden % self.heads:
            raise ValueError(f"heads must divide hidden, given {self.heads} and {self.hidden}")
        return self


class Model(Section):
    """The encoder that is trained."""

    name: str = digested_elsewhere(
        "",
        description="Folder or hub name of a Hugging Face encoder; empty: a small BERT from scratch.",
    )
    revision: str = Field("main", description="Revision of an encoder from the hub.")
    allow_pickle: bool = runtime_only(
        False,
        "Load weights from a pickle (pytorch_model.bin) where a model has no safetensors; for models that you trust. Code in it is not "
        "run: only tensors are read. It applies to `name`, `start`, `scratch.tokenizer` and `align.encoder`.",
    )
    scratch: ScratchModel = Field(ScratchModel(), description="Geometry of the encoder if `name` is empty.")
    start: str = digested_elsewhere(
        "",
        description="Folder or hub name of an encoder of the same architecture and tokenizer whose weights training starts from; empty: "
        "those of `name`, or random ones.",
    )
