"""The script of a language: the one that its code names, CLDR's or the macro-language's; and what cleaning does by it."""

from __future__ import annotations

import pytest
import regex  # type: ignore[import-untyped]
from langcodes.data_dicts import LIKELY_SUBTAGS

from mlctl import languages
from mlctl.cleaning.row_filters import RowFilter
from mlctl.config import Clean, Languages
from mlctl.core.script_check import is_in_other_han_variant, is_in_other_script
from mlctl.core.unicode_scripts import dominant_script, unicode_scripts

# All codes of NLLB-200 and FLORES-200.
NLLB = (
    "ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn amh_Ethi apc_Arab arb_Arab arb_Latn ars_Arab "
    "ary_Arab arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn bak_Cyrl bam_Latn ban_Latn bel_Cyrl bem_Latn "
    "ben_Beng bho_Deva bjn_Arab bjn_Latn bod_Tibt bos_Latn bug_Latn bul_Cyrl cat_Latn ceb_Latn ces_Latn cjk_Latn ckb_Arab "
    "crh_Latn cym_Latn dan_Latn deu_Latn dik_Latn dyu_Latn dzo_Tibt ell_Grek eng_Latn epo_Latn est_Latn eus_Latn ewe_Latn "
    "fao_Latn fij_Latn fin_Latn fon_Latn fra_Latn fur_Latn fuv_Latn gaz_Latn gla_Latn gle_Latn glg_Latn grn_Latn guj_Gujr "
    "hat_Latn hau_Latn heb_Hebr hin_Deva hne_Deva hrv_Latn hun_Latn hye_Armn ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn "
    "jav_Latn jpn_Jpan kab_Latn kac_Latn kam_Latn kan_Knda kas_Arab kas_Deva kat_Geor kaz_Cyrl kbp_Latn kea_Latn khk_Cyrl "
    "khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn kmr_Latn knc_Arab knc_Latn kon_Latn kor_Hang lao_Laoo lij_Latn lim_Latn "
    "lin_Latn lit_Latn lmo_Latn ltg_Latn ltz_Latn lua_Latn lug_Latn luo_Latn lus_Latn lvs_Latn mag_Deva mai_Deva mal_Mlym "
    "mar_Deva min_Arab min_Latn mkd_Cyrl mlt_Latn mni_Beng mos_Latn mri_Latn mya_Mymr nld_Latn nno_Latn nob_Latn npi_Deva "
    "nso_Latn nus_Latn nya_Latn oci_Latn ory_Orya pag_Latn pan_Guru pap_Latn pbt_Arab pes_Arab plt_Latn pol_Latn por_Latn "
    "prs_Arab quy_Latn ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Beng sat_Olck scn_Latn shn_Mymr sin_Sinh slk_Latn "
    "slv_Latn smo_Latn sna_Latn snd_Arab som_Latn sot_Latn spa_Latn srd_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn "
    "szl_Latn tam_Taml taq_Latn taq_Tfng tat_Cyrl tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi tpi_Latn tsn_Latn tso_Latn "
    "tuk_Latn tum_Latn tur_Latn twi_Latn tzm_Tfng uig_Arab ukr_Cyrl umb_Latn urd_Arab uzn_Latn vec_Latn vie_Latn war_Latn "
    "wol_Latn xho_Latn ydd_Hebr yor_Latn yue_Hant zho_Hans zho_Hant zsm_Latn zul_Latn"
).split()
CLDR = sorted(tag for tag in LIKELY_SUBTAGS if "-" not in tag and tag not in ("und", "drh"))  # drh: retired in favour of mn
LETTERS = "".join(character for character in map(chr, range(0x110000)) if character.isalpha())


def letters(script: str) -> str:
    """Return up to 12 letters of an ISO 15924 script."""
    parts = "".join(rf"\p{{Script={name}}}" for name in unicode_scripts(script))
    return "".join(regex.findall(rf"[{parts}]", LETTERS)[:12])


LATIN, CYRILLIC = letters("Latn"), letters("Cyrl")


def is_dropped(text: str, language: str) -> bool:
    """Return whether the rules drop a text because of its script or language."""
    rules = RowFilter(Clean(language_letters=5), "en", language).apply(["one two three four"], [text]).rules
    return rules[0] in ("script", "language")


@pytest.mark.parametrize("code", NLLB)
def test_the_script_that_a_code_of_nllb_names_is_kept(code: str) -> None:
    language, named = languages.canonical(code), code.partition("_")[2]
    assert languages.script(code) == languages.script(language) == {"Hang": "Kore"}.get(named, named)
    assert not is_in_other_script(letters(named), 12, language, 0.2)
    assert is_in_other_script(CYRILLIC if named == "Latn" else LATIN, 12, language, 0.2)


def test_the_script_of_cldr_is_kept_in_every_language() -> None:
    lost = []
    for code in CLDR:
        language, script = languages.canonical(code), LIKELY_SUBTAGS[code].split("-")[1]
        text = letters(script)
        if not languages.unicode_scripts(language) or (text and is_in_other_script(text, len(text), language, 0.2)):
            lost.append(f"{code}: {script}")
    assert not lost
    assert len(CLDR) > 1000


