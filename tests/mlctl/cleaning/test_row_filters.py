"""The ordered row rules: which one drops a row, and what each setting changes."""

from __future__ import annotations

import pyarrow as pa
import pytest

from mlctl.cleaning.row_filters import RowFilter, filter_batch
from mlctl.config import Clean
from mlctl.schema import PAIR


def dropped_by(sources: list[str], targets: list[str | None], **settings: float) -> list[str]:
    return RowFilter(Clean(**settings), "en", "fr").apply(sources, targets).rules  # type: ignore[arg-type]


def test_first_rule_in_order_wins() -> None:
    assert dropped_by(["12", "Yes", "12"], ["%s", "Oui", None]) == ["empty", "", "too few letters"]


def test_endless_text_is_dropped_unseen() -> None:
    assert dropped_by(["<" * 201, "ab"], ["ab", "<" * 201], max_characters=10) == ["too long"] * 2


LONG = "The committee of the town will meet again next week about it."
SHORT = "Le comité de la ville va bientôt se réunir"


@pytest.mark.parametrize(
    ("settings", "source", "target", "rule"),
    [
        ({"min_letters": 4}, "abc", "abcd", "too few letters"),
        ({"max_characters": 5}, "abcdef", "bcde", "too long"),
        ({"max_words": 1}, "ab cd", "bcde", "too long"),
        ({"max_length_ratio": 1.5, "ratio_slack": 1}, "abcdef", "bcd", "length ratio"),
        ({"max_ratio_zscore": 1, "ratio_slack": 1}, "abcdefgh", "bcdef", "length ratio"),
        ({"max_punctuation": 0.1}, "ab1234", "bcdefg", "punctuation"),
        ({"cut_off_zscore": 1}, LONG, SHORT, "cut off"),
        ({"max_end_difference": 1}, "one. two. three.", "un, deux et trois.", "sentence ends"),
        ({"min_script_share": 1}, "use this", "пользуйтесь Ceci", "script"),
        (
            {"max_copied_share": 0.2},
            "all the old things of ours go home where their friends wait with them",
            "all the old things sont à nous, les vieux, les grands, avec leurs amis",
            "untranslated",
        ),
        ({"min_shared_digits": 1}, "from 1987 to 1999 we were here", "de 1987 à 1563 nous étions ici", "numbers"),
        ({"language_letters": 5}, "Öffnen Sie die Datei", "Ouvrez le fichier", "language"),
        ({"language_margin": 0, "language_letters": 5}, "Save the Datei", "Enregistrer die Datei ist schön", "language"),
    ],
)
def test_every_setting_counts(settings: dict[str, float], source: str, target: str, rule: str) -> None:
    assert dropped_by([source], [target], **settings) == [rule]
    if rule not in {"punctuation", "script"}:
        assert dropped_by([source], [target]) == [""]


def test_rows_without_source_are_filtered_as_text_of_the_target_language() -> None:
    german = "Der Ausschuss tritt nächste Woche erneut zusammen."
    columns = {name: [""] * 3 for name in PAIR.names} | {"source": [german, None, "Save"], "target": [None, german, "Sichern"]}
    settings = Clean(language_margin=0)
    filters = RowFilter(settings, "en", "de"), RowFilter(settings, "de", "en")
    result = filter_batch(*filters, pa.record_batch(columns, schema=PAIR))
    assert result.rules == ["language", "", ""]
    assert [pair and pair.normalized.source for pair in result.pairs] == [None, german, "Save"]


def test_an_ampersand_marks_an_accelerator_in_catalogues_alone() -> None:
    rows = {"source": ["salt&pepper"] * 3, "target": ["Salz&pfeffer"] * 3, "corpus": ["a", "a", "KDE4"]}
    rows |= {"origin": ["x.tsv:1", "x.po#1", "x.en:1"]}
    columns = {name: [""] * 3 for name in PAIR.names} | rows
    filters = RowFilter(Clean(), "en", "de"), RowFilter(Clean(), "de", "en")
    result = filter_batch(*filters, pa.record_batch(columns, schema=PAIR))
    assert [pair and pair.normalized.source for pair in result.pairs] == ["salt&pepper", "saltpepper", "saltpepper"]
