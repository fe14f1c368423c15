"""Tags carried over word links: worked examples, and what holds of any links."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlctl.evaluation.finetuning.examples import NO_TAG
from mlctl.evaluation.projection.label_projection import WordLink, WordTag, coverage, project_entities, project_word_tags

LINKS = st.lists(st.builds(WordLink, st.integers(0, 4), st.integers(0, 5), st.floats(0, 1)), max_size=12)
KINDS = st.sampled_from("O B-LOC I-LOC B-PER I-PER".split())


def sure(*tags: str) -> list[WordTag]:
    return [WordTag(tag, 1.0) for tag in tags]


def links(*pairs: tuple[int, int], confidence: float = 0.9) -> list[WordLink]:
    return [WordLink(source, target, confidence) for source, target in pairs]


def test_a_word_has_the_tag_of_the_word_that_it_is_linked_to() -> None:
    tags = project_word_tags(sure("DET", "ADJ", "NOUN"), links((0, 0), (1, 2), (2, 1)), ("le", "chat", "noir"), 0.5)
    assert tags == ("DET", "NOUN", "ADJ")


def test_of_several_links_the_tag_with_the_most_support_counts() -> None:
    several = [WordLink(0, 0, 0.6), WordLink(1, 0, 0.7), WordLink(2, 0, 0.5)]
    assert project_word_tags(sure("NOUN", "VERB", "NOUN"), several, ("x",), 0.5) == ("NOUN",)
    assert project_word_tags([WordTag("NOUN", 0.5), WordTag("VERB", 1)], several[:2], ("x",), 0.5) == ("VERB",)


def test_a_tag_below_the_confidence_is_no_tag() -> None:
    assert project_word_tags([WordTag("NOUN", 0.7)], [WordLink(0, 0, 0.7)], ("x",), 0.5) == (NO_TAG,)
    assert project_word_tags([WordTag("NOUN", 0.8)], [WordLink(0, 0, 0.7)], ("x",), 0.5) == ("NOUN",)


def test_words_without_a_link_are_tagged_by_their_characters_alone() -> None:
    words = ("“", "1.000", "۱۲", "$", "chat", "…", "2nd", "¿?")
    assert project_word_tags([], [], words, 0.5) == ("PUNCT", "NUM", "NUM", "SYM", NO_TAG, "PUNCT", NO_TAG, "PUNCT")


def test_an_entity_is_the_span_of_its_linked_words() -> None:
    source = sure("B-PER", "I-PER", "O", "B-LOC")
    crossing = links((0, 3), (1, 1), (2, 0), (3, 4))
    assert project_entities(source, crossing, 6, 0.5) == ("O", "B-PER", "I-PER", "I-PER", "B-LOC", "O")


def test_neighbouring_entities_of_one_type_stay_two() -> None:
    assert project_entities(sure("B-LOC", "B-LOC"), links((0, 0), (1, 1)), 2, 0.5) == ("B-LOC", "B-LOC")
    assert project_entities(sure("I-LOC", "I-LOC"), links((0, 0), (1, 1)), 2, 0.5) == ("B-LOC", "I-LOC")


def test_a_sentence_whose_entities_are_uncertain_is_left_out() -> None:
    assert project_entities(sure("B-LOC", "O"), links((1, 0)), 2, 0.5) is None, "no link leaves the entity"
    assert project_entities(sure("B-LOC", "O"), links((0, 0), confidence=0.4), 2, 0.5) is None, "its link is uncertain"
    assert project_entities([WordTag("O", 0.4)], links((0, 0)), 2, 0.5) is None, "a word may be an entity"
    split = links((0, 0), (0, 2), (1, 1))
    assert project_entities(sure("B-LOC", "O"), split, 3, 0.5) is None, "another word is inside"
    assert project_entities(sure("B-LOC", "B-PER"), links((0, 0), (1, 0)), 3, 0.5) is None, "two entities are one word"


@given(st.lists(st.builds(WordTag, KINDS, st.floats(0.5, 1)), min_size=5, max_size=5), LINKS)
def test_entities_come_over_whole_or_not_at_all(tags: list[WordTag], found: list[WordLink]) -> None:
    projected = project_entities(tags, found, 6, 0.5)
    if projected is None:
        return
    assert len(projected) == 6
    begun = [tag for tag in projected if tag.startswith("B-")]
    kinds = [tag.tag for tag in tags]
    starts = [
        kind
        for index, kind in enumerate(kinds)
        if kind != "O" and (kind[0] == "B" or index == 0 or kinds[index - 1][2:] != kind[2:])
    ]
    assert sorted(tag[2:] for tag in begun) == sorted(kind[2:] for kind in starts)
    for before, tag in zip(("O", *projected), projected, strict=False):
        assert not tag.startswith("I-") or before[2:] == tag[2:]


@given(st.lists(st.builds(WordTag, st.sampled_from(["NOUN", "VERB"]), st.floats(0, 1)), min_size=5, max_size=5), LINKS)
def test_a_higher_confidence_never_adds_a_tag(tags: list[WordTag], found: list[WordLink]) -> None:
    words = ("a", "b", "c", "d", "e", "f")
    low, high = (project_word_tags(tags, found, words, least) for least in (0.3, 0.6))
    assert all(strict in (NO_TAG, loose) for loose, strict in zip(low, high, strict=True))
    assert coverage(high) <= coverage(low) <= 1
