"""Text that was decoded with the wrong encoding: single lines, whole files and both sides are repaired or dropped; right text stays."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.cleaning import clean
from mlctl.cleaning.mojibake.encodings import SINGLE_BYTE
from mlctl.cleaning.mojibake.evidence import Evidence
from mlctl.cleaning.mojibake.letter_model import LetterModel
from mlctl.cleaning.mojibake.repair import EncodingRepair
from mlctl.cleaning.mojibake.single_byte import reading_table
from mlctl.cleaning.row_filters import RowFilter
from mlctl.config import Clean, Languages
from mlctl.core.workspace import Workspace
from mlctl.schema import PAIR

TEXTS = {
    "pl": "Źródło wody leży za wsią, więc chodzą tam już o świcie.",
    "cs": "Příliš žluťoučký kůň pěl ďábelské ódy až do večera.",
    "hu": "Az erdő szélén őzek és nyulak legelnek, ha hűvös az idő.",
    "ro": "Băieţii şi fetele aşteaptă în faţa şcolii până când începe ora.",
    "tr": "Çocuklar bugün bahçede oynuyor, çünkü hava güneşli ve ılık.",
    "lt": "Šiandien gražus oras, todėl vaikai žaidžia kieme už namų.",
    "fr": "L’élève a oublié son cahier à l’école, où il est resté.",
    "es": "El niño comió una piña mañana y tarde en el jardín pequeño.",
    "pt": "A decisão não será tomada até que as informações cheguem à comissão.",
    "de": "Die Mädchen hören früh die Vögel und grüßen die schöne Straße.",
    "ru": "Сегодня хорошая погода, и дети играют во дворе за домом.",
    "uk": "Сьогодні гарна погода, і діти граються у дворі за їхнім домом.",
    "el": "Σήμερα ο καιρός είναι καλός και τα παιδιά παίζουν στην αυλή.",
    "he": "היום מזג האוויר נעים והילדים משחקים בחצר",
    "ar": "الطقس جميل اليوم والأطفال يلعبون في الحديقة",
    "th": "วันนี้อากาศดีเด็กเล่นอยู่ในสวน",
}
MISREAD = [
    ("pl", "cp1250", "cp1252"),
    ("pl", "iso8859-2", "latin-1"),
    ("pl", "cp1250", "cp1251"),
    ("pl", "cp1257", "cp1252"),
    ("cs", "iso8859-2", "latin-1"),
    ("cs", "cp1250", "cp1252"),
    ("cs", "mac-latin2", "mac-roman"),
    ("hu", "cp1250", "latin-1"),
    ("ro", "cp1250", "cp1252"),
    ("tr", "cp1254", "latin-1"),
    ("tr", "iso8859-9", "cp1252"),
    ("lt", "cp1257", "cp1252"),
    ("fr", "cp1252", "cp1250"),
    ("fr", "cp1252", "cp1251"),
    ("fr", "mac-roman", "cp1252"),
    ("fr", "cp1252", "mac-roman"),
    ("es", "cp1252", "mac-roman"),
    ("es", "cp850", "cp1252"),
    ("pt", "latin-1", "cp1257"),
    ("de", "mac-roman", "latin-1"),
    ("de", "latin-1", "cp1253"),
    ("ru", "cp1251", "latin-1"),
    ("ru", "koi8-r", "cp1251"),
    ("ru", "iso8859-5", "cp1252"),
    ("ru", "mac-cyrillic", "mac-roman"),
    ("ru", "cp866", "cp1252"),
    ("ru", "utf-8", "koi8-r"),
    ("uk", "koi8-u", "cp1252"),
    ("el", "cp1253", "latin-1"),
    ("el", "iso8859-7", "cp1252"),
    ("he", "cp1255", "cp1252"),
    ("ar", "cp1256", "cp1252"),
    ("th", "cp874", "latin-1"),
]


def misread(text: str, true: str, read_as: str) -> str:
    codec = f"sloppy-windows-{read_as[2:]}" if read_as.startswith("cp12") else read_as
    return text.encode(true).decode(codec)


@pytest.mark.parametrize(("language", "true", "read_as"), MISREAD)
def test_a_misread_line_of_an_unknown_corpus_is_repaired(language: str, true: str, read_as: str) -> None:
    """Also through the row filter, on both sides."""
    text = misread(TEXTS[language], true, read_as)
    assert text != TEXTS[language]
    repaired = EncodingRepair(LetterModel(language)).repair(text)
    assert repaired == (TEXTS[language], False)
    for languages in ((language, "en"), ("en", language)):
        sides = ["It is like this.", text][:: 1 if languages[0] == "en" else -1]
        result = RowFilter(Clean(max_length_ratio=99, max_ratio_zscore=99), *languages).apply([sides[0]], [sides[1]])
        (pair,) = result.pairs
        assert pair, result.rules
        assert TEXTS[language] in (pair.normalized.source, pair.normalized.target)


@pytest.mark.parametrize("language", TEXTS)
def test_right_text_stays(language: str) -> None:
    """With names and signs from elsewhere, in every language."""
    repair = EncodingRepair(LetterModel(language))
    for addition in (
        "",
        " Muñoz",
        " Kovačević",
        " Þór Guðmundsson",
        " Erdoğan",
        " Łódź",
        " “São Paulo”",
        " 25 °C, 3 m²",
        " Чехов",
    ):
        assert repair.repair(TEXTS[language] + addition) == (TEXTS[language] + addition, False)


def test_two_readings_that_are_about_as_likely_are_dropped_unless_the_corpus_tells_them_apart() -> None:
    """KOI8-R and Windows-1251 exchange letters of the same alphabet."""
    text = misread(TEXTS["ru"], "cp1251", "koi8-r")
    assert EncodingRepair(LetterModel("ru")).repair(text).doubtful
    learned = Evidence.of("ru", ["Сегодня дети играют во дворе.", "Погода хорошая, и я за домом."] * 50).repair("ru")
    assert learned.repair(text) == (TEXTS["ru"], False)


def test_other_languages_under_a_wrong_name_are_left_to_the_rules_for_them() -> None:
    repair = EncodingRepair(LetterModel("fr"))
    for language in ("ru", "el", "ar"):
        assert repair.repair(TEXTS[language]).text == TEXTS[language]


def test_text_that_is_wrong_in_no_known_way_is_dropped() -> None:
    text = "Cz³onkowie obawiaj¹ siê ¿e b╜d¹ tam ЂЌ"
    (rule,) = RowFilter(Clean(), "en", "pl").apply(["The members fear that they will be there."], [text]).rules
    assert rule in ("mojibake", "script")


SPANISH = [f"El año {number} fue bueno para la mesa del pueblo de la costa" for number in range(1900, 1960)]


def test_the_words_of_the_corpus_decide_where_one_letter_cannot() -> None:
    """`Ańo` alone could be a name."""
    bare = EncodingRepair(LetterModel("es"))
    learned = Evidence.of("es", SPANISH).repair("es")
    text = "Año bueno para la mesa".replace("ñ", "ń")
    assert bare.repair(text).text == text
    assert learned.repair(text) == ("Año bueno para la mesa", False)
    assert learned.repair("Leszek Kaczyński y Gdańsk").text == "Leszek Kaczyński y Gdańsk"


def test_a_corpus_that_was_misread_as_a_whole_is_known_by_all_its_lines() -> None:
    """`Ańos` in each line, and no letter that speaks against it."""
    wrong = [misread(text.replace("año", "Año"), "cp1252", "cp1250") for text in SPANISH]
    repair = Evidence.of("es", wrong).repair("es")
    assert repair.expected
    assert not Evidence.of("es", [*SPANISH, *wrong[:9]]).repair("es").expected
    assert all("Año" in repair.repair(text).text for text in wrong)
    parts = [Evidence.of("es", wrong[:30]), Evidence.of("es", wrong[30:])]
    assert Evidence.total(parts).repair("es") == repair
    assert EncodingRepair.from_json(repair.to_json()) == repair


def test_files_of_which_both_sides_were_misread_come_out_right(tmp_path: Path) -> None:
    """The stage: a right file, and one of which each side was misread in its own way; and text without translation."""
    right = [(f"The café number {n} is open – “now”.", f"Źródło {n} leży za wsią, więc chodzą tam już.") for n in range(40)]
    wrong = [(misread(s, "mac-roman", "cp1252"), misread(t, "cp1250", "latin-1")) for s, t in right]
    rows: dict[str, list[tuple[str | None, str | None]]] = {
        "00-right": list(right[:20]),
        "01-wrong": list(wrong[20:]),
        "02-mono": [(None, misread("Córka leśniczego śpi pod jabłonią.", "cp1250", "cp1252"))],
    }
    for name, pairs in rows.items():
        path = tmp_path / f"in/pairs/pl/{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        same: dict[str, str | None] = dict.fromkeys(PAIR.names[:-1], "")
        pq.write_table(pa.Table.from_pylist([same | {"source": s, "target": t} for s, t in pairs], schema=PAIR), path)
    clean(Clean(max_repeats=0), Languages(targets=("pl",)), tmp_path / "in", Workspace(tmp_path))
    table = pq.read_table(tmp_path / "pairs/pl.parquet").to_pylist()
    assert [(row["source"], row["target"]) for row in table] == right
    (alone,) = pq.read_table(tmp_path / "untranslated/pl.parquet").to_pylist()
    assert alone["target"] == "Córka leśniczego śpi pod jabłonią."


FILES = {
    "et": [
        "Kõik lapsed mängivad õues, sest ilm on ilus.",
        "Ta sõitis hommikul tööle ja jõudis õhtul koju.",
        "Õpetaja ütles, et tõlge on väga hästi tehtud.",
        "Külas elab vana mees, kes püüab iga päev kala.",
        "Võib-olla läheme järgmisel nädalal mööda rannikut.",
    ],
    "no": [
        "Barna får ikke lov til å løpe over gården.",
        "Han sa at møtet var forståelig nok på norsk.",
        "Hun kjøpte både brød, smør og kål på torget.",
        "De bør også se på været før de går ut på sjøen.",
        "Når våren kommer, blir øya full av blåklokker.",
    ],
    "cy": [
        "Mae’r plant yn chwarae yn yr ardd o flaen y tŷ.",
        "Dyma’r llyfr sy’n sôn am hanes y dre.",
        "“Rwy’n hoff o’r môr,” meddai’r hen ŵr.",
        "Roedd e’n canu’n uchel i’r plant bach.",
        "Aeth y ‘bws’ i’r dre heb ei yrrwr.",
        "“Rwy’n canu bob dydd,” meddai’r plant.",
        "Mae e yn canu, ac mae’r plant yn dawnsio i’r miwsig.",
    ],
    "ru": [
        *TEXTS["ru"].split(", "),
        "Мы купили хлеб, яблоки и свежее молоко.",
        "Я не знаю, где моя новая книга.",
        "Моя сестра приехала.",
    ],
    "ro": [*TEXTS["ro"].split(" şi "), "Ţara are munţi înalţi şi câmpii întinse.", "Învăţătorul citeşte o poveste."],
}
MISREAD_FILES = [
    ("et", "latin-1", "cp1250"),
    ("et", "cp1252", "mac-latin2"),
    ("et", "utf-8", "cp1257"),
    ("no", "latin-1", "cp1250"),
    ("no", "cp1257", "latin-1"),
    ("no", "utf-8", "iso8859-2"),
    ("cy", "mac-cyrillic", "cp1251"),
    ("cy", "cp1252", "mac-roman"),
    ("ru", "mac-cyrillic", "cp1251"),
    ("ru", "cp1251", "koi8-r"),
    ("ro", "iso8859-2", "cp1252"),
]


def corpus(language: str) -> list[str]:
    return [f"{number}. {text}" for number in range(20) for text in FILES[language]]


def can_be_misread(text: str, true: str, read_as: str) -> bool:
    try:
        return misread(text, true, read_as) != text
    except UnicodeError:
        return False


@pytest.mark.parametrize(("language", "true", "read_as"), MISREAD_FILES)
def test_a_misread_file_is_repaired_as_a_whole(language: str, true: str, read_as: str) -> None:
    """Each line alone has several readings; all lines together have one. Lines that the encoding cannot hold are right."""
    right = [text for text in corpus(language) if can_be_misread(text, true, read_as)]
    wrong = [misread(text, true, read_as) for text in right]
    repair = Evidence.of(language, wrong).repair(language)
    assert len(right) >= 20
    assert [repair.repair(text).text for text in wrong] == right


@pytest.mark.parametrize("language", ["et", "no", "cy", "ru"])
def test_a_misread_file_among_right_ones_does_not_spoil_them(language: str) -> None:
    """A quarter of the corpus."""
    right = corpus(language)
    true, read_as = ("mac-cyrillic", "cp1251") if language == "ru" else ("cp1252", "cp1257")
    wrong = {
        number: misread(right[number], true, read_as)
        for number in range(0, 100, 4)
        if can_be_misread(right[number], true, read_as)
    }
    mixed = [wrong.get(number, text) for number, text in enumerate(right)]
    repair = Evidence.of(language, mixed).repair(language)
    results = [repair.repair(text) for text in mixed]
    assert [number for number, result in enumerate(results) if result.text != right[number] and not result.doubtful] == []
    assert [number for number, result in enumerate(results) if result.doubtful and number not in wrong] == []


def test_a_text_is_no_evidence_for_itself() -> None:
    """A wrong letter in one line of the corpus does not become one of the language; in many lines it would."""
    lines = [text.replace("Kõik", f"Kõik {number}") for number, text in enumerate(corpus("et"))]
    wrong = "Nad hšlitsevad hšsti mšnguasju."
    repair = Evidence.of("et", [*lines, wrong]).repair("et")
    assert "hš$" not in repair.model.contexts
    assert "^šh" not in repair.model.contexts
    assert repair.repair(wrong) == ("Nad hälitsevad hästi mänguasju.", False)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (
            "zh",
            "就AM头衔的问题，“国民议会委员会”赞同使用“威尔士议会议员”或WMP，艾琳·琼斯（Elin Jones）、霍莉·威洛比（Holly）说。",
        ),
        ("yue", "佢話“好開心”，瑪麗·安（Mary）同“阿明”去咗25°C嘅公園，買咗iPhone同“筆記簿”。"),
        ("ja", "「ローレン・ラバーン」は“ラジオ4”でダレ―選手に会い、NATO（北大西洋条約機構）の“会議”に出た。"),
        ("ko", "“국민”이 NATO의 ‘회의’에서 BBC와 말했다 – 100%가 “좋다”고."),
        ("th", "เขาพูดว่า“ดีมาก”และ“สวย”กับBBCที่25°C"),
    ],
)
def test_right_text_without_spaces_stays(language: str, text: str) -> None:
    """Quotation marks, signs and Latin words stand beside its letters."""
    assert EncodingRepair(LetterModel(language)).repair(text) == (text, False)
    learned = Evidence.of(language, [text] * 200).repair(language)
    assert not learned.expected
    assert learned.repair(text) == (text, False)


def test_utf8_is_decoded_as_what_it_was_read_as() -> None:
    """`Ć¤` of Windows-1257 would be `Ƥ` if it were of Windows-1250."""
    assert EncodingRepair(LetterModel("et")).repair("nad nĆ¤evad vĆ¤lja") == ("nad näevad välja", False)


@given(st.text(st.sampled_from("abc ąęłéüÕ³¹Ђ’“×\x92¿ßńŃя"), max_size=30), st.sampled_from(["pl", "en", "ru", "he", "zh"]))
def test_repair_is_total_and_keeps_ascii(text: str, language: str) -> None:
    repaired = EncodingRepair(LetterModel(language)).repair(text).text
    assert [c for c in repaired if c.isascii()] == [c for c in text if c.isascii()] or len(repaired) != len(text)


@given(st.sampled_from(SINGLE_BYTE), st.sampled_from(SINGLE_BYTE))
def test_other_characters_are_the_same_bytes_in_another_encoding(read_as: str, true: str) -> None:
    data = bytes(byte for byte in range(0x80, 0x100) if "\ufffd" not in bytes([byte]).decode(read_as, "replace"))
    data = bytes(byte for byte in data if "\ufffd" not in bytes([byte]).decode(true, "replace"))
    characters = data.decode(read_as)
    expected = data.decode(true)
    _, code_points = reading_table((true,)).readings(characters)
    found = ["".join(map(chr, reading)) for reading in code_points.T.tolist()]
    assert (expected in found) == (expected != characters)
