"""OPUS's codes of languages: many corpora use codes of their own publishers, so one language has several."""

from __future__ import annotations

import functools
from collections import defaultdict

from mlctl.languages import canonical

# Codes of OPUS other than the tag with `_` for `-`, the most frequent of a language first (from the list of its corpora in mtdata 0.5.1),
# and the retired iw, in and ji. Not listed: regions of English (user interfaces that are in OPUS as `en` too), bilingual subtitles, and
# codes that OPUS uses for another language than ISO 639 does (als: Alemannic).
_CODES = (
    "ady_cyrl aeb_arab aeb_latn tw fat aka amh ar_TN ara ar_SY aym az_IR bcc ban_bali bax_bamu bbc_latn be_tarask be_x_old "
    "bg_BG bgc_arab bh bcl bam bn_IN bod bs_Latn bxr bug_bugi cat cbk_zam cdo_hans cdo_hant cdo_latn mhr cja_arab cja_cham "
    "cja_latn cjm_cham cjm_arab cjm_latn cjy_hans cjy_hant cpx_hans cpx_hant cpx_latn crh_ro crh_cyrl crh_latn chv da_DK de_DE "
    "de_AT de_at de_ch de_formal de_CH dik kzj es_ES es_PR es_CO es_UY es_MX es_AR es_CL es_CR es_DO es_EC es_GT es_HN es_NI "
    "es_PA es_PE es_SV es_VE es_formal es_419 es_149 pes prs fa_AF fa_IR ful fuc tl fr_CA fr_FR fr_ca fr_BE gan_hans gan_hant "
    "gom_deva gom_latn hau hak_hant hak_latn iw hif_latn hif_deva hu_formal in ibo it_IT ike_cans ike ike_latn jv_java kbd_cyrl "
    "kge_arab kik kk_cyrl kk_kz kk_tr kk_arab kk_cn kk_latn khm ko_kp knc kr_Latn kau ks_arab ks_Arab ks_deva kmr ku_latn "
    "ku_Latn ku_arab kpv lad_hebr pnb lin plt mlg mnc_mong zsm ms_arab nan_hans nan_hant nan_latn_pehoeji nan_latn_tailo npi "
    "nl_informal nl_NL nl_BE nn_NO nb nb_NO no_nb nb_no nod_thai nya orm pan pt_BR pt_br pt_PT pt_MZ quz que rml_cyrl run mo "
    "rmy ruq_cyrl ruq_latn kin shi_latn shy_latn skr_arab sna som sr_ec srp sh_cyrl cnr_cyrl sr_Cyrl sh sh_latn sr_el cnr_latn "
    "sr_ME hbs sot swh swa swc ta_LK tg_cyrl tg_latn tir tly_cyrl tr_TR tt_cyrl tt_latn ug_arab ug_latn ur_PK uz_latn uz_cyrl "
    "wol wuu_hans wuu_hant xho ji yor yue_hant zh_yue yue_hans cmn zh_CN zh_cn zh_hans zh_sg zh_zh zh_TW zh_HK zh_tw zh_hant "
    "zh_hk zh_mo zul diq"
).split()
# Codes that are no BCP 47 tags.
_OTHER_CODES = {"zhs": "zh", "zht": "zh-Hant", "jp": "ja", "jap": "ja"}


def opus_codes(tag: str) -> tuple[str, ...]:
    """Return the codes that OPUS uses for a language (canonical tag), the usual one first: `zh-Hant` is zh_Hant, zh_TW, zh_HK and more."""
    return (tag.replace("-", "_"), *_codes_by_tag().get(tag, ()))


@functools.cache
def _codes_by_tag() -> dict[str, tuple[str, ...]]:
    codes: dict[str, list[str]] = defaultdict(list)
    for code in _CODES:
        codes[canonical(code)].append(code)
    for code, tag in _OTHER_CODES.items():
        codes[tag].append(code)
    return {tag: tuple(listed) for tag, listed in codes.items()}
