from __future__ import annotations

import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

from mlctl.core.language_id import BatchIdentifier, other_language_margin

SENTENCES = {
    "en": "The government said on Tuesday that it would not raise taxes before the next election.",
    "fr": "Le gouvernement a déclaré mardi qu'il n'augmenterait pas les impôts avant les prochaines élections.",
    "es": "El gobierno dijo el martes que no subiría los impuestos antes de las próximas elecciones.",
    "de": "Die Regierung sagte am Dienstag, dass sie die Steuern vor der nächsten Wahl nicht erhöhen werde.",
    "zh": "政府周二表示,在下次选举之前不会提高税收,并且将继续支持小型企业和农村地区的经济发展计划。",
    "hr": "Vlada je u utorak rekla da neće povećati poreze prije sljedećih izbora u toj zemlji.",
    "eo": "La registaro diris mardon, ke ĝi ne altigos la impostojn antaŭ la venonta elekto.",
}


CERTAIN = 30.0


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_in_its_own_language_and_in_no_other(language: str) -> None:
    others = SENTENCES.keys() - {language, "eo"}  # eo is too small to be what another language is taken for
    assert other_language_margin([SENTENCES[language]], language)[0] < CERTAIN
    assert (other_language_margin([SENTENCES[other] for other in others], language) > CERTAIN).all()


def test_languages_that_are_alike_count_as_one() -> None:
    assert other_language_margin([SENTENCES["hr"]], "sr-Latn")[0] == 0
    assert other_language_margin([SENTENCES["zh"]], "zh-Hant")[0] == 0


def test_languages_that_are_not_known_are_never_wrong() -> None:
    assert other_language_margin([SENTENCES["en"], SENTENCES["zh"]], "nv").tolist() == [0, 0]
    assert other_language_margin([], "fr").tolist() == []


def test_many_texts_are_identified_as_the_library_does_one_by_one() -> None:
    library = LanguageIdentifier.from_model_file(MODEL_FILE)
    texts = [*SENTENCES.values(), SENTENCES["en"].upper(), "Одбор ће се поново састати", "日本語のテキスト", "", "12", "é" * 700]
    identifier = BatchIdentifier("eo")
    library.set_languages(identifier.languages)
    margins = identifier.margin(texts * 300, {"de", "sr"})  # more than go together
    expected = [
        library.rank(text)[0][1] - max(score for label, score in library.rank(text) if label in {"de", "sr"}) for text in texts
    ]
    assert margins.tolist() == pytest.approx(expected * 300, abs=0.02)
    assert [identifier.margin([text], {"de", "sr"})[0] for text in texts] == margins[: len(texts)].tolist()
