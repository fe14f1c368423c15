"""Examples of the fine-tuned benchmarks, and the protocol of their training, dev and test sets."""

from __future__ import annotations

from typing import Generic, NamedTuple, Protocol, TypeVar

#: Language of the training examples.
TRAINING_LANGUAGE = "en"
#: Tag of a word of a training example that has none: the word is read, but nothing is learned from it.
NO_TAG = ""

Example = TypeVar("Example")


class Pair(NamedTuple):
    """Two sentences and the label of their relation."""

    first: str
    second: str
    label: str


class LabelledText(NamedTuple):
    """A text and its label."""

    text: str
    label: str


class Choices(NamedTuple):
    """A question about a passage, answers to choose from, and as the label the number of the right one, from 1."""

    name: str
    passage: str
    question: str
    answers: tuple[str, ...]
    label: str


class TaggedSentence(NamedTuple):
    """A sentence's words and a tag for each; NO_TAG for a word that nothing is to be learned from."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


class Labelled(Protocol):
    """An example with one label."""

    @property
    def label(self) -> str:
        """The label."""


LabelledExample = TypeVar("LabelledExample", bound=Labelled)


class NamedExamples(NamedTuple, Generic[Example]):
    """Test examples of a language, and the name of their file or split."""

    examples: list[Example]
    name: str


def evenly_spaced(examples: list[Example], count: int) -> list[Example]:
    """Return `count` examples, evenly spaced over all of them and in their order; all for a count of 0 or of as many and more.

    A set is often a treebank after another: its first examples would be one of them.
    """
    if count == 0 or count >= len(examples):
        return examples
    return [examples[number * len(examples) // count] for number in range(count)]


class ExampleSets(Protocol[Example]):
    """Examples of a benchmark."""

    @property
    def location(self) -> str:
        """Folder or data set that the recipe names."""

    @property
    def languages(self) -> list[str]:
        """Languages with a test set."""

    def train(self) -> list[Example]:
        """Return the English training examples."""

    def dev(self) -> list[Example] | None:
        """Return the English dev examples; None if there are none."""

    def test(self, language: str) -> NamedExamples[Example]:
        """Return the test set of a language, or its dev set if there is no test set with labels."""

    def digest(self, language: str | None = None) -> str:
        """Return a digest of the training and dev examples and, with a language, of its test set."""
