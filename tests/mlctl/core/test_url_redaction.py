from __future__ import annotations

import pytest

from mlctl.core.url_redaction import redact_command, redact_receiver, redact_text, redact_url, redact_values


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("https://a.example/x.zip", "https://a.example/x.zip"),
        ("https://a.example/x?token=hunter2", "https://a.example/x?token=…"),
        ("https://a.example/x?X-Amz-Date=1&X-Amz-Signature=2", "https://a.example/x?X-Amz-Date=…&X-Amz-Signature=…"),
        ("https://a.example/x?sv=1&se=2&sig=3", "https://a.example/x?sv=…&se=…&sig=…"),
        ("https://me:pw@a.example/x", "https://…@a.example/x"),
        ("s3://bucket/x?secret_access_key=1", "s3://bucket/x?secret_access_key=…"),
        ("https://a.example/x?download=", "https://a.example/x?download="),
        ("not an url", "not an url"),
        ("http://[broken?key=1", "http://[broken?key=…"),
    ],
)
def test_values_are_redacted(url: str, redacted: str) -> None:
    assert redact_url(url) == redacted
    assert redact_url(redact_url(url)) == redacted


def test_urls_of_two_files_stay_different() -> None:
    first, second, bare = (redact_url(f"https://a.example/get?{query}&token=t") for query in ("id=1", "id=2", "1"))
    assert len({first, second, bare}) == 3
    assert first.startswith("https://a.example/get?id=…&token=…#")
    assert redact_url("https://a.example/get?id=1&token=other") == first == redact_url(first)


def test_in_texts_and_in_settings() -> None:
    assert (
        redact_text("403 for url: https://a.example/x?Signature=abc (twice)")
        == "403 for url: https://a.example/x?Signature=… (twice)"
    )
    settings = {"urls": ("https://a.example/?key=1", "x"), "deep": [{"n": 1, "path": "a/b?c=d"}]}
    assert redact_values(settings) == {"urls": ["https://a.example/?key=…", "x"], "deep": [{"n": 1, "path": "a/b?c=d"}]}


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("s3://AKIA:ab/c@d@bucket", "s3://…@bucket"),
        ("redis://:p?w#@host/0", "redis://…@host/0"),
        ("https://host:8080/a@b", "https://host:8080/a@b"),
        ("https://a.example/#access_token=abc&x=1", "https://a.example/#access_token=…&x=…"),
        ("https://a.example/page#part", "https://a.example/page#part"),
        ("https://a.example/x?token=abc: refused", "https://a.example/x?token=… refused"),
        ("https://a.example/x?token=…: refused", "https://a.example/x?token=…: refused"),
        ("prog --api-key abc --tokenizer t", "prog --api-key … --tokenizer t"),
        ("prog --password=abc", "prog --password=…"),
        ("the key sk-abcdefghijklmnop1234 of hf_abcdefghijklmnopqr", "the key … of …"),
        ("Authorization: Bearer abcdefgh123", "Authorization: Bearer …"),
        ("a basic understanding of bearer instruments", "a basic understanding of bearer instruments"),
        ("x ghp_abcdefghijklmnopqrst AKIAABCDEFGHIJKLMNOP eyJhbGciOiJI.eyJzdWIiOiIx.SflKx", "x … … …"),
    ],
)
def test_what_grants_access_in_a_text(text: str, redacted: str) -> None:
    assert redact_text(text) == redacted
    assert redact_text(redacted) == redacted


def test_commands_differ_by_what_changes_their_output_and_show_none_of_it() -> None:
    plain, other = (redact_command(["prog", "--tokenizer", name, "{target}"]) for name in ("a", "b"))
    assert plain[0] == "prog"
    assert plain[1].startswith("…#")
    assert plain != other
    assert redact_command(plain) == plain
    keys = [["--api-key", "1"], ["--api-key", "2"], ["--api-key=3"]]
    assert len({tuple(redact_command(["prog", *key, "x"])) for key in keys}) == 1, "a new key is no new command"
    assert redact_command(["prog"]) == ["prog"]


def test_receivers_show_their_host_and_stay_different() -> None:
    first, second = (redact_receiver(f"https://hooks.example/services/{path}") for path in ("T0/B0/x", "T0/B0/y"))
    assert first.startswith("https://hooks.example/…#")
    assert first != second
    assert redact_receiver(first) == first
    assert redact_receiver("env:HOOK") == "env:HOOK"
    settings = {"retrain": {"notify": ("https://hooks.example/a",)}, "translate": {"command": ["p", "k"]}}
    redacted = redact_values(settings)
    assert redacted == redact_values(redacted)
    assert redacted["translate"]["command"] == redact_command(["p", "k"])
    assert redact_values("prog k", "command").startswith("prog …#")
