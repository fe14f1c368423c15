"""The backend `openai` with a real server that misbehaves: what is repeated, rejected, unwrapped, and what stops the stage."""

from __future__ import annotations

import contextlib
import email.utils
import itertools
import logging
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, text, translation

from mlctl.config import Languages
from mlctl.errors import InputError
from mlctl.translation import checks, fingerprint, translate
from mlctl.translation.backend import EMPTY, FAILED, UNFINISHED, BackendFiles, Translation
from mlctl.translation.openai_api.backend import OpenAIBackend
from mlctl.translation.output_checks import WRONG_LANGUAGE, check_outputs
from mlctl.translation.output_faults import CHATTER

from .asked_program import cleaned, contents, workspace
from .openai_settings import settings

TEXTS = [text(number) for number in range(12)]
RIGHT = [Translation(translation(text, "French")) for text in TEXTS]
BAD = 5  # the text that a plan is for


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlctl.translation.openai_api.requester._FIRST_BACKOFF", 0.02)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChatServer]:
    with ChatServer(tmp_path / "server") as started:
        yield started


def translations(server: ChatServer, memory: Path | None = None, **openai: Any) -> list[Translation]:
    """Return the checked translations of all texts."""
    chosen = settings(server, openai)
    with contextlib.closing(OpenAIBackend(chosen, "en", "fr", BackendFiles(memory=memory))) as backend:
        return check_outputs(TEXTS, backend.translate(TEXTS, "en", "fr"), "en", "fr")


def with_rule(rule: str, output: str = "") -> list[Translation]:
    return [Translation(output, rule) if number == BAD else right for number, right in enumerate(RIGHT)]


def time_limit(behaviour: str) -> float:
    """Return the seconds until an answer has to be complete: few where none comes, many for a busy machine."""
    return 2.0 if behaviour.startswith(("hang", "drip")) else 30.0


@pytest.mark.parametrize(
    ("behaviour", "rule", "output"),
    [
        ("length", UNFINISHED, ""),
        ("filter", CHATTER, ""),
        ("refusal", CHATTER, "I cannot help with that."),
        ("status:400,content_filter", CHATTER, ""),
        ("empty", EMPTY, ""),
        ("chatter", CHATTER, f"Sure! Here is the translation: {RIGHT[BAD].text}"),
        ("note", CHATTER, f"**{RIGHT[BAD].text}** (Note: I kept the number.)"),
        ("language", WRONG_LANGUAGE, f"The number of the good text is {BAD} and it stays in English"),
        ("status:400", FAILED, ""),
        ("status:413", FAILED, ""),
        ("status:422", FAILED, ""),
        ("status:500", FAILED, ""),
        ("status:503", FAILED, ""),
        ("cut", FAILED, ""),
        ("reset", FAILED, ""),
        ('body:{"choices": [{"message": {"content": "Le te', FAILED, ""),
        ("body:<html>gateway</html>", FAILED, ""),
        ('body:{"error": {"message": "overloaded"}}', FAILED, ""),
        ("hang:6", FAILED, ""),
        ("drip:60", FAILED, ""),
    ],
)
def test_one_bad_answer_rejects_one_text(server: ChatServer, tmp_path: Path, behaviour: str, rule: str, output: str) -> None:
    """Its neighbours are translated, it is not remembered, and another run asks for it alone."""
    server.plan({TEXTS[BAD]: [f"{behaviour}!"]})
    memory = tmp_path / "memory.sqlite"
    assert translations(server, memory, timeout=time_limit(behaviour), max_retries=1) == with_rule(rule, output)
    asked = server.asked()
    transient = rule == FAILED and not behaviour.startswith("status:4")
    assert asked[TEXTS[BAD]] == (2 if transient else 1)
    assert [asked[text] for text in TEXTS if text != TEXTS[BAD]] == [1] * 11
    server.plan({})
    assert translations(server, memory) == RIGHT
    assert server.asked() == Counter([TEXTS[BAD]])


@pytest.mark.parametrize("behaviour", ["plain", "fence", "quotes", "thoughts", "no_usage"])
def test_what_surrounds_a_clean_translation_is_removed(server: ChatServer, behaviour: str) -> None:
    server.plan({"*": [f"{behaviour}!"]})
    assert translations(server) == RIGHT
    assert translations(server, response_format="text") == RIGHT


def test_half_an_object_is_no_translation(server: ChatServer) -> None:
    half = '{"choices": [{"finish_reason": "stop", "message": {"content": "{\\"translation\\": \\"Le texte 5 est"}}]}'
    server.plan({TEXTS[BAD]: [f"body:{half}!"]})
    assert translations(server) == with_rule(CHATTER, '{"translation": "Le texte 5 est')


