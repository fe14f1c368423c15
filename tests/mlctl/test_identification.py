from __future__ import annotations

import pytest

from mlctl.identification import identify, is_other_language

SENTENCES = {
    "en": "The government said on Tuesday that it would not raise taxes before the next election.",
    "fr": "Le gouvernement a déclaré mardi qu'il n'augmenterait pas les impôts avant les prochaines élections.",
    "es": "El gobierno dijo el martes que no subiría los impuestos antes de las próximas elecciones.",
    "de": "Die Regierung sagte am Dienstag, dass sie die Steuern vor der nächsten Wahl nicht erhöhen werde.",
    "zh": "政府周二表示,在下次选举之前不会提高税收,并且将继续支持小型企业和农村地区的经济发展计划。",
    "hr": "Vlada je u utorak rekla da neće povećati poreze prije sljedećih izbora u toj zemlji.",
    "eo": "La registaro diris mardon, ke ĝi ne altigos la impostojn antaŭ la venonta elekto.",
}


@pytest.mark.parametrize("language", [language for language in SENTENCES if language != "eo"])
def test_sentences_are_known(language: str) -> None:
    assert identify(SENTENCES[language]) in ({"hr", "bs", "sr"} if language == "hr" else {language})


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_in_its_own_language_and_in_no_other(language: str) -> None:
    assert not is_other_language(SENTENCES[language], language, 30, 30.0)
    for other in SENTENCES.keys() - {language, "eo"}:  # eo is too small to be what another language is taken for
        assert is_other_language(SENTENCES[other], language, 30, 30.0)


def test_languages_that_are_alike_count_as_one() -> None:
    assert not is_other_language(SENTENCES["hr"], "sr-Latn", 30, 0.0)
    assert not is_other_language(SENTENCES["zh"], "zh-Hant", 30, 0.0)


def test_short_texts_and_unknown_languages_are_never_wrong() -> None:
    assert not is_other_language("The government said so", "fr", 30, 0.0)
    assert is_other_language("The government said so", "fr", 10, 0.0)
    assert not is_other_language(SENTENCES["en"], "nv", 30, 0.0)
    assert not is_other_language(SENTENCES["en"], "fr", 30, 1e6)
