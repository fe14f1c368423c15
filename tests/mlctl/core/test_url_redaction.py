from __future__ import annotations

import pytest

from mlctl.core.url_redaction import redact_text, redact_url, redact_values


@pytest.mark.parametrize(
    ("address", "as_shown"),
    [
        ("https://a.example/x.zip", "https://a.example/x.zip"),
        ("https://a.example/x?token=hunter2", "https://a.example/x?token=…"),
        ("https://a.example/x?X-Amz-Date=1&X-Amz-Signature=2", "https://a.example/x?X-Amz-Date=…&X-Amz-Signature=…"),
        ("https://a.example/x?sv=1&se=2&sig=3", "https://a.example/x?sv=…&se=…&sig=…"),
        ("https://me:pw@a.example/x", "https://…@a.example/x"),
        ("s3://bucket/x?secret_access_key=1", "s3://bucket/x?secret_access_key=…"),
        ("https://a.example/x?download=", "https://a.example/x?download="),
        ("not an address", "not an address"),
        ("http://[broken?key=1", "http://[broken?key=…"),
    ],
)
def test_values_are_not_shown(address: str, as_shown: str) -> None:
    assert redact_url(address) == as_shown
    assert redact_url(redact_url(address)) == as_shown


def test_what_says_which_file_it_is_stays_told_apart() -> None:
    one, two, bare = (redact_url(f"https://a.example/get?{query}&token=t") for query in ("id=1", "id=2", "1"))
    assert len({one, two, bare}) == 3
    assert one.startswith("https://a.example/get?id=…&token=…#")
    assert redact_url("https://a.example/get?id=1&token=other") == one == redact_url(one)


def test_in_texts_and_in_settings() -> None:
    assert (
        redact_text("403 for url: https://a.example/x?Signature=abc (twice)")
        == "403 for url: https://a.example/x?Signature=… (twice)"
    )
    settings = {"urls": ("https://a.example/?key=1", "x"), "deep": [{"n": 1, "path": "a/b?c=d"}]}
    assert redact_values(settings) == {"urls": ["https://a.example/?key=…", "x"], "deep": [{"n": 1, "path": "a/b?c=d"}]}
