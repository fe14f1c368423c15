"""Families of languages, for tables of many languages. Indo-European is divided into its branches, as in XTREME's tables."""

from __future__ import annotations

import langcodes

from mlctl import languages

OTHER = "other"

_FAMILIES = {
    "Afro-Asiatic": "ar arc am ha he kab mt om so syr ti",
    "Austroasiatic": "km vi",
    "Austronesian": "ace ban ceb fil fj haw id ilo jv mg mi min ms sm su to war",
    "Constructed": "eo ia",
    "Creole": "ht pap tpi",
    "Dravidian": "kn ml ta te",
    "Indo-European: Albanian": "sq",
    "Indo-European: Armenian": "hy",
    "Indo-European: Baltic": "lt ltg lv",
    "Indo-European: Celtic": "br cy ga gd",
    "Indo-European: Germanic": "af da de en fo fy gsw is lb nds nl no nn sv yi",
    "Indo-European: Greek": "el grc",
    "Indo-European: Indo-Aryan": "as bho bn gu hi mai mr ne or pa sa sd si ur",
    "Indo-European: Iranian": "ckb fa ku os ps tg",
    "Indo-European: Romance": "ast ca es fr fur gl it la lmo oc pt ro sc scn vec",
    "Indo-European: Slavic": "be bg bs cs dsb hr hsb mk pl ru sk sl sr uk",
    "Isolate": "eu",
    "Japonic": "ja",
    "Kartvelian": "ka",
    "Koreanic": "ko",
    "Kra-Dai": "lo shn th",
    "Mongolic": "mn",
    "Niger-Congo": "bem bm ff ig ki lg ln nso ny rn rw sn st sw tn ts wo xh yo zu",
    "Quechuan": "qu",
    "Sino-Tibetan": "bo dz my wuu yue zh",
    "Tupian": "gn",
    "Turkic": "az ba crh cv ky kk sah tk tr tt ug uz",
    "Uralic": "et fi hu se",
}
_BY_LANGUAGE = {language: family for family, members in _FAMILIES.items() for language in members.split()}


def family(code: str) -> str:
    """Return the family of a language, whatever its script; `OTHER` if it is not listed.

    Raises:
        InputError: the code names no language.
    """
    language = langcodes.Language.get(languages.canonical(code)).language
    return _BY_LANGUAGE.get(language or "", OTHER)


def script_name(code: str) -> str:
    """Return the English name of a language's script: `ru` → `Cyrillic`; `Han` for both variants of Chinese; `OTHER` if it is unknown.

    Raises:
        InputError: the code names no language.
    """
    script = languages.script(code)
    if script in ("Hans", "Hant"):
        return "Han"
    return langcodes.Language.make(script=script).script_name() if script else OTHER