@pytest.mark.parametrize(
    ("code", "scripts"),
    [
        ("acm", "Arab"), ("acm_Arab", "Arab"), ("ajp_Arab", "Arab"), ("azb_Arab", "Arab"), ("azb", "Arab"), ("uzs", "Arab"),
        ("pbt", "Arab"), ("mvf", "Mong"), ("khk", "Cyrl"), ("ydd", "Hebr"), ("mhr", "Cyrl"), ("pnb", "Arab"), ("npi", "Deva"),
        ("aii", "Syrc"), ("aii_Syrc", "Syrc"), ("aii_Syrj", "Syrc"), ("aii_Latn", "Latn"), ("cld", "Syrc"),
        ("grc", "Cprt Grek"), ("grc_Grek", "Cprt Grek"), ("non", "Latn Runr"), ("mww", "Hmnp Latn"),
        ("orv_Cyrl", "Cyrl"), ("nov_Latn", "Latn"), ("tlh_Latn", "Latn"), ("az_IR", "Arab"), ("uz@cyrillic", "Cyrl"),
        ("ur_Aran", "Arab"), ("de_Latf", "Latn"), ("cu_Cyrs", "Cyrl"), ("ja_Hira", "Hani Hira Kana"), ("ryu", "Hani Hira Kana"),
        ("ko_Hang", "Hang Hani"), ("zh_Hanb", "Bopo Hani"), ("zh-Latn", "Latn"), ("lad_hebr", "Hebr"), ("arb_Latn", "Latn"),
        # Unknown: no script in the code, in CLDR or of a macro-language; or none that Unicode has.
        ("orv", ""), ("nov", ""), ("ang", ""), ("rmy", ""), ("zaa", ""), ("en-Blis", ""), ("en-Zxxx", ""),
    ],
)  # fmt: skip
def test_scripts_of_a_code(code: str, scripts: str) -> None:
    assert " ".join(languages.unicode_scripts(code)) == scripts
    (tag,) = Languages(targets=(code,)).targets
    assert " ".join(languages.unicode_scripts(tag)) == scripts, "the recipe's tag has the same script"


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("acm_Arab", "أعرب الرجل عن قلقه من هذا الأمر"),
        ("ajp_Arab", "أعرب الرجل عن قلقه من هذا الأمر"),
        ("azb_Arab", "من بو گون ائوه گئدیرم"),
        ("az_Arab", "من بو گون ائوه گئدیرم و صاباح قاییداجاغام"),
        ("uz_Cyrl", "Ҳукумат келаси сайловгача солиқларни оширмаслигини айтди"),
        ("arb_Latn", "el walad rah 3al madrasa w ba3dein rege3 el beit"),
        ("hi_Latn", "sarkar ne kaha ki vah agle chunav se pahle kar nahin badhaegi"),
        ("grc", "καὶ τὸ φῶς ἐν τῇ σκοτίᾳ φαίνει"),
        ("orv", "се повѣсти времѧньных лѣт откуду есть пошла"),
        ("orv", "Old Slavonic in whatever letters"),
        ("aii", "ܒܪܫܝܬ ܐܝܬܘܗܝ ܗܘܐ ܡܠܬܐ"),
        ("shn_Mymr", "လိၵ်ႈႁူဝ်ၼႆႉ မီးယူႇၼိူဝ်ၽိူၼ်"),
    ],
)
def test_text_in_the_right_script_stays(language: str, text: str) -> None:
    assert not is_dropped(text, languages.canonical(language))


@pytest.mark.parametrize(
    ("language", "text"),
    [("acm", LATIN), ("azb", LATIN), ("grc", CYRILLIC), ("aii", LATIN), ("sr", "Ovo je jedna rečenica"), ("orv-Cyrl", LATIN)],
)
def test_text_in_another_script_goes(language: str, text: str) -> None:
    assert is_dropped(text, language)


def test_no_share_is_needed_of_an_unknown_script_or_for_a_share_of_zero() -> None:
    assert not is_in_other_script(LATIN, 12, "orv", 1)
    assert not is_in_other_script("abcd", 4, "ru", 0)
    assert not is_in_other_han_variant("简体", "zh-Hant", 0)


def test_dominant_script() -> None:
    assert [dominant_script(text) for text in ("Привет, OK", "カタカナ", "123 …", "שלום")] == ["Cyrl", "Kana", "", "Hebr"]


SIMPLIFIED = ("政府周二表示，在下次选举之前不会提高税收。", "打开文件", "请输入密码", "档案")
TRADITIONAL = ("政府週二表示，在下次選舉之前不會提高稅收。", "開啟檔案", "請輸入密碼", "檔案")


@pytest.mark.parametrize(("language", "right", "wrong"), [
    ("zh", SIMPLIFIED, TRADITIONAL), ("zh-Hant", TRADITIONAL, SIMPLIFIED), ("yue", TRADITIONAL, SIMPLIFIED),
    ("yue-Hans", SIMPLIFIED, TRADITIONAL), ("wuu-Hant", TRADITIONAL, SIMPLIFIED),
])  # fmt: skip
def test_variants_of_chinese(language: str, right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    def rules(source: str, target: str, texts: tuple[str, ...]) -> set[str]:
        sides = ["word " * 3] * len(texts), list(texts)
        settings = Clean(max_length_ratio=9, ratio_slack=50)
        return set(RowFilter(settings, source, target).apply(*(sides if target == language else reversed(sides))).rules)

    for source, target in (("en", language), (language, "en")):
        assert rules(source, target, right) == {""}
        assert rules(source, target, wrong) == {"chinese variant"}


@pytest.mark.parametrize("language", ["wuu", "lzh", "nan", "ja", "ko", "en"])
def test_a_language_without_a_usual_variant_has_both(language: str) -> None:
    assert not any(is_in_other_han_variant(text, language, 0.2) for text in (*SIMPLIFIED, *TRADITIONAL))


def test_a_name_in_the_other_variant_stays() -> None:
    assert not is_in_other_han_variant("武汉（又作武漢）的医院发现了这种疾病。", "zh", 0.2)
    assert not is_in_other_han_variant("ABC 中文 2020 OK", "zh", 0.2)
