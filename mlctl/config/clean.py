"""The recipe's section `clean`: the thresholds of normalisation and filtering."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mlctl.config.base import Section, digested_elsewhere, runtime_only
from mlctl.config.scores import Score, ScoreName


class Clean(Section):
    """Normalisation and filtering of the text."""

    min_letters: int = Field(2, ge=1, description="Least letters of each side (1 where words are not spaced).")
    max_characters: int = Field(600, ge=1, description="Most characters of each side.")
    max_words: int = Field(120, ge=1, description="Most words of each side (characters / 2 where words are not spaced).")
    max_length_ratio: float = Field(
        3.0,
        gt=1,
        description="Most that one side may be longer than the other, as a ratio of characters corrected by the language pair's usual ratio.",
    )
    max_ratio_zscore: float = Field(
        6.0,
        gt=0,
        description="The same in standard deviations of the ratio's logarithm from the language pair's usual one.",
    )
    ratio_slack: int = Field(12, ge=0, description="Difference in characters that is always allowed, so that short pairs pass.")
    cut_off_zscore: float = Field(
        2.5,
        gt=0,
        description="Most standard deviations (as for max_ratio_zscore) that a side without end mark may be shorter than usual, if the other "
        "side has an end mark.",
    )
    max_punctuation: float = Field(
        0.5, gt=0, le=1, description="Largest share of characters that are neither letters nor spaces."
    )
    max_end_difference: int = Field(
        3,
        ge=0,
        description="Largest difference between the sides' numbers of sentence ends (`.`, `!`, `?` and those of other scripts).",
    )
    min_script_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Least share of a side's letters that are of its language's script, and of its Chinese characters that are of its "
        "variant (Simplified or Traditional); 0: any passes.",
    )
    language_letters: int = Field(30, ge=1, description="Least letters of a side whose language is identified.")
    language_margin: float = Field(
        30.0,
        ge=0,
        description="Largest difference of log probabilities by which another language may be more likely than the side's own.",
    )
    max_copied_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Largest share of a side's lower-case words that the other side has too (fewer than four are always allowed); 1: all.",
    )
    min_shared_digits: float = Field(
        0.34,
        ge=0,
        le=1,
        description="Least share of the digits 1 to 9 that both sides have (a difference of four is always allowed); 0: any difference.",
    )
    near_duplicates: Literal["off", "pair", "source", "target"] = Field(
        "pair",
        description="Text of which pairs are compared to find near duplicates: both sides together, or one of them; off: they are kept.",
    )
    near_duplicate_similarity: float = Field(
        0.85, gt=0.5, le=1, description="Least Jaccard similarity of the character 5-grams of near duplicates."
    )
    near_duplicate_characters: int = Field(
        160, ge=1, description="Least characters of near duplicates; in shorter text one other word makes another message."
    )
    max_repeats: int = Field(
        50, ge=0, le=250, description="Most pairs with the same text on one side, numbers aside; 0: any number."
    )
    max_pairs: int | None = Field(
        None, ge=1, description="Most pairs that are kept of each language, sampled by the hash of their text; null: all."
    )
    min_likelihood: float = Field(
        -0.3,
        ge=-3,
        le=4,
        description="Least likelihood of a translation under a lexical model trained on the pairs: the mean log ratio to unrelated text (0); "
        "-3: any passes.",
    )
    likelihood_pairs: int = Field(
        2000,
        ge=100,
        description="Least pairs left by the other rules, in a sample of 20,000, for which min_likelihood is applied; the words of a lexicon "
        "count as the pairs that it takes to learn them.",
    )
    lexicon: str = digested_elsewhere(
        "last",
        description="Word translations with which the lexical model starts. last: those of the last align result for other text of the same "
        "languages, if there is one. none: it starts without. Else the folder of an align result.",
    )
    scores: dict[ScoreName, Score] = Field(
        {},
        description="Quality scores of the pairs that the rules keep, by name, in order; each is added to the column `scores` and can drop "
        "pairs: {e5: {kind: encoder, model: intfloat/multilingual-e5-small, min: 0.8}}.",
    )
    workers: int = runtime_only(0, "Processes that clean at the same time; 0: one for each core.", ge=0)