@pytest.mark.parametrize("behaviour", ["status:429", "status:429,,0.05", "status:500", "status:408", "cut", "hang:6"])
def test_what_may_pass_is_tried_again(server: ChatServer, behaviour: str) -> None:
    server.plan({TEXTS[BAD]: [behaviour, behaviour], TEXTS[0]: [behaviour]})
    assert translations(server, timeout=time_limit(behaviour)) == RIGHT
    asked = server.asked()
    assert (asked[TEXTS[BAD]], asked[TEXTS[0]], asked[TEXTS[1]]) == (3, 2, 1)


def test_a_rate_limit_rejects_no_text(server: ChatServer) -> None:
    """However often the server says no: as long as it answers others, or the next ones."""
    server.plan({TEXTS[BAD]: ["status:429"] * 12})
    assert translations(server, max_retries=1) == RIGHT
    server.plan({"*": ["status:429,,0.01"] * 30})
    assert translations(server, max_retries=30) == RIGHT


def test_all_requests_wait_as_long_as_the_server_asks_for(server: ChatServer) -> None:
    server.plan({TEXTS[0]: ["status:429,,1"]})
    assert translations(server, concurrency=1) == RIGHT
    refused, *others = server.log()
    assert all(other["start"] >= refused["start"] + 1 for other in others)
    date = email.utils.formatdate(time.time() + 3, usegmt=True)
    server.forget()
    server.plan({TEXTS[0]: [f"status:429,,{date.replace(',', ';')}"]})
    assert translations(server, concurrency=1) == RIGHT


def test_requests_of_a_minute_are_limited(server: ChatServer) -> None:
    assert translations(server, concurrency=12, requests_per_minute=600) == RIGHT
    starts = sorted(entry["start"] for entry in server.forget())
    assert starts[-1] - starts[0] >= 8 * 0.1, "the first one waits for the client, too"
    assert translations(server, concurrency=12, tokens_per_minute=60_000) == RIGHT
    starts = sorted(entry["start"] for entry in server.log())
    assert starts[-1] - starts[0] >= 8 * 0.04, "prompts have more than 40 tokens"


