"""Codes of every source become one tag."""

from __future__ import annotations

import pytest

from mlctl import languages
from mlctl.errors import InputError


@pytest.mark.parametrize(
    ("codes", "tag"),
    [
        ("zh zho cmn cmn_Hans zh-CN zh_Hans zho_Hans chi", "zh"),
        ("zh_TW zh-Hant zho_Hant", "zh-Hant"),
        ("fr fra fre fra_Latn fr_FR FR", "fr"),
        ("pt pt_BR por", "pt"),
        ("ar arb ara arb_Arab", "ar"),
        ("sw swh swh_Latn swa", "sw"),
        ("tl tgl fil", "fil"),
        ("sr@latin sr_Latn srp_Latn", "sr-Latn"),
        ("he iw heb", "he"),
        ("de_AT deu ger", "de"),
        ("no nb nob nor nob_Latn nb_NO", "no"),  # Norwegian's main member; nynorsk is its own
        ("nn nno nno_Latn", "nn"),
        ("ko kor kor_Hang", "ko"),
        ("ja jpn jpn_Jpan", "ja"),
        ("zho_Hani zho-CN", "zh"),
        ("gsw gsw-BE gsw-ZH", "gsw"),
        ("kzj dtp", "dtp"),  # ISO 639-3 joined them; LASER's Tatoeba has a file for each name
        ("fa fas pes pes_Arab prs", "fa"),
        ("acm acm_Arab", "acm"),
        ("azb azb_Arab", "azb"),
        ("pbt pbt_Arab", "pbt"),
        ("ckb ckb-Arab ckb_Arab", "ckb"),
        ("sr srp srp_Cyrl srp-Cyrl", "sr"),
        ("ms msa zsm zsm_Latn", "ms"),
        ("lv lvs lav lvs_Latn", "lv"),
    ],
)
def test_all_notations_of_a_language_are_one(codes: str, tag: str) -> None:
    assert {languages.canonical(code) for code in codes.split()} == {tag}


# Codes as the sources write them: LASER's Tatoeba, NTREX, XTREME, FLORES.
TATOEBA = (
    "afr amh ang ara arq arz ast awa aze bel ben ber bos bre cat cbk ceb ces cha cmn cor csb cym dan deu dsb dtp epo est eus fao fin "
    "fra fry gla gle glg gsw heb hin hrv hsb hun hye ido ile ina ind isl jav jpn kab kat kaz khm kur lat lfn lit lvs mal mar max mhr "
    "mkd mon nds nno nob nov oci orv pam pms pol por ron rus slk slv spa sqi srp swe swg swh tam tat tel tgl tha tuk tur tzl uig urd "
    "uzb war wuu xho yid yue zsm"
)
NTREX = (
    "afr amh arb aze-Latn bak bel bem ben bod bos bul cat ces ckb-Arab cym dan deu div dzo ell eng-GB est eus ewe fao fas fij fil fin "
    "fra fuc gle glg guj gsw-ZH hau heb hin hmn hrv hun hye ibo ind isl ita jpn kan kat kaz khm kin kir kmr kor lao lav lit ltz mal "
    "mar mey mkd mlg mlt mon mri msa mya nde nep nld nno nob nso nya orm pan pol por pus ron rus shi sin slk slv smo sna-Latn "
    "snd-Arab som spa sqi srp-Cyrl srp-Latn ssw swa swe tah tam tat tel tgk-Cyrl tha tir ton tsn tuk tur uig ukr urd uzb ven vie wol "
    "xho yor yue zho-CN zho-TW zul"
)
XTREME = "af ar az bg bn de el en es et eu fa fi fr gu he hi hu id it ja jv ka kk ko lt ml mr ms my nl pa pl pt qu ro ru sw ta te th tl tr uk ur vi yo zh"
FLORES = (
    "ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab ajp_Arab als_Latn apc_Arab arb_Arab arb_Latn ars_Arab ary_Arab arz_Arab awa_Deva "
    "azb_Arab azj_Latn bjn_Arab bjn_Latn bod_Tibt ckb_Arab crh_Latn dik_Latn eng_Latn fuv_Latn gaz_Latn kas_Arab kas_Deva khk_Cyrl "
    "kmr_Latn knc_Arab knc_Latn kor_Hang lvs_Latn min_Arab min_Latn mni_Beng nob_Latn nno_Latn npi_Deva ory_Orya pbt_Arab pes_Arab "
    "plt_Latn quy_Latn sat_Olck srp_Cyrl swh_Latn taq_Latn taq_Tfng tgl_Latn tzm_Tfng uzn_Latn ydd_Hebr yue_Hant zho_Hans zho_Hant zsm_Latn"
)


@pytest.mark.parametrize("codes", [TATOEBA, NTREX, XTREME, FLORES])
def test_no_two_languages_of_a_source_become_one(codes: str) -> None:
    tags = [languages.canonical(code) for code in codes.split()]
    assert len(set(tags)) == len(tags)
    assert [languages.canonical(tag) for tag in tags] == tags, "a tag stays what it is"


def test_relatives_are_not_their_macro_language() -> None:
    assert [languages.canonical(code) for code in ("arz", "arq", "max", "yue", "wuu", "nov", "lfn", "awa", "orv")] == [
        "arz", "arq", "max", "yue", "wuu", "nov", "lfn", "awa", "orv",
    ]  # fmt: skip
    assert languages.canonical("cmn") == "zh"


@pytest.mark.parametrize(("code", "suggestion"), [("french", "'fr'"), ("xx", "'"), ("", "'"), ("???", "'"), ("und", "'")])
def test_an_unknown_code_suggests_another(code: str, suggestion: str) -> None:
    with pytest.raises(InputError, match="unknown language") as caught:
        languages.canonical(code)
    assert suggestion in caught.value.remedy
    assert not languages.is_language(code)


def test_names_are_for_people() -> None:
    assert (languages.name("fr"), languages.name("zh_TW")) == ("French", "Chinese (Traditional)")
