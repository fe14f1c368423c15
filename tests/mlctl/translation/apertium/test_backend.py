"""Apertium: translations of everyday sentences, unusual text and programs that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sacrebleu

from mlctl.config import Translate
from mlctl.errors import InputError
from mlctl.translation.apertium import modes
from mlctl.translation.apertium.backend import ApertiumBackend
from mlctl.translation.apertium.pipeline import Pipeline
from mlctl.translation.apertium.stream import StreamText
from mlctl.translation.backend import EMPTY, FAILED, TOO_LONG

MISSING = [f"apertium-eng-{code}" for code, tag in (("spa", "es"), ("cat", "ca")) if modes.find("en", tag) is None]
needs_apertium = pytest.mark.skipif(bool(MISSING), reason=f"apt-get install {' '.join(MISSING)}: Debian packages are missing")

# English, Spanish, Catalan.
SENTENCES = [
    ("The house is big and old.", "La casa es grande y vieja.", "La casa és gran i vella."),
    ("My brother works in a bank.", "Mi hermano trabaja en un banco.", "El meu germà treballa en un banc."),
    ("We have two cats and a dog.", "Tenemos dos gatos y un perro.", "Tenim dos gats i un gos."),
    ("The children play in the garden.", "Los niños juegan en el jardín.", "Els nens juguen al jardí."),
    ("I want to drink a glass of water.", "Quiero beber un vaso de agua.", "Vull beure un got d'aigua."),
    ("The shop opens on Monday at nine.", "La tienda abre el lunes a las nueve.", "La botiga obre dilluns a les nou."),
    ("She did not read the letter.", "No leyó la carta.", "No va llegir la carta."),
    ("The red car is in front of the school.", "El coche rojo está delante de la escuela.", "El cotxe vermell és davant de l'escola."),
    ("They will arrive tomorrow.", "Llegarán mañana.", "Arribaran demà."),
    ("The teacher has bought three new books.", "El profesor ha comprado tres libros nuevos.", "El professor ha comprat tres llibres nous."),
    ("Our friends live in a small village.", "Nuestros amigos viven en un pueblo pequeño.", "Els nostres amics viuen en un poble petit."),
    ("The train leaves the station at six.", "El tren sale de la estación a las seis.", "El tren surt de l'estació a les sis."),
    ("You can open the window if you want.", "Puedes abrir la ventana si quieres.", "Pots obrir la finestra si vols."),
    ("The winter was cold and long.", "El invierno fue frío y largo.", "L'hivern va ser fred i llarg."),
]  # fmt: skip
ODD = {
    "": "",
    "   ": "",
    "😀 Cats 😀": "😀 gatos 😀",
    "Delete <b>%(count)s</b> items from {place}?": "Elimina <b>%(count)s</b> elementos de {place}?",
    'A <a href="/the/house?big=1" title="The house">house</a>': 'Una <a href="/the/house?big=1" title="The house">casa</a>',
    "See https://example.org/the/house.": "Ve https://example.org/the/house.",
    "*star* #3 blorptang": "*estrella* #3 blorptang",
    "The house\nis\u2028big\r\nand\0old.": "La casa es grande y vieja.",
    "red house": "casa roja",
    "Are you sure you want to delete this document?": "Eres seguro quieres eliminar este documento?",
    "The `red_house` --all help_text": "El `red_house` --all help_text",
}


def settings(**values: object) -> Translate:
    return Translate.model_validate({"backend": "apertium", **values})


@pytest.fixture
def spanish() -> Iterator[ApertiumBackend]:
    backend = ApertiumBackend(settings(threads=1), "en", "es")
    yield backend
    backend.close()


def texts_of(backend: ApertiumBackend, texts: list[str]) -> list[str]:
    return [translation.text for translation in backend.translate(texts, "en", "es")]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@needs_apertium
@pytest.mark.parametrize(("target", "side", "least"), [("es", 1, 70), ("ca", 2, 70)])
def test_everyday_sentences_come_out_well(target: str, side: int, least: float) -> None:
    backend = ApertiumBackend(settings(), "en", target)
    outputs = backend.translate([row[0] for row in SENTENCES], "en", target)
    backend.close()
    assert sacrebleu.corpus_chrf([translation.text for translation in outputs], [[row[side] for row in SENTENCES]]).score > least


@needs_apertium
def test_odd_text_comes_out_line_for_line(spanish: ApertiumBackend) -> None:
    outputs = dict(zip(ODD, texts_of(spanish, list(ODD)), strict=True))
    assert {text: outputs[text].casefold() for text in ODD} == {text: expected.casefold() for text, expected in ODD.items()}


@needs_apertium
def test_every_sign_survives_in_its_place(spanish: ApertiumBackend) -> None:
    signs = [
        sign
        for sign in map(chr, [*range(33, 127), 0x7F, 0x200B, 0x3042, 0x5D0, 0x1F3F4])
        if not sign.isascii() or not sign.isalnum()
    ]
    texts = [form.replace("_", sign) for sign in signs for form in ("red _ house", "red_house", "_house", "house_", "_")]
    outputs = texts_of(spanish, texts)
    assert len(outputs) == len(texts)
    # A lone ampersand is a word: "y".
    lost = [
        (text, output)
        for text, output in zip(texts, outputs, strict=True)
        for sign in signs
        if sign in text and sign not in output
    ]
    assert not [pair for pair in lost if "&" not in pair[0]], lost
    assert not any(mark in "".join(outputs).translate({ord(sign): None for sign in signs}) for mark in "*#@[]^$\\")


@needs_apertium
def test_capitals_stay(spanish: ApertiumBackend) -> None:
    assert texts_of(spanish, ["THE HOUSE IS BIG.", "The house", "the house"]) == ["LA CASA ES GRANDE.", "La casa", "la casa"]


@needs_apertium
def test_a_very_long_line_does_not_block() -> None:
    backend = ApertiumBackend(settings(max_tokens=30_000), "en", "es")
    long = "The house is big. " * 5_600  # 100 KB
    outputs = texts_of(backend, ["A cat.", long, "x" * 100_000, "A dog."])
    assert [outputs[0], outputs[2], outputs[3]] == ["Un gato.", "x" * 100_000, "Un perro."]
    assert outputs[1] == " ".join(["La casa es grande."] * 5_600)
    backend.close()


@needs_apertium
def test_too_long_and_empty_text_is_named(spanish: ApertiumBackend) -> None:
    assert [output.rule for output in spanish.translate(["cat " * 257, "cat", " "], "en", "es")] == [TOO_LONG, "", EMPTY]
    assert spanish.fits(["cat " * 257, "cat " * 256], "en", "es") == [False, True]


@needs_apertium
def test_workers_and_neighbours_change_nothing(spanish: ApertiumBackend) -> None:
    texts = [f"{row[0]} {number}" for number in range(40) for row in SENTENCES]
    two = ApertiumBackend(settings(threads=2), "en", "es")
    outputs = texts_of(spanish, texts)
    assert texts_of(two, texts) == outputs
    assert texts_of(two, texts[::-1]) == outputs[::-1]
    two.close()


@needs_apertium
@pytest.mark.parametrize("program", [0, 5, -1])
def test_a_killed_program_costs_nothing(spanish: ApertiumBackend, program: int) -> None:
    texts = [f"{row[0]} {number}" for number in range(100) for row in SENTENCES]
    expected = texts_of(spanish, texts)
    first = spanish.pids
    outputs: list[str] = []
    thread = threading.Thread(target=lambda: outputs.extend(texts_of(spanish, texts)))
    thread.start()
    time.sleep(0.1)
    os.kill(first[program], signal.SIGKILL)
    thread.join(60)
    assert outputs == expected
    assert set(spanish.pids).isdisjoint(first)
    assert not any(map(is_alive, first))


@needs_apertium
def test_a_silent_program_is_replaced() -> None:
    backend = ApertiumBackend(settings(threads=1), "en", "es", timeout=1.0)
    texts_of(backend, ["A cat."])
    first = backend.pids
    os.kill(first[3], signal.SIGSTOP)
    assert texts_of(backend, ["A cat.", "A dog."]) == ["Un gato.", "Un perro."]
    assert not any(map(is_alive, first))
    backend.close()


@needs_apertium
def test_its_processes_end_with_it(spanish: ApertiumBackend) -> None:
    texts_of(spanish, ["A cat."])
    pids = spanish.pids
    assert len(pids) > 5
    assert all(map(is_alive, pids))
    spanish.close()
    assert not any(map(is_alive, pids))


@needs_apertium
def test_its_processes_end_when_their_parent_is_killed() -> None:
    code = (
        "import sys; from mlctl.config import Translate; from mlctl.translation.apertium.backend import ApertiumBackend as A;"
        "a = A(Translate(backend='apertium', threads=1), 'en', 'es'); a.translate(['cat'], 'en', 'es');"
        "print(*a.pids, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert all(map(is_alive, pids))
        parent.kill()
    end = time.monotonic() + 20
    while any(map(is_alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(is_alive, pids))


def installation(folder: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set up an Apertium installation of one mode, with the programs of `mode`."""
    (folder / "modes").mkdir()
    (folder / "modes" / "eng-spa.mode").write_text(mode)
    (folder / "modes" / "eng-spa-tagger.mode").write_text("cat")
    monkeypatch.setenv("APERTIUM_DATADIR", str(folder))
    monkeypatch.setenv("APERTIUM_PATH", str(folder))


