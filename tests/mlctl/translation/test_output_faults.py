"""Machine translation that went wrong is rejected by a rule with a name; what the text has too is no fault."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.config import Languages, Translate
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.reporting.translation import translation_rows
from mlctl.schema import PAIR
from mlctl.translation import output_faults, translate
from mlctl.translation.backend import EMPTY, TOO_LONG, Translation
from mlctl.translation.fault_counter import FaultCounter
from mlctl.translation.output_checks import COPIED, check_outputs
from mlctl.translation.output_faults import CHATTER, GIBBERISH, LENGTH, MARKUP, NO_WORDS, NUMBERS, REPETITION, RULES, find_fault

TEXT = "The old house beyond the river has been empty for many years now."
GOOD = {
    "fr": "La vieille maison de l'autre côté de la rivière est vide depuis de nombreuses années.",
    "ru": "Старый дом за рекой пустует уже много лет.",
    "zh": "河对岸的老房子已经空了很多年了。",
    "ar": "البيت القديم وراء النهر خالٍ منذ سنوات عديدة.",
    "th": "บ้านเก่าที่อยู่อีกฝั่งของแม่น้ำว่างเปล่ามาหลายปีแล้ว",
    "ja": "川の向こうの古い家は、もう何年も空き家のままだ。",
}
FAULTS: dict[str, tuple[Callable[[str], str], str | None]] = {
    "loop of a word": (lambda good: good[: len(good) // 2] + " " + good.split(" ")[0][:6] * 12, REPETITION),
    "loop of a phrase": (lambda good: (good[:8] + " ") * 9, REPETITION),
    "six times": (lambda good: " ".join([good] * 6), REPETITION),
    "twice": (lambda good: f"{good} {good}", REPETITION),
    "punctuation": (lambda _: "... , ! ?", NO_WORDS),
    "one word": (lambda good: good[:2], LENGTH),
    "tail of signs": (lambda good: good + " }{#@!~^&*%$|<>", GIBBERISH),
    "tail of letters": (lambda good: good + " xkqzvb wrtpsdk bvnmqkl zxcvbn", GIBBERISH),
    "tail of letters with vowels": (lambda good: good + " uzqef owkjix eqhud ixawgyo uqove axjeh", GIBBERISH),
    "tail of keys": (lambda good: good + " asdfgh werty dfghj qwer ghjkl", GIBBERISH),
    "tail of signs and spaces": (lambda good: good + " #@ {} ~ |= $", GIBBERISH),
    "tail in a third script": (lambda good: good + " ഗമ ഉടപ ഗമര", GIBBERISH),
    "refusal": (lambda _: "I'm sorry, but I can't translate this sentence.", CHATTER),
    "chatter": (lambda good: f"Translation: {good} (Note: the river is not named.)", CHATTER),
    "introduction": (lambda good: f"Sure! Here is the translation: {good}", CHATTER),
    "prompt": (lambda good: f"Translate the following text to French: {good}", CHATTER),
    "label": (lambda good: f"Answer: {good}", CHATTER),
    "of itself": (lambda _: "As a large language model, I only know English well.", CHATTER),
    "agreement": (lambda good: f"Certainly! {good}", CHATTER),
    "closing line": (lambda good: f"{good}\n\nLet me know if you need anything else!", CHATTER),
    "code fence": (lambda good: f"```\n{good}\n```", MARKUP),
    "json": (lambda good: f'{{"text": "{good}"}}', MARKUP),
    "tags": (lambda good: f"<p>{good}</p>", MARKUP),
    "special tokens": (lambda good: f"{good} </s>", MARKUP),
    "the source too": (lambda good: f"{TEXT} {good}", COPIED),
    "an unrelated story": (lambda good: "".join(f"{good[:-1]}{chr(0x61 + n)}, {n} – " for n in range(5))[::-1], None),
    "nothing": (lambda _: " ", EMPTY),
}  # fmt: skip


def rule(text: str, output: str, target: str) -> str:
    (checked,) = check_outputs([text], [Translation(output)], "en", target)
    assert checked.text.strip() == output.strip()  # kept with the rejected rows
    return checked.rule


@pytest.mark.parametrize("language", GOOD)
@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_has_its_rule(kind: str, language: str) -> None:
    spoil, expected = FAULTS[kind]
    assert rule(TEXT, GOOD[language], language) == ""
    found = rule(TEXT, spoil(GOOD[language]), language)
    assert found
    assert expected in (None, found)


@pytest.mark.parametrize(
    ("target", "output"),
    [
        ("fr", "Je suis désolé, mais je ne peux pas traduire ce texte."),
        ("de", "Es tut mir leid, aber ich kann diesen Satz nicht übersetzen."),
        ("es", "Lo siento, pero no puedo traducir este texto."),
        ("ru", "Извините, но я не могу перевести этот текст."),
        ("zh", "抱歉，我无法翻译这句话，请提供更多信息。"),
        ("ja", "申し訳ありませんが、この文を翻訳できません。"),
        ("ko", "죄송하지만 이 문장을 번역할 수 없습니다."),
        ("ar", "عذرًا، لا يمكنني ترجمة هذه الجملة."),
        ("hi", "क्षमा करें, मैं इस वाक्य का अनुवाद नहीं कर सकता।"),
        ("tr", "Üzgünüm, bu cümleyi çevirmenize yardımcı olamam."),
        ("th", "ขออภัย ฉันไม่สามารถแปลประโยคนี้ได้"),
        ("id", "Maaf, saya tidak dapat menerjemahkan kalimat ini."),
        ("ro", "Din păcate, nu sunt capabil să traduc această propoziție."),
        ("sv", "Jag beklagar, men jag är inte i stånd att översätta meningen."),
        ("hu", "Nem áll módomban lefordítani ezt a mondatot."),
        ("sw", "Naomba radhi, sina uwezo wa kutafsiri sentensi hii."),
        ("ka", "ვწუხვარ, ამ წინადადების თარგმნა შეუძლებელია."),
        ("de", "Gerne! Die alte Dame jenseits des Flusses ist seit vielen Jahren fort."),
    ],
)
def test_refusals_in_the_target_language(target: str, output: str) -> None:
    assert rule(TEXT, output, target) == CHATTER


@pytest.mark.parametrize(
    ("text", "target", "output"),
    [
        ("No, no, no, no, no!", "fr", "Non, non, non, non, non !"),
        (
            "Row, row, row your boat, row, row, row your boat",
            "fr",
            "Rame, rame, rame sur ton bateau, rame, rame, rame sur ton bateau",
        ),
        ("1 1 1 1 1 1 1 1 1 1 1 1 apples", "fr", "1 1 1 1 1 1 1 1 1 1 1 1 pommes"),
        ("I'm sorry, but I can't come to the meeting.", "fr", "Je suis désolé, mais je ne peux pas venir à la réunion."),
        ("Note: the shop is closed today.", "fr", "Note : le magasin est fermé aujourd'hui."),
        ("Translation: a short history", "de", "Übersetzung: eine kurze Geschichte"),
        ("As an AI language model, it cannot feel.", "es", "Como modelo de lenguaje, no puede sentir."),
        ("<b>Save</b> the file and **close** it", "fr", "<b>Enregistrez</b> le fichier et **fermez**-le"),
        ("Look at the books and the children", "id", "Lihatlah buku-buku dan anak-anak itu"),
        ("Room 1234567 is on floor 89", "zh", "1234567号房间在89层"),
        ("The tschüss of Schweden", "de", "Die Rechtsschutzversicherung schwatzt herbstlich"),
        ("A quarter of the words", "cs", "Čtvrtka slov, zmrzl scvrkl vlk prst"),
        ("Hm", "ja", "うーん"),
        ("The virus was isolated in camels.", "en", "It indicates camels as the bona fide reservoir of the virus."),
        ("The closure led to the loss of jobs.", "fr", "La fermeture se traduit par la perte de nombreux emplois."),
        ("A prison spokesperson said nothing.", "ur", "جیل کے ایک ترجمان نے کچھ نہیں کہا۔"),
        ("Teach me how short my days are.", "en", "Let me know how frail I am, and what the measure of my days is."),
        ("Who is there?? Nobody answered!", "zh", "是谁……？？？？？？没有人回答！！！！！！"),
        ("Yes", "de", "Ja"),
    ],
)
def test_right_output_stays(text: str, target: str, output: str) -> None:
    assert find_fault(text, output, "en", target) == ""


def test_gibberish_in_the_letters_of_the_target_language() -> None:
    text = "The spokesman of the ministry said on Tuesday that the taxes will not be raised before the next election."
    good = "Rzecznik ministerstwa powiedział we wtorek, że podatki nie zostaną podniesione przed następnymi wyborami."
    assert find_fault(text, good, "en", "pl") == ""
    assert find_fault(text, good + " źflógmąw ouehit ćwteąb óźcę yńćeń ottskr", "en", "pl") == GIBBERISH


def test_an_output_of_gibberish_alone() -> None:
    assert find_fault("The ministry raised the taxes again", "uzqefo wkjixe qhudix awgyuq ovejxh", "en", "fr") == GIBBERISH


def test_latin_words_in_a_language_that_the_identifier_does_not_know() -> None:
    text, good = "She sings in Male with the band Kudos and friends.", "އޭނާ ލަވަކިޔަނީ މާލޭގައި އެކުވެރިންނާއެކު Kudos ބޭންޑާއެކުގައެވެ ކޮންމެ ހަފްތާއަކު ރޭގަނޑުގެ ވަގުތު"
    assert find_fault(text, good, "en", "dv") == ""
    assert find_fault(text, f"{good} male band kudos friends", "en", "dv") == ""  # of the text
    assert find_fault(text, f"{good} hiva loma runo tespa", "en", "dv") == GIBBERISH
    hmong = "Cov neeg pov npav xaiv tsa yuav pov npav nyob rau hnub Sunday"
    assert find_fault("Voters will vote on Sunday", hmong, "en", "hmn") == ""  # CLDR has another script for it


@given(st.text("ab ", max_size=40), st.text("abc", min_size=1, max_size=8), st.integers(1, 8))
def test_the_fast_test_finds_every_repetition(before: str, phrase: str, times: int) -> None:
    text = before + phrase * times
    length, share = output_faults._repeated(text)
    if length >= 14 and share > 0.3:
        assert output_faults._occurs_twice(output_faults._word_characters(text), 14)


def test_numbers_must_be_those_of_the_text() -> None:
    text = "Call 555-1234-6789 before 17:45 on 28 November."
    assert find_fault(text, "Appelez le 555-1234-6789 avant 17 h 45 le 28 novembre.", "en", "fr") == ""
    assert find_fault(text, "Appelez le 99-8888 avant 3 h 33 le 3 novembre.", "en", "fr") == NUMBERS
    assert len(set(RULES)) == 7


def test_a_backend_with_too_many_faults_stops_with_an_example() -> None:
    counter = FaultCounter(0.05, "en→fr")
    counter.add([TEXT] * 40, [Translation(GOOD["fr"])] * 31 + [Translation("...", NO_WORDS)] * 9)
    counter.check()  # fewer than ten
    counter.add([TEXT, "x"], [Translation("non non", REPETITION), Translation("", TOO_LONG)])
    message = (
        r"10 of 41 outputs en→fr are faulty \(no words 9, repetition 1\); 'The old .*' became '\.\.\.' \(no words\)\n.*max_faulty"
    )
    with pytest.raises(InputError, match=message):
        counter.check()
    counter.add_counts(1_000, {TOO_LONG: 5})
    counter.check()


PROGRAM = """
import sys
for number, line in enumerate(sys.stdin):
    sys.exit("no model for this direction") if sys.argv[1] == "en" else None
    print("la " * 40 if "bad" in line else f"Le texte {line.split()[-1]} est traduit ainsi.")
