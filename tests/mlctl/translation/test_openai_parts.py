"""The parts of the backend `openai` that need no server: answers, prompts, limits, estimates, settings."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.config import Translate, key_settings, parse
from mlctl.config.translate_openai import OpenAI
from mlctl.errors import InputError
from mlctl.execution.program_text import to_single_line
from mlctl.translation.backend import EMPTY, UNFINISHED, Translation
from mlctl.translation.openai_api import language_table
from mlctl.translation.openai_api.answer import Answer, unwrap
from mlctl.translation.openai_api.answer import parse as parse_answer
from mlctl.translation.openai_api.client import Reply, model_names
from mlctl.translation.openai_api.prompt import PromptTemplate
from mlctl.translation.openai_api.rate_limiter import RateLimiter
from mlctl.translation.openai_api.requester import retry_after
from mlctl.translation.openai_api.spending import Spending, Usage, read_usage
from mlctl.translation.openai_api.token_estimate import estimate_answer_tokens, estimate_tokens, max_tokens
from mlctl.translation.output_faults import CHATTER

LINES = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    LINES,
    st.booleans(),
    st.sampled_from(["", "\n", "  "]),
    st.sampled_from(["{}", "```json\n{}\n```", "<think>\n1 {{}}\n</think>{}"]),
)
def test_any_text_survives_structured_output(output: str, is_ascii: bool, around: str, form: str) -> None:
    content = around + form.replace("{}", json.dumps({"translation": output}, ensure_ascii=is_ascii), 1) + around
    if form.startswith("<think>"):
        content = around + "<think>\n1\n</think>" + json.dumps({"translation": output}, ensure_ascii=is_ascii)
    assert unwrap(content, "one line") == to_single_line(output)
    assert unwrap(content, "two\nlines") == output.replace("\0", " ").strip()


@given(st.text(), st.text())
def test_no_content_raises_an_error(content: str, text: str) -> None:
    unwrap(content, text).encode()
    Answer(content, refusal=text).translation(text).text.encode()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "refusal", "finish_reason", "usage", "text", "prompt_tokens"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(
    JSON
    | st.fixed_dictionaries({"choices": st.lists(st.fixed_dictionaries({"message": JSON, "finish_reason": JSON})), "usage": JSON})
)
def test_no_document_raises_an_error(document: Any) -> None:
    answer = parse_answer(json.dumps(document).encode())
    if answer:
        answer.translation("text").text.encode()
        assert all(count is None or count >= 0 for count in (answer.input_tokens, answer.output_tokens))


@given(st.binary())
def test_no_body_raises_an_error(body: bytes) -> None:
    assert parse_answer(body) is None or b"choices" in body
    assert model_names(Reply(200, body)) == [] or b"id" in body


def test_hostile_bodies() -> None:
    for body in (b"[" * 100_000, b'{"choices":' * 50_000, b"9" * 10_000, b"\xff\xfe", b"null", b'{"choices": [null]}'):
        assert parse_answer(body) is None
    huge = (
        b'{"choices": [{"message": {"content": "\\ud800x\\u0000"}}], "usage": {"prompt_tokens": 1e400, "completion_tokens": -3}}'
    )
    answer = parse_answer(huge)
    assert answer == Answer("\ud800x\0")
    assert answer.translation("a") == Translation("\ufffdx")
    parts = b'{"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"text": ["b"]}, 3, {"text": "c"}]}}]}'
    assert parse_answer(parts) == Answer("ac")


@pytest.mark.parametrize(
    ("content", "text", "output"),
    [
        ("Bonjour.", "Hello.", "Bonjour."),
        ("“Bonjour.”", "Hello.", "Bonjour."),
        ("« Bonjour. »", "Hello.", "Bonjour."),
        ("„Guten Tag.“", "Hello.", "Guten Tag."),
        ("「こんにちは」", "Hello.", "こんにちは"),
        ('"Bonjour."', '"Hello."', '"Bonjour."'),
        ('"Oui", dit-il, "non"', "Yes, he said, no", '"Oui", dit-il, "non"'),
        ("'C'est vrai.'", "That is true.", "'C'est vrai.'"),
        ('"', "inch", '"'),
        ('""', "nothing", '""'),
        ("```\nBonjour.\n```", "Hello.", "Bonjour."),
        ("```x```", "Use ```x```", "```x```"),
        ("```\nls\n```", "Run\n```\nls\n```", "```\nls\n```"),
        ('{"translation": "Bonjour."}', "Hello.", "Bonjour."),
        ('```json\n{"translation": "Bonjour."}\n```', "Hello.", "Bonjour."),
        ('{"translation": "a\nb"}', "one\ntwo", "a\nb"),
        ('{"translation": "a", "note": "b"}', "x", '{"translation": "a", "note": "b"}'),
        ('{"translation": 3}', "x", '{"translation": 3}'),
        ('{"a": "b"}', '{"a": "c"}', '{"a": "b"}'),
        ('Here it is: {"translation": "a"}', "x", 'Here it is: {"translation": "a"}'),
        ("<think>\nhm\n</think>\n\nBonjour.", "Hello.", "Bonjour."),
        ("<think>never ends", "Hello.", "<think>never ends"),
        ("a\nb", "one line", "a b"),
    ],
)
def test_unwrapping(content: str, text: str, output: str) -> None:
    assert unwrap(content, text) == output


def test_finish_reasons_and_refusals() -> None:
    assert Answer("Le texte", finish_reason="length").translation("a") == Translation("", UNFINISHED)
    assert Answer("Le texte", finish_reason="content_filter").translation("a") == Translation("Le texte", CHATTER)
    assert Answer("", "No.").translation("a") == Translation("No.", CHATTER)
    assert Answer(" \n").translation("a") == Translation("", EMPTY)
    assert Answer("Le texte", finish_reason="eos").translation("a") == Translation("Le texte")


def test_a_prompt_has_the_terms_of_the_text_and_nothing_twice(tmp_path: Path) -> None:
    glossary, examples = tmp_path / "glossary.tsv", tmp_path / "examples.tsv"
    rows = ["en\tzh-CN\tfra", "bank\t银行\tbanque", "river bank\t河岸\trive", "Bank\t银\tx", "{text}\t文\ty", "only\t\tseulement"]
    glossary.write_text("\ufeff" + "\r\n".join(rows) + "\r\n", encoding="utf-8")
    examples.write_text("zh\ten\n你好\tHello {glossary}\n", encoding="utf-8")
    options = OpenAI(
        prompt="{source}>{target}|{glossary}|{examples}|{text}|{target}", glossary=str(glossary), examples=str(examples)
    )
    forward, back = PromptTemplate(options, "en", "zh"), PromptTemplate(options, "zh", "en")
    text = "The BANK of the river bank has {text} and {source}, only; a bank"
    terms = "\nUse these translations of terms:\n- bank: 银行\n- river bank: 河岸\n- {text}: 文\n"
    example = "\nExample in English: Hello {glossary}\nExample in Chinese: 你好\n"
    assert forward.prompt(text) == f"English>Chinese|{terms}|{example}|{text}|Chinese"
    assert forward.prompt("embankment banks").split("|")[1] == ""
    assert "- 河岸: river bank\n" in back.prompt("他在河岸。")
    assert PromptTemplate(options, "en", "de").prompt("bank") == "English>German|||bank|German"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no two languages in its first row"),
        ("en\n", "has no two languages"),
        ("en\ten\n", "has no two languages"),
        ("en\tFrench words\n", "unknown language 'French words'"),
        ("en\tfr\na\tb\tc\n", "line 2 has 3 cells for 2 languages"),
        (b"en\tfr\n\xff\tb\n", "line 2 is not UTF-8"),
    ],
)
def test_a_bad_glossary_is_named_with_its_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    file = tmp_path / "glossary.tsv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        language_table.read(str(file), "translate.openai.glossary")
    assert caught.value.problem.startswith(f"translate.openai.glossary: {file}")


def test_a_changed_glossary_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "glossary.tsv"
    file.write_text("en\tfr\na\tb\n", encoding="utf-8")
    assert language_table.read(str(file), "x").pairs("fr", "en") == [("b", "a")]
    before = language_table.digest(str(file), "x")
    file.write_text("en\tfr\na\tbc\n", encoding="utf-8")
    assert language_table.read(str(file), "x").pairs("fr", "en") == [("bc", "a")]
    assert language_table.digest(str(file), "x") != before


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(
    st.integers(1, 40),
    st.integers(0, 20_000),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 2000)), min_size=1, max_size=60),
)
def test_no_minute_has_more_than_the_limits(requests: int, tokens: int, arrivals: list[tuple[float, int]]) -> None:
    clock = Clock()
    limiter = RateLimiter(requests, tokens, clock)
    starts = list[tuple[float, int]]()
    for wait, estimated in arrivals:
        clock.now += wait
        starts.append((clock.now + limiter.delay(estimated), estimated))
    assert [start for start, _ in starts] == sorted(start for start, _ in starts)
    for first, (start, _) in enumerate(starts):
        minute = [count for begin, count in starts[first:] if begin < start + 60 - 1e-6]
        assert len(minute) <= requests
        assert not tokens or sum(minute[:-1]) <= tokens, "the last one begins within the limit"


def test_requests_are_spread_evenly() -> None:
    clock = Clock()
    limiter = RateLimiter(60, 0, clock)
    assert [limiter.delay(10**6) for _ in range(3)] == [0, 1, 2]
    clock.now += 2.5
    assert [limiter.delay(1) for _ in range(2)] == [0.5, 1.5]
    clock.now += 100
    assert [limiter.delay(1) for _ in range(3)] == [0, 1, 2], "what was not used is not saved up"


def test_a_pause_holds_for_all_and_real_tokens_count() -> None:
    clock = Clock()
    limiter = RateLimiter(0, 600, clock)
    assert limiter.delay(100) == 0
    limiter.correct(100, 40)
    assert limiter.delay(100) == pytest.approx(4.0)
    limiter.pause(30)
    limiter.pause(2)
    assert limiter.is_paused()
    assert limiter.delay(10) == pytest.approx(30.0)
    clock.now += 30
    assert not limiter.is_paused()
    assert RateLimiter(0, 0, clock).delay(10**6) == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5", "retry-after-ms": "20"}, 0.02),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(Reply(429, headers=headers)) == seconds


PRICES = OpenAI(input_price=10.0, output_price=100.0, max_cost=1.0)


def test_spending_survives_a_cut_line(tmp_path: Path) -> None:
    file = tmp_path / "usage.txt"
    first = Spending(PRICES, file)
    for _ in range(3):
        first.settle(first.reserve(Usage(1, 20, 30)), Usage(1, 10, 20))
    first.settle(first.reserve(Usage(1, 20, 30)), None)
    first.close()
    with file.open("a") as stream:
        stream.write("1 5")
    second = Spending(PRICES, file)
    assert second.usage == Usage(3, 30, 60)
    second.settle(second.reserve(Usage()), Usage(1, 1, 1))
    second.close()
    assert read_usage(file) == Usage(4, 31, 61)
    assert read_usage(tmp_path / "none") == Usage()
    assert Usage(1, 500_000, 20_000).cost(PRICES) == 7.0


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 5000)), max_size=40), st.integers(1, 8))
def test_what_is_spent_never_exceeds_the_limit(requests: list[tuple[int, int]], threads: int) -> None:
    spending = Spending(OpenAI(input_price=10.0, output_price=10.0, max_cost=0.2), None)
    todo, refused = list(requests), list[InputError]()

    def work() -> None:
        while todo:
            try:
                most, used = todo.pop()
                reserved = spending.reserve(Usage(1, most, 5000))
            except IndexError:
                return
            except InputError as error:
                refused.append(error)
                return
            spending.settle(reserved, Usage(1, most, used))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
        assert not worker.is_alive()
    assert spending.usage.cost(PRICES.model_copy(update={"output_price": 10.0})) <= 0.2 + 1e-9
    if not refused:
        assert spending.usage.requests == len(requests)


@given(LINES)
def test_estimates_are_below_what_no_tokenizer_exceeds(text: str) -> None:
    assert 0 <= estimate_tokens(text) <= max_tokens(text)
    assert bool(estimate_tokens(text)) == bool(text)
    assert estimate_answer_tokens(text, "en", "fr") >= 8


def test_estimates_by_script() -> None:
    assert estimate_tokens("This is a sentence of forty characters..") == 10
    assert estimate_tokens("Это предложение") == 7
    assert estimate_tokens("这是一个句子") == 6
    assert estimate_answer_tokens("a" * 100, "en", "fr") == 38
    assert estimate_answer_tokens("a" * 100, "en", "ru") == 58
    assert estimate_answer_tokens("a" * 100, "en", "zh") == 38
    assert estimate_answer_tokens("a" * 100, "en", "th") == 108


SERVER = {"backend": "openai", "model": "m", "openai": {"base_url": "http://localhost:1/v1"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.pop("model"), "needs translate.model, the server's name of the model"),
        (lambda values: values["openai"].pop("base_url"), "needs translate.model, .* and translate.openai.base_url"),
        (lambda values: values["openai"].update(base_url="localhost:8000"), "not an http or https URL"),
        (lambda values: values["openai"].update(base_url="http://me:sk-secret-1@a/v1"), "remove the user name and password"),
        (lambda values: values["openai"].update(base_url="http://a/v1?key=secret-2"), "remove the query from the URL"),
        (lambda values: values["openai"].update(prompt="Translate: {text}"), r"add the placeholder \{target\}"),
        (lambda values: values["openai"].update(prompt="{target} {text} {name}"), r"unknown placeholder \{name\}"),
        (lambda values: values["openai"].update(extra_body="[1]"), "give a JSON object as a text"),
        (lambda values: values["openai"].update(extra_body="{"), "give a JSON object as a text"),
        (lambda values: values["openai"].update(extra_body='{"model": "x"}'), "remove 'model'"),
        (
            lambda values: values["openai"].update(api_key_variable="sk-proj-123"),
            "name of an environment variable, never the key",
        ),
        (lambda values: values["openai"].update(concurrency=0), "at least 1"),
        (lambda values: values["openai"].update(max_cost=-1), "at least 0"),
    ],
)
def test_bad_settings_are_named(change: Callable[[dict[str, Any]], Any], message: str) -> None:
    values = json.loads(json.dumps(SERVER))
    change(values)
    with pytest.raises(InputError, match=message) as caught:
        parse({"translate": values})
    assert "secret" not in str(caught.value)


def test_only_what_changes_translations_is_in_the_key() -> None:
    in_key = set(key_settings(OpenAI()))
    assert in_key == {"prompt", "temperature", "seed", "response_format", "max_completion_tokens", "extra_body"}


def test_the_section_changes_no_key_of_another_backend() -> None:
    from mlctl.pipeline.stages import stage_named

    stage = stage_named("translate")
    command = parse({"translate": {"backend": "command", "command": ["cat"]}})
    assert "openai" not in stage.settings(command)["translate"]
    assert stage.settings(parse({"translate": SERVER}))["translate"]["openai"]["temperature"] == 0.0
    assert hash(Translate.model_validate(SERVER)) == hash(Translate.model_validate(SERVER))