ECHO = """#!{python}
import os, sys
message = b""
while sign := os.read(0, 1):
    message += sign
    if b"{word}" in message:
        os.kill(os.getpid(), 9)
    if sign == b"\\0":
        os.write(1, message)
        message = b""
"""


def test_a_text_that_kills_the_backend_is_left_out_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "echo-or-die"
    program.write_text(ECHO.format(python=sys.executable, word="killer"))
    program.chmod(0o755)
    installation(tmp_path, "echo-or-die | echo-or-die '$1'", monkeypatch)
    backend = ApertiumBackend(settings(), "en", "es")
    outputs = backend.translate(["one", "killer", "two", "three", "killer"], "en", "es")
    backend.close()
    assert [(translation.text, translation.rule) for translation in outputs] == [
        ("one", ""), ("", FAILED), ("two", ""), ("three", ""), ("", FAILED),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("sleep 60", "sleep ended with exit status 1; standard error: sleep: invalid option -- 'z'"),
        ("no-such-program", "cannot be started"),
        ("", "names no program"),
        ("silent", "no output within 1 s"),
    ],
)
def test_a_backend_that_does_not_work_is_an_error(
    mode: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "silent").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "silent").chmod(0o755)
    installation(tmp_path, mode, monkeypatch)
    backend = ApertiumBackend(settings(), "en", "es", timeout=1.0)
    with pytest.raises(InputError, match=message):
        backend.translate(["A cat."], "en", "es")
    backend.close()


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APERTIUM_DATADIR", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="not installed") as raised:
        ApertiumBackend(settings(), "en", "es")
    assert "apt-get install apertium-eng-spa" in raised.value.remedy
    monkeypatch.delenv("APERTIUM_DATADIR")
    with pytest.raises(InputError, match="apertium") as raised:
        ApertiumBackend(settings(), "en", "sw")
    assert "translate.pivot" in raised.value.remedy


