"""The recipe's section `shard`: how aligned pairs become training rows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlctl.config.base import Section, digested_elsewhere


class EvaluationSet(Section):
    """Sentences that the model will be judged on, so that training must not see them."""

    name: str = Field(min_length=1, description="Name of the set, shown in reports.")
    path: str = digested_elsewhere(
        ...,
        min_length=1,
        description="Files of the set, plain or .gz; a pattern with * takes several: `xnli/test-*.tsv.gz`.",
    )
    format: Literal["lines", "tsv", "conll"] = Field(
        "lines",
        description="lines: a sentence a line. tsv: some columns are sentences. conll: a token a line, then a blank line.",
    )
    columns: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 2), min_length=1, description="Columns of a tsv that are sentences, from 1; others (ids, labels) are not looked at."
    )


class Shard(Section):
    """How aligned pairs become training rows."""

    max_length: int = Field(
        128, ge=8, le=8192, description="Subwords of one side at most, special tokens counted; longer text is cut."
    )
    rows_per_shard: int = Field(8192, ge=1, description="Rows of one Parquet file, on average.")
    heldout_pairs: int = Field(500, ge=0, description="Pairs of each language kept out of training, by text, for the benchmark.")
    heldout_min_words: int = Field(4, ge=1, description="Words that a held-out sentence has at least, on the source side.")
    decontaminate: tuple[EvaluationSet, ...] = Field(
        (), description="Evaluation sets whose text is kept out of training; empty: only the held-out pairs are."
    )
    max_synthetic: float | None = Field(
        None,
        ge=0,
        description="Training rows with a machine-made side for each human one of a language at most, drawn by hash: 1 for as many "
        "of either; null: all.",
    )
    stop_words: int = Field(100, ge=0, description="Most frequent words of each language that are not content words.")
    min_word_letters: int = Field(2, ge=1, description="Letters that a content word has at least (1 where words are not spaced).")
    blocks: bool = Field(
        True,
        description="Word pairs of several neighbouring words that are linked to each other alone count too, not one-to-one links alone.",
    )
    min_confidence: float = Field(0.0, ge=0, le=1, description="Confidence of its links that a word pair has at least.")
    word_frequency_cap: int | None = Field(
        10_000,
        ge=1,
        description="Word pairs of one source word at most, drawn by hash: frequent words must not dominate; null: all.",
    )

    @model_validator(mode="after")
    def _sets_have_names_of_their_own(self) -> Shard:
        names = [known.name for known in self.decontaminate]
        if len(set(names)) != len(names):
            raise ValueError(f"decontaminate: each set needs a name of its own, given {names}")
        return self
