"""The backend `openai` through the stage, with a real server: what is asked, remembered, counted, and kept after kills."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import KEY, ChatServer, text, translation

from mlctl.config import Languages
from mlctl.errors import InputError
from mlctl.execution.backend import Worker
from mlctl.translation import translate

from .asked_program import cleaned, contents, workspace
from .openai_settings import settings

TEXTS = [text(number) for number in range(45)]
LANGUAGES = Languages()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChatServer]:
    with ChatServer(tmp_path / "server") as started:
        yield started


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return cleaned(tmp_path / "in", TEXTS)


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "store" / "memory.sqlite"


def run(chosen: Any, source: Path, folder: Path, memory: Path | None = None) -> dict[str, Any]:
    return translate(chosen, LANGUAGES, source, workspace(folder), memory=memory)


def rows(memory: Path) -> int:
    """Return how many translations a memory has, which another process may be making."""
    with (
        contextlib.closing(sqlite3.connect(f"file:{memory}?mode=ro", uri=True)) as connection,
        contextlib.suppress(sqlite3.Error),
    ):
        return int(connection.execute("SELECT count(*) FROM translations").fetchone()[0])
    return 0


def pairs(folder: Path) -> dict[str, str]:
    import pyarrow.parquet as pq

    tables = [pq.read_table(file).to_pylist() for file in sorted((folder / "pairs/fr").glob("[0-9]*.parquet"))]
    return {row["source"]: row["target"] for table in tables for row in table}


def test_every_text_is_asked_for_once(server: ChatServer, source: Path, memory: Path, tmp_path: Path) -> None:
    metrics = run(settings(server), source, tmp_path / "a", memory)
    assert pairs(tmp_path / "a") == {text: translation(text, "French") for text in TEXTS}
    log = server.log()
    assert server.asked() == Counter(TEXTS), "measured and translated"
    assert 1 < max(entry["running"] for entry in log) <= 4
    body = log[0]["body"]
    assert {name: body[name] for name in ("model", "max_tokens", "temperature")} == {
        "model": "toy-model",
        "max_tokens": 1024,
        "temperature": 0.0,
    }
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["translation"]
    assert "from English to French" in body["messages"][0]["content"]
    assert metrics["fr.translated"] == 45
    assert metrics["requests"] == len(log) == 90, "there and back"
    assert metrics["output_tokens"] > 45 * 6
    assert metrics["server"] == server.url
    [backend] = json.loads((tmp_path / "a/backends.json").read_text())
    assert (backend["name"], backend["licence"]) == ("openai toy-model", "unknown")

    metrics = run(settings(server, part_rows=7), source, tmp_path / "b", memory)
    assert server.asked() == Counter(), "measuring takes the memory, too"
    assert metrics["requests"] == 0
    assert pairs(tmp_path / "b") == pairs(tmp_path / "a")


def test_two_languages_and_both_directions_share_the_limits(server: ChatServer, tmp_path: Path) -> None:
    source = cleaned(tmp_path / "in", TEXTS[:12])
    cleaned(tmp_path / "in", TEXTS[:12], "de")
    server.plan({"*": ["ok!"]})
    chosen = settings(server, {"concurrency": 3}, max_faulty=1.0)
    translate(chosen, Languages(targets=("fr", "de")), source, workspace(tmp_path / "a"))
    log = server.log()
    assert {entry["target"] for entry in log} == {"French", "German", "English"}
    assert max(entry["running"] for entry in log) <= 3


@pytest.mark.parametrize("concurrency", [1, 32])
def test_neither_concurrency_nor_workers_change_a_byte(
    server: ChatServer, source: Path, tmp_path: Path, concurrency: int
) -> None:
    server.plan({TEXTS[3]: ["language!"], TEXTS[20]: ["length!"]})
    run(settings(server), source, tmp_path / "a")
    run(settings(server, {"concurrency": concurrency}, workers=3), source, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert "rejected/fr/00000.parquet" in contents(tmp_path / "a")


class NoWorkers:
    """An execution backend that has many cores, and must not be asked for a worker."""

    cores = min_node_cores = 64
    gpus = 2

    def start_worker(self, module: str, gpus: float = 0, cores: int = 1) -> Worker:
        raise AssertionError((module, gpus, cores))


def test_the_process_of_the_run_asks_on_every_execution_backend(
    server: ChatServer, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlctl.translation.step_graph._MAX_TEXTS_IN_PROCESS", defaultdict(int))
    translate(settings(server, workers=8), LANGUAGES, source, workspace(tmp_path / "a"), backend=NoWorkers())
    translate(settings(server), LANGUAGES, source, workspace(tmp_path / "b"))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


RUN = """
import sys
from pathlib import Path
from mlctl.config import Languages, Translate
from mlctl.core.workspace import Workspace
from mlctl.translation import translate
settings, (source, work, *memory) = Translate.model_validate_json(sys.argv[1]), map(Path, sys.argv[2:])
translate(settings, Languages(), source, Workspace(work), memory=memory[0] if memory else None)
"""


@pytest.mark.parametrize("remember", [True, False])
@pytest.mark.slow
def test_a_killed_run_asks_for_nothing_again_that_it_has_got(tmp_path: Path, memory: Path, remember: bool) -> None:
    """It is killed in the middle of measuring, and of a part; what was on its way may be asked for again."""
    texts = [text(number) for number in range(400)]
    source, work = cleaned(tmp_path / "in", texts), workspace(tmp_path / "work")
    memory = memory if remember else work.scratch / "answers.sqlite"
    with ChatServer(tmp_path / "server", delay=0.03) as server:
        chosen = settings(server, part_rows=100)
        arguments = [chosen.model_dump_json(), str(source), str(work.root), *([str(memory)] if remember else [])]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        for stored in (60, 420):  # 200 are measured there and back, then 200 more are translated
            with subprocess.Popen([sys.executable, "-c", RUN, *arguments], env=environment) as process:
                end = time.monotonic() + 90
                while not memory.exists() or rows(memory) < stored:
                    assert process.poll() is None
                    assert time.monotonic() < end
                    time.sleep(0.01)
                os.kill(process.pid, signal.SIGKILL)
        unfinished = len(list(work.path("pairs/fr").glob("[0-9]*.parquet")))
        kept = rows(memory)
        metrics = translate(chosen, LANGUAGES, source, work, memory=memory if remember else None)
        asked = Counter((entry["text"], entry["target"]) for entry in server.log())
        assert unfinished < 4
        assert kept < 600
        assert len(asked) == 600
        assert sum(asked.values()) <= 600 + 2 * 4, "at most what was on its way, twice"
        assert 600 <= metrics["requests"] <= sum(asked.values()), "counted over all three processes"
        server.forget()
        translate(chosen, LANGUAGES, source, workspace(tmp_path / "other"))
        assert contents(work.root) == contents(tmp_path / "other")


def test_a_glossary_asks_again_only_for_texts_with_its_terms(
    server: ChatServer, source: Path, memory: Path, tmp_path: Path
) -> None:
    run(settings(server), source, tmp_path / "a", memory)
    server.forget()
    glossary, examples = tmp_path / "glossary.tsv", tmp_path / "examples.tsv"
    glossary.write_text("en\tfr\tde\nNumber 7\tnuméro sept\tNummer sieben\nunknown\tinconnu\ntraduit\t\n", encoding="utf-8")
    run(settings(server, {"glossary": str(glossary)}), source, tmp_path / "b", memory)
    [entry] = [entry for entry in server.forget() if entry["target"] == "French"]
    assert entry["text"] == TEXTS[7]
    assert "- Number 7: numéro sept\n" in entry["body"]["messages"][0]["content"]
    assert "inconnu" not in entry["body"]["messages"][0]["content"]
    examples.write_text("fr\ten\nBonjour.\tGood day.\n", encoding="utf-8")
    run(settings(server, {"examples": str(examples)}), source, tmp_path / "c", memory)
    log = server.forget()
    assert len([entry for entry in log if entry["target"] == "French"]) == 45
    assert "Example in English: Good day.\nExample in French: Bonjour.\n" in log[0]["body"]["messages"][0]["content"]


@pytest.mark.parametrize(
    "changes", [{"temperature": 0.5}, {"seed": 1}, {"prompt": "Into {target}: {text}"}, {"extra_body": '{"top_k": 1}'}]
)
def test_what_changes_answers_is_asked_for_again(
    server: ChatServer, memory: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    source = cleaned(tmp_path / "in", TEXTS[:3])
    run(settings(server), source, tmp_path / "a", memory)
    before = len(server.forget())
    run(settings(server, changes, max_faulty=1.0), source, tmp_path / "b", memory)
    assert len(server.forget()) == before == 6


def test_another_address_or_limit_asks_for_nothing_again(server: ChatServer, memory: Path, tmp_path: Path) -> None:
    source = cleaned(tmp_path / "in", TEXTS[:3])
    run(settings(server), source, tmp_path / "a", memory)
    server.forget()
    changes = {"base_url": "http://127.0.0.1:1/v1", "concurrency": 9, "max_completion_tokens": 99, "input_price": 3.0}
    run(settings(server, changes), source, tmp_path / "b", memory)
    assert server.log() == []
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_long_text_is_remembered_sentence_by_sentence(server: ChatServer, memory: Path, tmp_path: Path) -> None:
    long = " ".join(f"This good text has number {number}." for number in range(12))
    source = cleaned(tmp_path / "in", [long])
    chosen = settings(server, max_tokens=20, max_faulty=1.0)
    run(chosen, source, tmp_path / "a", memory)
    pieces = [entry["text"] for entry in server.forget() if entry["target"] == "French"]
    assert len(pieces) == 6
    assert all(piece in long for piece in pieces)
    assert sum(map(len, pieces)) == len(long) - 5
    run(chosen, source, tmp_path / "b", memory)
    assert [entry for entry in server.forget() if entry["target"] == "French"] == []


def test_the_cost_limit_stops_before_it_and_a_higher_one_goes_on(
    server: ChatServer, source: Path, memory: Path, tmp_path: Path
) -> None:
    prices = {"input_price": 1000.0, "output_price": 100.0, "concurrency": 8}
    with pytest.raises(InputError, match=r"translate\.openai\.max_cost: (\S+) of 3 is spent \((\d+) requests, ") as caught:
        run(settings(server, {**prices, "max_cost": 3.0}), source, tmp_path / "a", memory)
    assert "run again: what was translated is kept" in caught.value.remedy
    first = server.forget()
    assert 10 < len(first) < 85
    assert rows(memory) == len(first), "no answer is lost"
    spent = float(caught.value.problem.split()[1])
    assert 1.5 < spent <= 3.0
    with pytest.raises(InputError, match=rf"max_cost: {spent} of 3 is spent"):
        run(settings(server, {**prices, "max_cost": 3.0}), source, tmp_path / "a", memory)
    assert server.forget() == []
    metrics = run(settings(server, {**prices, "max_cost": 100.0}), source, tmp_path / "a", memory)
    assert len(first) + len(server.log()) == metrics["requests"] == 90
    assert metrics["cost"] > 3.0
    assert metrics["fr.translated"] == 45


def test_too_many_faulty_outputs_stop_the_stage(server: ChatServer, source: Path, memory: Path, tmp_path: Path) -> None:
    server.plan({name: ["chatter!"] for name in TEXTS[::3]})
    with pytest.raises(InputError, match=r"outputs en→fr are faulty \(assistant's answer 15\)"):
        run(settings(server), source, tmp_path / "a", memory)
    server.forget()
    metrics = run(settings(server, max_faulty=1.0), source, tmp_path / "b", memory)
    assert (metrics["fr.translated"], metrics["fr.rejected"]) == (30, 15)
    asked = server.asked()
    assert set(asked) == set(TEXTS[::3]), "what was good is kept; what was faulty may be better now"


def test_a_direction_that_is_not_good_enough_is_not_paid_for(server: ChatServer, source: Path, tmp_path: Path) -> None:
    for side in ("en", "fr"):
        (tmp_path / f"dev.{side}").write_text("This good text has number 5\n" * 3, encoding="utf-8")
    dev = [{"target": "fr", "path": str(tmp_path / "dev.{language}")}]
    texts = [text(number) for number in range(300)]
    source = cleaned(tmp_path / "more", texts)
    metrics = run(settings(server, dev=dev, min_chrf=60), source, tmp_path / "a")
    assert (metrics["fr.translated"], metrics["fr.rejected"]) == (0, 300)
    assert server.asked().total() <= 203, "the sample and the dev set"


def test_the_key_comes_from_the_environment_and_is_in_no_file_and_no_log(
    source: Path, memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with ChatServer(tmp_path / "server", key=KEY) as server:
        chosen = settings(server, {"api_key_variable": "TOY_KEY"})
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-server-0001")
        with pytest.raises(InputError, match=r"refuses the request \(status 401") as caught:
            run(chosen, source, tmp_path / "a", memory)
        assert "set the environment variable TOY_KEY" in caught.value.remedy
        assert "of-another" not in str(caught.value)
        for wrong in ("sk-wrong-key-1234567890", "odd"):
            monkeypatch.setenv("TOY_KEY", wrong)
            with pytest.raises(InputError, match=r"status 401: Incorrect key in 'Bearer …'") as caught:
                run(chosen, source, tmp_path / "a", memory)
            assert "check the key in the environment variable TOY_KEY" in caught.value.remedy
        monkeypatch.setenv("TOY_KEY", f"{KEY}\n")
        server.plan({TEXTS[0]: ["status:400"], TEXTS[1]: ["status:500"]})
        run(chosen, source, tmp_path / "a", memory)
    assert pairs(tmp_path / "a")
    assert KEY not in caplog.text
    assert KEY not in caught.value.problem
    server_files = tmp_path / "server"
    found = [file for file in tmp_path.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]
    assert [file for file in found if not file.is_relative_to(server_files)] == []


def test_a_key_that_cannot_be_sent_is_not_shown(monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-first-line\nsk-second-line")
    with pytest.raises(InputError, match="OPENAI_API_KEY has characters that no key has") as caught:
        run(settings("http://127.0.0.1:1/v1"), source, tmp_path / "a")
    assert "second" not in str(caught.value)
