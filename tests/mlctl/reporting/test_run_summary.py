"""The end of a run in a few lines."""

from __future__ import annotations

from mlctl.reporting.run_summary import RunSummary, to_lines, to_markdown

SCORES = [
    {
        "task": "Tatoeba",
        "languages": "3",
        "metric": "accuracy",
        "base": "88.0%",
        "trained": "82.5%",
        "difference": "−5.5* (−7.0 … −4.1)",
    },
    {
        "task": "A|B",
        "languages": "en",
        "metric": "F1",
        "base": "1%",
        "base_same_pooling": "2%",
        "trained": "3%",
        "difference": "+2.0",
    },
]


def test_the_summary_shows_scores_stages_addresses_and_warnings() -> None:
    text = to_markdown(
        RunSummary(
            "mine",
            [("train", "computed", 75.0), ("shard", "cached", 3.0)],
            SCORES,
            ["Tatoeba 88.0 → 82.5"],
            {"report": "http://127.0.0.1:4201/a/b/report.html", "model": "/store/train/k/model"},
            ["`x` <b>"] + [f"warning {number}" for number in range(30)],
        )
    )
    assert "| Tatoeba | 3 | accuracy | 88.0% | 82.5% | −5.5\\* (−7.0 … −4.1) |  |" in text
    assert "| A\\|B | en | F1 | 1% | 3% | +2.0 | 2% |" in text
    assert "| train | computed | 1 min 15 s |\n| shard | cached |  |" in text
    assert "**report:** [http://127.0.0.1:4201/a/b/report.html](http://127.0.0.1:4201/a/b/report.html)" in text
    assert "**model:** `/store/train/k/model`" in text
    assert "**The trained model is significantly worse than the base model: Tatoeba 88.0 → 82.5**" in text
    assert "- `ˋxˋ <b>`" in text, "no markup from a log"
    assert "and 11 more" in text


def test_the_last_lines_of_a_log_are_scores_and_addresses() -> None:
    lines = to_lines(RunSummary("mine", scores=SCORES[:1], worse=["Tatoeba"], addresses={"model": "/m"}))
    assert lines == [
        "Tatoeba: 88.0% → 82.5%, −5.5* (−7.0 … −4.1)",
        "The trained model is significantly worse than the base model: Tatoeba",
        "model: /m",
    ]
    assert to_lines(RunSummary("mine")) == []
