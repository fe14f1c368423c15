"""A long value does not bury the message that speaks of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlctl.core.long_values import cut_long_values
from mlctl.errors import InputError
from storage import StoreError

TEXTS = st.text(st.sampled_from("ab/\n "), max_size=40) | st.builds(
    lambda char, size, tail: char * size + tail, st.sampled_from("x /"), st.integers(0, 6000), st.text("ab\n", max_size=5)
)


@given(TEXTS, TEXTS)
def test_no_line_is_long_and_cutting_twice_changes_nothing(first: str, second: str) -> None:
    cut = cut_long_values(first + second)
    assert max(map(len, cut.split("\n"))) <= 1500
    assert max(map(len, cut.split()), default=0) <= 300
    assert cut_long_values(cut) == cut
    assert cut.count("\n") == (first + second).count("\n")


@given(st.text("abc/.\n ", max_size=300))
def test_what_is_short_is_not_changed(text: str) -> None:
    assert cut_long_values(text) == text


def test_both_ends_of_a_value_stay_with_its_length() -> None:
    path = f"/data/{'x' * 5000}/pairs.tsv"
    cut = cut_long_values(f"no file {path}: give another")
    assert cut.startswith("no file /data/xx")
    assert "xx/pairs.tsv: give another" in cut
    assert f"({len(path) + 1:,} characters)" in cut


def test_every_error_for_the_user_is_cut() -> None:
    long = "x" * 5000
    assert len(str(InputError(f"no file {long}", f"remove {long}"))) < 500
    assert len(InputError(f"no file {long}").problem) < 300
    assert len(str(StoreError(f"store {long}"))) < 300
