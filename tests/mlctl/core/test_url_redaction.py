from __future__ import annotations

import pytest

from mlctl.core.url_redaction import redact_text, redact_url, redact_values


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