"""


def texts_of(folder: Path, texts: Sequence[str]) -> Path:
    same = dict.fromkeys(PAIR.names[:-1], "") | {"source_language": "en", "target_language": "fr"}
    (folder / "untranslated").mkdir(parents=True)
    rows = [{**same, "source": text, "target": None} for text in texts]
    pq.write_table(pa.Table.from_pylist(rows, schema=PAIR), folder / "untranslated/fr.parquet")
    return folder


def test_the_stage_keeps_faulty_outputs_and_stops_where_they_are_too_many(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a program that translates one way only, which is no error; a second run goes on after the finished parts."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    command = (sys.executable, str(tmp_path / "program.py"), "{target}")
    settings = Translate(backend="command", command=command, part_rows=50, max_faulty=0.2)
    few = [f"This {'bad' if number % 10 == 0 else 'good'} text has number {number}" for number in range(100)]
    (tmp_path / "few").mkdir()
    result = translate(settings, Languages(), texts_of(tmp_path / "a", few), Workspace(tmp_path / "few"))
    assert result == {"fr.translated": 90, "fr.rejected": 10}
    assert "no round trip is measured, fr→en does not work" in caplog.text
    rejected = [row for part in (0, 1) for row in pq.read_table(tmp_path / f"few/rejected/fr/{part:05}.parquet").to_pylist()]
    assert {(row["rule"], row["target"], row["synthetic"]) for row in rejected} == {(REPETITION, ("la " * 40).strip(), "target")}
    (report,) = translation_rows(tmp_path / "few")
    assert (report["direction"], report["translated"], report["rejected"], report["faulty"]) == ("en→fr", 90, 10, 0.1)
    funnel = {row["rule"]: row["rows_in"] - row["rows_out"] for row in pq.read_table(tmp_path / "few/funnel.parquet").to_pylist()}
    assert funnel[REPETITION] == 10
    many = [f"This good text has number {number}" for number in range(300)] + [
        f"This bad text has {number}" for number in range(90)
    ]
    (tmp_path / "many").mkdir()
    strict = settings.model_copy(update={"max_faulty": 0.15})
    for _ in range(2):
        with pytest.raises(InputError, match=r"outputs en→fr are faulty \(repetition"):
            translate(strict, Languages(), texts_of(tmp_path / f"b{_}", many), Workspace(tmp_path / "many"))
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "many").rglob("pairs/*/*.parquet")}
    translate(settings.model_copy(update={"max_faulty": 1.0}), Languages(), tmp_path / "b0", Workspace(tmp_path / "many"))
    assert all(file.stat().st_mtime_ns == time for file, time in before.items())
