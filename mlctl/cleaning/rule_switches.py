"""The settings of `clean` that disable filter rules. Rules that no setting disables are not listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlctl.cleaning import corpus_filters
from mlctl.cleaning.filters.cross_side import Numbers, SentenceEnds, Untranslated
from mlctl.cleaning.filters.language_script import ChineseVariant, Script, WrongLanguage
from mlctl.cleaning.filters.length_ratio import CutOff, LengthRatio
from mlctl.cleaning.filters.text_content import Punctuation, TooLong
from mlctl.cleaning.filters.translation_likelihood import UnlikelyTranslation

_NO_LIMIT = 10**9  # far above any length, count or deviation


@dataclass(frozen=True)
class RuleSwitch:
    """Settings of the section `clean` that disable one rule, or several that have one threshold in common."""

    rules: tuple[str, ...]
    settings: Mapping[str, Any]


#: In the order in which the rules are applied.
RULE_SWITCHES = (
    RuleSwitch((TooLong.name,), {"max_characters": _NO_LIMIT, "max_words": _NO_LIMIT}),
    RuleSwitch((Punctuation.name,), {"max_punctuation": 1.0}),
    RuleSwitch((LengthRatio.name,), {"ratio_slack": _NO_LIMIT}),
    RuleSwitch((SentenceEnds.name,), {"max_end_difference": _NO_LIMIT}),
    RuleSwitch((CutOff.name,), {"cut_off_zscore": float(_NO_LIMIT)}),
    RuleSwitch((Script.name, ChineseVariant.name), {"min_script_share": 0.0}),
    RuleSwitch((Untranslated.name,), {"max_copied_share": 1.0}),
    RuleSwitch((Numbers.name,), {"min_shared_digits": 0.0}),
    RuleSwitch((WrongLanguage.name,), {"language_letters": _NO_LIMIT}),
    RuleSwitch((UnlikelyTranslation.name,), {"min_likelihood": -3.0}),
    RuleSwitch((corpus_filters.NEAR_DUPLICATE,), {"near_duplicates": "off"}),
    RuleSwitch((corpus_filters.BOILERPLATE,), {"max_repeats": 0}),
    RuleSwitch((corpus_filters.OVER_THE_LIMIT,), {"max_pairs": None}),
)
