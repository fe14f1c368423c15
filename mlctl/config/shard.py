"""The recipe's section `shard`: how aligned pairs become training rows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mlctl.config.base import Section, digested_elsewhere, runtime_only


class EvaluationSet(Section):
    """An evaluation set, whose sentences must not be in the training text."""

    name: str = Field(min_length=1, description="Name of the set, shown in reports.")
    path: str = digested_elsewhere(
        ...,
        min_length=1,
        description="Files of the set, plain or .gz; a pattern with * matches several: `xnli/test-*.tsv.gz`.",
    )
    format: Literal["lines", "tsv", "conll"] = Field(
        "lines",
        description="lines: one sentence per line. tsv: some columns are sentences. conll: one token per line, a blank line between sentences.",
    )
    columns: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 2), min_length=1, description="Columns of a tsv that are sentences, from 1; others (ids, labels) are not read."
    )


class Shard(Section):
    """How aligned pairs become training rows."""

    max_length: int = Field(
        128,
        ge=8,
        le=8192,
        description="Maximum number of subwords of one side, special tokens included.",
    )
    too_long: Literal["truncate", "drop"] = Field(
        "truncate",
        description="What is done with a pair of which a side is longer than max_length: the side is truncated, or the pair is dropped.",
    )
    rows_per_shard: int = Field(8192, ge=1, description="Average number of rows of one Parquet file.")
    heldout_pairs: int = Field(500, ge=0, description="Pairs of each language held out of training, by text, for the benchmark.")
    heldout_min_words: int = Field(
        4, ge=1, description="Minimum number of words of a held-out or dev sentence, on the source side."
    )
    dev_pairs: int = Field(
        100,
        ge=0,
        description="Pairs of each language held out of training, by text, for choices of the training (train.judge_every, the pooling); "
        "none is a held-out pair, or has text of an evaluation set; 0: none.",
    )
    decontaminate: tuple[EvaluationSet, ...] = Field(
        (),
        description="Evaluation sets whose text is kept out of training, besides the benchmarks of the recipe and the held-out pairs.",
    )
    max_synthetic: float | None = Field(
        None,
        ge=0,
        description="Maximum number of training rows with a machine-translated side for each human-written one of a language, drawn by "
        "hash; null: all.",
    )
    words: Literal["content", "all"] = Field(
        "content",
        description="Words of the word pairs that are trained on. content: no stop words, none that occurs several times in its sentence. all: "
        "function words and repeated words, too; their links say which is meant. Held-out word pairs always have content words.",
    )
    min_lexicon_probability: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Train only on pairs of single words that are each other's most probable translation in the lexicon of the word "
        "alignment, with at least this probability in both directions; null: on all linked words.",
    )
    spaced_words: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the training texts that have a space between all words and marks, as taggers read text; drawn by hash.",
    )
    stop_words: int = Field(100, ge=0, description="Number of most frequent words of each language that are not content words.")
    min_word_letters: int = Field(
        2, ge=1, description="Minimum number of letters of a content word (1 in scripts without spaces)."
    )
    blocks: bool = Field(
        True,
        description="Use word pairs of several adjacent words that are only linked to each other, besides one-to-one links.",
    )
    min_confidence: float = Field(0.0, ge=0, le=1, description="Minimum mean confidence of the links of a word pair.")
    word_frequency_cap: int | None = Field(
        10_000,
        ge=1,
        description="Maximum number of word pairs of one source word, drawn by hash, so that frequent words do not dominate; null: all.",
    )

    workers: int = runtime_only(0, "Processes that shard at the same time; 0: one for each core.", ge=0)

    @model_validator(mode="after")
    def _check_names(self) -> Shard:
        names = [evaluation_set.name for evaluation_set in self.decontaminate]
        if len(set(names)) != len(names):
            raise ValueError(f"decontaminate: each set needs a unique name, given {names}")
        return self
