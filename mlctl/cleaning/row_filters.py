"""The ordered list of rules that look at one row at a time, and the filter that applies them to batches of rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pyarrow as pa

from mlctl import config
from mlctl.cleaning.catalogues import is_catalogue
from mlctl.cleaning.filter_results import FilterResult
from mlctl.cleaning.filters.base import BatchRule, Rule, SentencePair, is_spaced
from mlctl.cleaning.filters.cross_side import Addresses, Identical, Numbers, Placeholders, SentenceEnds, Untranslated
from mlctl.cleaning.filters.language_script import ChineseVariant, Mojibake, Script, WrongLanguage
from mlctl.cleaning.filters.length_ratio import CutOff, LengthRatio
from mlctl.cleaning.filters.text_content import Empty, Identifier, Punctuation, TooFewLetters, TooLong
from mlctl.cleaning.filters.translation_likelihood import UnlikelyTranslation
from mlctl.cleaning.length_statistics import LengthStatistics
from mlctl.cleaning.likelihood import LikelihoodModel
from mlctl.cleaning.mojibake.letter_model import LetterModel
from mlctl.cleaning.mojibake.repair import EncodingRepair
from mlctl.cleaning.normalize import normalize_pair

# Text of more than this many times the allowed length is dropped before it is searched for markup.
_RAW_LENGTH_FACTOR = 20


class RowFilter:
    """Normalises the rows of one direction and applies the row rules in their order; the first rule that matches drops the row.

    Attributes:
        rules: the rules that look at one pair at a time.
        batch_rules: the rules that follow; they look at all pairs of a batch that `rules` kept.
    """

    def __init__(
        self,
        settings: config.Clean,
        source: str,
        target: str,
        lengths: LengthStatistics | None = None,
        likelihood: LikelihoodModel | None = None,
        repairs: tuple[EncodingRepair, EncodingRepair] | None = None,
    ) -> None:
        """Make the rules from the recipe's thresholds and the statistics of the corpus (defaults without any)."""
        self.rules = pair_rules(settings, source, target, lengths or LengthStatistics())
        self.batch_rules = batch_rules(settings, source, target, likelihood)
        self._max_raw_characters = _RAW_LENGTH_FACTOR * settings.max_characters
        self._repairs = repairs or (EncodingRepair(LetterModel(source)), EncodingRepair(LetterModel(target)))
        self._spaced = is_spaced(source), is_spaced(target)

    def apply(
        self, sources: Sequence[str], targets: Sequence[str | None], catalogue: Sequence[bool] | None = None
    ) -> FilterResult:
        """Filter rows; a target is None where the text has no translation. `catalogue` says which rows are from message catalogues."""
        result = FilterResult.empty(len(sources))
        flags = catalogue if catalogue is not None else itertools.repeat(True, len(sources))
        for row, (source, target, is_message) in enumerate(zip(sources, targets, flags, strict=True)):
            if len(source) > self._max_raw_characters or len(target or "") > self._max_raw_characters:
                result.rules[row] = TooLong.name
                continue
            pair = SentencePair(normalize_pair(source, target, is_message, self._repairs), *self._spaced)
            for rule in self.rules:
                if rule.drops(pair):
                    result.rules[row] = rule.name
                    break
            else:
                result.pairs[row] = pair
        for batch_rule in self.batch_rules:
            remaining = result.kept()
            dropped = batch_rule.drops([pair for _, pair in remaining])
            for row, _ in itertools.compress(remaining, dropped):
                result.drop(row, batch_rule.name)
        return result


def filter_batch(forward: RowFilter, reverse: RowFilter, batch: pa.RecordBatch) -> FilterResult:
    """Filter rows of PAIR: `reverse` filters the rows that have text in the target language alone, `forward` all others."""
    sources, targets = batch["source"].to_pylist(), batch["target"].to_pylist()
    catalogue = list(map(is_catalogue, batch["corpus"].to_pylist(), batch["origin"].to_pylist()))
    target_only = [row for row, source in enumerate(sources) if source is None]
    if not target_only:
        return forward.apply(sources, targets, catalogue)
    others = [row for row, source in enumerate(sources) if source is not None]
    result = FilterResult.empty(len(sources))
    result.put(
        others,
        forward.apply([sources[row] for row in others], [targets[row] for row in others], [catalogue[row] for row in others]),
    )
    texts = [targets[row] or "" for row in target_only]
    result.put(target_only, reverse.apply(texts, [None] * len(texts), [catalogue[row] for row in target_only]))
    return result


def pair_rules(settings: config.Clean, source: str, target: str, lengths: LengthStatistics) -> tuple[Rule, ...]:
    """Return the rules that look at one pair at a time, in order."""
    return (
        Empty(),
        Placeholders(),
        TooFewLetters(settings.min_letters),
        TooLong(settings.max_characters, settings.max_words),
        Identifier(),
        Identical(),
        Punctuation(settings.max_punctuation),
        Mojibake(),
        LengthRatio(settings.max_length_ratio, settings.max_ratio_zscore, settings.ratio_slack, lengths),
        SentenceEnds(settings.max_end_difference),
        CutOff(settings.cut_off_zscore, lengths),
        Script(source, target, settings.min_script_share),
        ChineseVariant(source, target, settings.min_script_share),
        Untranslated(settings.max_copied_share),
        Numbers(settings.min_shared_digits),
        Addresses(),
    )


def batch_rules(settings: config.Clean, source: str, target: str, likelihood: LikelihoodModel | None) -> tuple[BatchRule, ...]:
    """Return the rules that look at many pairs at once, which come after `pair_rules`, in order."""
    return (
        WrongLanguage(source, target, settings.language_letters, settings.language_margin),
        UnlikelyTranslation(settings.min_likelihood, likelihood),
    )


def reasons(settings: config.Clean, source: str, target: str) -> dict[str, str]:
    """Return the rules' names in the order in which they are applied, each with what it drops."""
    rules: tuple[Rule | BatchRule, ...] = (
        *pair_rules(settings, source, target, LengthStatistics()),
        *batch_rules(settings, source, target, None),
    )
    return {rule.name: rule.reason for rule in rules}
