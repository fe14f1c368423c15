"""What the translation memory has is not translated again, by any run, part or worker."""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import tiny_models

from mlctl.config import Languages, Translate
from mlctl.translation import translate

from .asked_program import AskedProgram, cleaned, contents, text, workspace

TEXTS = [text(number) for number in range(245)]  # 200 of them are measured
LANGUAGES = Languages()


@pytest.fixture
def program(tmp_path: Path) -> AskedProgram:
    return AskedProgram(tmp_path / "program")


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "store" / "memory.sqlite"


def rows(memory: Path) -> int:
    with sqlite3.connect(memory) as connection:
        return int(connection.execute("SELECT count(*) FROM translations").fetchone()[0])


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.slow
def test_a_text_is_translated_once(
    program: AskedProgram,
    memory: Path,
    tmp_path: Path,
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "mlctl")
    if workers > 1:
        monkeypatch.setattr("mlctl.translation.step_graph._MAX_TEXTS_IN_PROCESS", defaultdict(int))
    settings, source = program.settings(workers=workers), cleaned(tmp_path / "in", TEXTS)
    translate(settings, LANGUAGES, source, workspace(tmp_path / "first"), memory=memory)
    assert program.asked() == Counter(TEXTS)
    assert rows(memory) == 245
    translate(settings, LANGUAGES, source, workspace(tmp_path / "again"), memory=memory)
    assert program.asked().total() == 200, "measured again"
    assert "245 of 245 texts were in the translation memory" in caplog.text
    assert contents(tmp_path / "again") == contents(tmp_path / "first")
    more = [TEXTS[3], *map(text, range(1000, 1003)), TEXTS[1]]  # another corpus in other parts
    translate(
        program.settings(part_rows=2), LANGUAGES, cleaned(tmp_path / "more", more), workspace(tmp_path / "b"), memory=memory
    )
    assert program.asked() == Counter(more), "measured"
    assert rows(memory) == 248


def test_without_it_everything_is_translated(program: AskedProgram, memory: Path, tmp_path: Path) -> None:
    source = cleaned(tmp_path / "in", TEXTS)
    translate(program.settings(), LANGUAGES, source, workspace(tmp_path / "a"), memory=memory)
    program.asked()
    translate(program.settings(), LANGUAGES, source, workspace(tmp_path / "b"))
    assert program.asked().total() == 245 + 200
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("changes", [{"command_version": "2"}, {"max_tokens": 100}, {"long_text": "reject"}])
def test_what_changes_translations_is_another_memory(
    program: AskedProgram, memory: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    source = cleaned(tmp_path / "in", TEXTS)
    for name, changed in (("a", {}), ("b", changes)):
        translate(program.settings(**changed), LANGUAGES, source, workspace(tmp_path / name), memory=memory)
        assert program.asked() == Counter(TEXTS)


def test_faulty_outputs_are_not_remembered(program: AskedProgram, memory: Path, tmp_path: Path) -> None:
    """The program is repaired between two runs; a text that it did right is not translated again."""
    source, settings = cleaned(tmp_path / "in", TEXTS), program.settings(max_faulty=1.0)
    program.fail_on("7 8")
    assert translate(settings, LANGUAGES, source, workspace(tmp_path / "a"), memory=memory)["fr.rejected"] == 2
    program.asked()
    program.fail_on("")
    assert translate(settings, LANGUAGES, source, workspace(tmp_path / "b"), memory=memory)["fr.rejected"] == 0
    asked = program.asked()
    assert (asked[TEXTS[7]], asked[TEXTS[8]]) == (1, 1)
    assert asked.total() <= 202, "the sample, and what had been faulty"
    assert rows(memory) == 245


def test_a_resumed_run_takes_what_another_one_has_translated(program: AskedProgram, memory: Path, tmp_path: Path) -> None:
    source, work = cleaned(tmp_path / "in", TEXTS), workspace(tmp_path / "work")
    translate(program.settings(), LANGUAGES, source, workspace(tmp_path / "other"), memory=memory)
    translate(program.settings(), LANGUAGES, source, work)
    work.discard("pairs/fr/00002.parquet")
    program.asked()
    translate(program.settings(), LANGUAGES, source, work, memory=memory)
    assert program.asked() == Counter(), "measured before"
    assert contents(work.root) == contents(tmp_path / "other")


def test_a_memory_that_cannot_be_used_changes_nothing(
    program: AskedProgram, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = cleaned(tmp_path / "in", TEXTS)
    translate(program.settings(), LANGUAGES, source, workspace(tmp_path / "a"))
    (tmp_path / "file").touch()
    translate(program.settings(), LANGUAGES, source, workspace(tmp_path / "b"), memory=tmp_path / "file" / "memory.sqlite")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert sum("continuing without it" in record.message for record in caplog.records) == 1


def test_both_directions_and_long_text_are_remembered(
    word_map: Path, conversions: Path, memory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mlctl")
    for pair in ("en-fr", "fr-en"):
        (tmp_path / pair).symlink_to(word_map)
    texts = [sentence for sentence in tiny_models.sentences(40, seed=4, most=8) if len(sentence.split()) > 2]
    long = " ".join(f"{sentence.capitalize()}." for sentence in texts[:8])
    source = cleaned(tmp_path / "in", [*texts, long])
    chosen = {"backend": "ctranslate2", "model": str(tmp_path / "{source}-{target}"), "device": "cpu", "max_faulty": 1.0}
    settings = Translate.model_validate({**chosen, "max_tokens": 20, "part_rows": 10})
    metrics = [
        translate(settings, LANGUAGES, source, workspace(tmp_path / name), memory=memory, cache=conversions)
        for name in ("a", "b")
    ]
    assert metrics[0] == metrics[1]
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert f"{metrics[0]['fr.translated']} of {len(texts) + 1} texts were in the translation memory" in caplog.text
