from __future__ import annotations

import pytest

from mlctl.translation.backend import EMPTY, TOO_LONG, Translation
from mlctl.translation.output_checks import COPIED, RULES, WRONG_LANGUAGE, check_outputs

LONG = "The old house beyond the river has been empty for many years now."
FRENCH = "La vieille maison de l'autre côté de la rivière est vide depuis de nombreuses années."


def rule(text: str, output: str, source: str = "en", target: str = "fr") -> str:
    checked = check_outputs([text], [Translation(output)], source, target)[0]
    assert checked.text.strip() == output.strip()  # a rejected output is kept too
    return checked.rule


@pytest.mark.parametrize("output", ["", " ", "\u3000\n"])
def test_empty(output: str) -> None:
    assert rule("a b", output) == EMPTY


@pytest.mark.parametrize("output", [LONG, LONG.upper(), f"« {LONG} »", LONG.replace(" ", "  ")])
def test_copies(output: str) -> None:
    assert rule(LONG, output) == COPIED


@pytest.mark.parametrize(
    "text",
    [
        "OK",
        "Documentation",
        "Microsoft Windows",
        "https://www.example.org/documentation/installation/index.html",
        "lib/python/site-packages/example/module.py %(filename)s",
        "<a href='x'><strong>Note</strong></a>",
        "user.name@mail.example.org",
        "2026-11-22 10:30:00 1234567890 0x7f3a2b1c",
    ],
)
def test_what_stays_as_it_is_in_every_language_is_no_copy(text: str) -> None:
    assert rule(text, text) == ""


def test_names_stay_in_any_language_and_sentences_do_not() -> None:
    names = "Elite League: Dundee Stars 5-3 Belfast Giants"
    assert [rule(names, names, target=language) for language in ("fr", "hy", "km")] == [""] * 3
    assert (
        rule("The Very Old House Beyond The River Has Been Empty", "The Very Old House Beyond The River Has Been Empty") == COPIED
    )
    assert rule(LONG.upper(), LONG.upper()) == COPIED
    assert rule(names, f"{names} – la {names}") == COPIED


def test_copies_without_spaces() -> None:
    assert rule("政府周二表示不会提高税收", "政府周二表示不会提高税收。", "zh", "ja") == COPIED
    assert rule("東京都", "東京都", "ja", "zh") == ""
    assert rule("政府周二表示不会提高税收", "政府周二表示不会提高税收", "zh", "zh-Hant") == ""


def test_wrong_language() -> None:
    assert rule(LONG, "Das alte Haus jenseits des Flusses steht seit vielen Jahren leer.") == WRONG_LANGUAGE
    assert rule(LONG, FRENCH) == ""
    assert rule(LONG, "Das alte Haus steht leer") == ""  # too short to say


def test_wrong_script_and_variant() -> None:
    serbian = "Стара кућа иза реке празна је већ много година, а нико не зна зашто."
    latin = "Stara kuća iza reke prazna je već mnogo godina, a niko ne zna zašto."
    simplified = "政府周二表示，在下次选举之前不会提高税收，部长们对此没有发表任何意见"
    traditional = "政府週二表示，在下次選舉之前不會提高稅收，部長們對此沒有發表任何意見"
    assert [rule(LONG, text, target=language) for language in ("sr", "sr-Latn") for text in (serbian, latin)] == [
        "", WRONG_LANGUAGE, WRONG_LANGUAGE, "",
    ]  # fmt: skip
    assert [rule(LONG, text, target=language) for language in ("zh", "zh-Hant") for text in (simplified, traditional)] == [
        "", WRONG_LANGUAGE, WRONG_LANGUAGE, "",
    ]  # fmt: skip
    assert rule(LONG, "Ҳукумат келаси сайловгача солиқларни оширмаслигини айтди", target="uz-Cyrl") == ""


def test_other_rejections_stay_and_the_order_too() -> None:
    translations = [Translation("", TOO_LONG), Translation(FRENCH), Translation(LONG)]
    checked = check_outputs([LONG] * 3, translations, "en", "fr")
    assert checked == [translations[0], translations[1], Translation(LONG, COPIED)]
    assert (*RULES[:2], RULES[-1]) == (EMPTY, COPIED, WRONG_LANGUAGE)
    with pytest.raises(ValueError, match="longer"):
        check_outputs([LONG], translations, "en", "fr")
