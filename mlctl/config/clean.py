"""The recipe's section `clean`: the thresholds of normalisation and filtering."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlctl.config.base import Section, digested_elsewhere, runtime_only


class Clean(Section):
    """Which pairs are good enough to learn from."""

    min_letters: int = Field(2, ge=1, description="Letters that each side has at least (1 where words are not spaced).")
    max_characters: int = Field(600, ge=1, description="Characters that each side has at most.")
    max_words: int = Field(120, ge=1, description="Words that each side has at most (characters / 2 where words are not spaced).")
    max_length_ratio: float = Field(
        3.0,
        gt=1,
        description="Most that one side may be longer than the other, in characters corrected by the pair's usual ratio.",
    )
    max_ratio_zscore: float = Field(
        6.0,
        gt=0,
        description="The same in spreads: how far the ratio's logarithm may be from the usual one, against how far it usually is.",
    )
    ratio_slack: int = Field(12, ge=0, description="Characters of difference that are always allowed, so that short pairs pass.")
    cut_off_zscore: float = Field(
        2.5,
        gt=0,
        description="Spreads that a side without end mark may be shorter than usual, if the other side has an end mark.",
    )
    max_punctuation: float = Field(
        0.5, gt=0, le=1, description="Largest share of characters that are neither letters nor spaces."
    )
    max_end_difference: int = Field(
        3, ge=0, description="Most that the sides may differ in their number of sentence ends (`.`, `!`, `?` and their kin)."
    )
    min_script_share: float = Field(
        0.2, ge=0, le=1, description="Share of a side's letters that are of its language's script at least; 0: any script passes."
    )
    language_letters: int = Field(30, ge=1, description="Letters from which on a side's language is identified.")
    language_margin: float = Field(
        30.0,
        ge=0,
        description="Drop a side when another language is more likely by more than this (difference of log probabilities).",
    )
    max_copied_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Largest share of a side's lower-case words that stand in the other side too (four are needed); 1: all may.",
    )
    min_shared_digits: float = Field(
        0.34,
        ge=0,
        le=1,
        description="Share of the digits 1 to 9 that both sides have at least (four may always differ); 0: none.",
    )
    near_duplicates: Literal["off", "pair", "source", "target"] = Field(
        "pair", description="What must be nearly the same as before for a pair to go: both sides together, or one of them."
    )
    near_duplicate_similarity: float = Field(
        0.85, gt=0.5, le=1, description="Share of pieces of five characters in common (Jaccard) that make a near duplicate."
    )
    near_duplicate_characters: int = Field(
        160, ge=1, description="Characters from which on near duplicates are looked for; below, one word makes another message."
    )
    max_repeats: int = Field(
        50, ge=0, le=250, description="Times that a side may come, numbers aside, each with another text opposite; 0: any number."
    )
    max_pairs: int | None = Field(
        None, ge=1, description="Good pairs of each language that are kept at most, drawn by the hash of their text; null: all."
    )
    min_likelihood: float = Field(
        -0.3,
        ge=-3,
        le=4,
        description="Least likelihood of a translation, against words at random (0), by a lexical model learned from the pairs; "
        "-3: any passes.",
    )
    likelihood_pairs: int = Field(
        2000,
        ge=100,
        description="Good pairs in a sample of 20,000 from which on translations are judged by their likelihood; the words that a "
        "lexicon knows count as the pairs that it takes to learn them.",
    )
    lexicon: str = digested_elsewhere(
        "last",
        description="What the lexical model knows before it looks at the pairs. last: which words were translations in the last run on "
        "other text of the same languages, if there is one. none: nothing. Else the folder of an align result.",
    )
    workers: int = runtime_only(0, "Processes that clean side by side; 0: one a core.", ge=0)