def test_modes_are_found_by_any_code_and_regions_come_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installation(tmp_path, "lt-proc $1 'a|b' | lt-proc -p c", monkeypatch)
    (tmp_path / "modes" / "cat-eng_US.mode").write_text("x")
    (tmp_path / "modes" / "cat_valencia-en.mode").write_text("x")
    mode = modes.require("en", "es")
    assert mode.commands() == [["lt-proc", "-z", "-n", "a|b"], ["lt-proc", "-z", "-p", "c"]]
    assert modes.require("ca", "en").name == "cat-eng_US"
    assert modes.find("es", "en") is None


def test_the_identity_changes_with_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "eng-spa.bin"
    data.write_bytes(b"1")
    installation(tmp_path, f"lt-proc '{data}'", monkeypatch)
    before = ApertiumBackend(settings(), "en", "es").identity()
    data.write_bytes(b"2")
    after = ApertiumBackend(settings(), "en", "es").identity()
    assert before["mode"] == after["mode"] == "eng-spa"
    assert before["digest"] != after["digest"]
    data.unlink()
    with pytest.raises(InputError, match=r"eng-spa\.bin cannot be read"):
        ApertiumBackend(settings(), "en", "es").identity()


@needs_apertium
def test_an_answer_without_its_end_is_none() -> None:
    """lt-proc sends a NUL at the end of its input wherever that is: what came before it is no whole output."""
    pipeline = Pipeline([["head", "-c", "20"], modes.require("en", "es").commands()[0]], modes.environment(), 60.0)
    outputs = pipeline.process(["A cat.", "A dog.", "A house."])
    pipeline.close()
    assert len(outputs) == 1
    assert "cat" in outputs[0]


@needs_apertium
def test_a_program_that_does_not_end_with_the_others_holds_nobody_up() -> None:
    """apertium-transfer reads an end of input in mid-text for ever."""
    pipeline = Pipeline([["head", "-c", "20"], *modes.require("en", "es").commands()], modes.environment(), 60.0)
    began = time.monotonic()
    assert pipeline.process(["A cat.", "A dog.", "A house."]) in (["Un gato."], []), "what came before the end, and nothing else"
    assert time.monotonic() - began < 30
    pipeline.close()
    assert "apertium-pretransfer ended" in pipeline.describe_failure()


def test_what_must_stay_does_not_go_in() -> None:
    assert StreamText("x" * 100_000, "es").encode() == "[0]"
    assert StreamText("The ^house^ of %(name)s costs $5/day at <b>R&D</b>", "es").encode() == (
        "The [0]house[1] of [2] costs [3]5[4]day at [5]R[6]D[7]."
    )
    assert StreamText("The [house]", "es").decode("[1]la casa[0].") == "]la casa["
    assert StreamText("The [house]", "es").decode("La casa[0].") is None


def test_spaces_that_words_leave_behind_go_and_others_stay() -> None:
    assert StreamText("It is big.", "es").decode("Es  grande .") == "Es grande."
    assert StreamText("Is it  big ?", "es").decode("Es  grande ?") == "Es  grande ?"