@pytest.mark.parametrize(
    ("behaviour", "message", "remedy"),
    [
        ("status:401", r"refuses the request \(status 401: planned 401\)", "set the environment variable OPENAI_API_KEY"),
        ("status:403", r"refuses the request \(status 403", "set the environment variable OPENAI_API_KEY"),
        ("status:404", r"does not have 'toy-model' \(status 404", r"\(toy-model\) and translate\.openai\.base_url"),
        ("status:429,insufficient_quota", "the account is out of credit", "add credit and run again"),
        ("status:402", "the account is out of credit", "add credit and run again"),
        ("status:429,,86400", r"asks to wait for 86,400 s", "run again then"),
        ("status:500", r"does not work \(status 500: planned 500\)", r"correct translate\.openai\.base_url"),
        (
            "status:400",
            r"does not work \(status 400: planned 400\)",
            r"change the setting of translate\.openai that the server's",
        ),
        ("status:429", r"does not work \(status 429: planned 429\)", r"start the server"),
        ("reset", r"does not work \(Server disconnected", r"start the server"),
        ("hang:9", r"does not work \(no complete answer within 2 s\)", r"start the server"),
    ],
)
def test_a_server_that_fails_for_all_texts_is_one_error(
    server: ChatServer, behaviour: str, message: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server.plan({"*": [f"{behaviour}!"]})
    with pytest.raises(InputError, match=message) as caught:
        translations(server, max_retries=1, timeout=time_limit(behaviour))
    assert server.url in caught.value.problem or "asks to wait" in message or "credit" in message
    assert re.search(remedy, caught.value.remedy)
    assert len(server.log()) <= 4 * 3 + 2, "nothing more is asked"


def test_an_unknown_model_is_one_error(server: ChatServer, tmp_path: Path) -> None:
    source = cleaned(tmp_path / "in", TEXTS)
    chosen = settings(server, model="no-such-model")
    with pytest.raises(InputError, match=r"does not have 'no-such-model' \(status 404: The model `no-such-model` does") as caught:
        translate(chosen, Languages(), source, workspace(tmp_path / "work"))
    assert "name one of the server's models in translate.model (toy-model)" in caught.value.remedy


def test_no_server_is_one_error(tmp_path: Path) -> None:
    with ChatServer(tmp_path / "server") as server:
        url = server.url
    source = cleaned(tmp_path / "in", TEXTS)
    chosen = settings(url)
    with pytest.raises(InputError, match=r"the server at http://127\.0\.0\.1:\d+/v1 does not work \(.*Connection refused\)"):
        translate(chosen, Languages(), source, workspace(tmp_path / "work"))
    found = list(run_checks(chosen))
    assert len(found) == 1
    assert "Connection refused" in found[0].problem


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    [problem] = run_checks(settings("http://127.0.0.1:1/v1"))
    assert problem.problem == "translate.backend openai needs the package openai"
    assert "[openai]" in problem.remedy
    assert fingerprint(settings("http://127.0.0.1:1/v1"), Languages()), (
        "the key of a result needs neither the package nor a server"
    )


@pytest.mark.parametrize("url", ["http://a..b/v1", "http://two words/v1", "http://no.such.host.invalid/v1", "http://127.0.0.1:1"])
def test_a_wrong_address_is_one_error(url: str) -> None:
    [problem] = run_checks(settings(url, {"timeout": 5}))
    assert problem.problem.startswith(f"translate.openai: the server at {url} does not work (")


def test_a_server_that_dies_loses_nothing(tmp_path: Path) -> None:
    texts = [text(number) for number in range(45)]
    source, work, memory = cleaned(tmp_path / "in", texts), workspace(tmp_path / "work"), tmp_path / "memory.sqlite"
    with ChatServer(tmp_path / "server") as server:
        server.plan({texts[30]: ["exit"]})
        with pytest.raises(InputError, match="does not work"):
            translate(settings(server, {"concurrency": 2}), Languages(), source, work, memory=memory)
        answered = server.asked()
    with ChatServer(tmp_path / "again") as server:
        translate(settings(server, {"concurrency": 2}), Languages(), source, work, memory=memory)
        asked = server.asked()
    assert 5 < len(answered) < 45
    assert len(asked & answered) <= 2, "what was on its way"
    with ChatServer(tmp_path / "other") as server:
        translate(settings(server), Languages(), source, workspace(tmp_path / "undisturbed"))
    assert contents(work.root) == contents(tmp_path / "undisturbed")


def run_checks(chosen: Any, online: bool = True) -> Iterator[InputError]:
    for check in checks(chosen, Languages(), lambda _: None, online):
        try:
            check()
        except InputError as error:
            yield error


def test_the_server_is_checked_before_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ChatServer(tmp_path / "server", key="toy-key") as server:
        monkeypatch.setenv("OPENAI_API_KEY", "another")
        [problem] = run_checks(settings(server))
        assert "refuses the request (status 401: Incorrect key in 'Bearer …')" in problem.problem
        monkeypatch.setenv("OPENAI_API_KEY", "toy-key")
        assert list(run_checks(settings(server))) == []
        [problem] = run_checks(settings(server, {"glossary": str(tmp_path / "none.tsv")}))
        assert problem.problem == f"translate.openai.glossary: no file {tmp_path / 'none.tsv'}"
        assert server.log() == []
    assert list(run_checks(settings(server), online=False)) == []


@pytest.mark.parametrize(
    "refuses", itertools.chain.from_iterable(itertools.combinations(["response_format", "max_tokens"], n) for n in (1, 2))
)
def test_a_server_that_understands_less_is_asked_in_its_way(
    tmp_path: Path, refuses: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "mlctl")
    memory = tmp_path / "memory.sqlite"
    with ChatServer(tmp_path / "server", refuses=list(refuses)) as server:
        server.plan({TEXTS[0]: ["status:400!"]})
        assert translations(server, memory, concurrency=1)[1:] == RIGHT[1:]
        bodies = [entry["body"] for entry in server.forget()][-5:]
        assert all(("response_format" in body) == ("response_format" not in refuses) for body in bodies)
        assert all(("max_tokens" in body) == ("max_tokens" not in refuses) for body in bodies)
        assert all("JSON" not in body["messages"][0]["content"] or "response_format" in body for body in bodies)
        server.plan({})
        assert translations(server, memory) == RIGHT
        assert set(server.asked()) == {TEXTS[0]}, "however the server was asked, the answers are known"
        if "response_format" in refuses:
            assert "requests are sent without response_format" in caplog.text
            with pytest.raises(InputError, match=r"status 400: Unsupported parameter: 'response_format'"):
                translations(server, response_format="json_schema")


def test_equal_texts_at_the_same_time_are_asked_for_once(server: ChatServer) -> None:
    server.plan({"*": ["ok"]})
    with contextlib.closing(OpenAIBackend(settings(server), "en", "fr")) as backend:
        assert backend.translate([TEXTS[0]] * 20, "en", "fr") == [RIGHT[0]] * 20
        assert backend.translate(["", "  "], "en", "fr") == [Translation("", EMPTY)] * 2
    assert server.asked() == Counter([TEXTS[0]])
