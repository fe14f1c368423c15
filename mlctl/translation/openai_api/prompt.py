"""The prompt of a text: the recipe's template, filled in with the languages, the terms that the text has, and the examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import regex  # type: ignore[import-untyped]

from mlctl.config.translate_openai import PLACEHOLDER, OpenAI
from mlctl.languages import name
from mlctl.translation.openai_api import language_table
from mlctl.translation.openai_api.language_table import LanguageTable

#: What is added to a prompt for structured output, because a server may not show the schema to its model.
JSON_REQUEST = '\n\nAnswer with this JSON object alone: {"translation": "…"}'

# Words, single characters of scripts without spaces, and signs.
_TOKEN = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]|[\w\p{M}]+|[^\w\s]", regex.V1
)
_Term = tuple[str, ...]


class PromptTemplate:
    """The prompts of one language pair."""

    def __init__(self, settings: OpenAI, source: str, target: str) -> None:
        """Read the glossary and the examples.

        Raises:
            InputError: a file is missing or not a table of languages.
        """
        self._template = settings.prompt
        self._languages = name(source), name(target)
        self._glossary = _Glossary(_glossary_of(settings).pairs(source, target))
        self._examples = "".join(
            f"\nExample in {self._languages[0]}: {text}\nExample in {self._languages[1]}: {translation}\n"
            for text, translation in _examples_of(settings).pairs(source, target)
        )

    def prompt(self, text: str) -> str:
        """Return the prompt of a text. Placeholders in the text or in a table stay as they are."""
        terms = "".join(f"- {term}: {translation}\n" for term, translation in self._glossary.terms_of(text))
        values = {
            "source": self._languages[0],
            "target": self._languages[1],
            "text": text,
            "glossary": f"\nUse these translations of terms:\n{terms}" if terms else "",
            "examples": self._examples,
        }
        return PLACEHOLDER.sub(lambda match: values[match[1]], self._template)


def check_tables(settings: OpenAI) -> None:
    """Check that the glossary and the examples can be read.

    Raises:
        InputError: a file is missing or not a table of languages.
    """
    _glossary_of(settings)
    _examples_of(settings)


def _glossary_of(settings: OpenAI) -> LanguageTable:
    return language_table.read(settings.glossary, "translate.openai.glossary")


def _examples_of(settings: OpenAI) -> LanguageTable:
    return language_table.read(settings.examples, "translate.openai.examples")


class _Glossary:
    """Terms with their translations, found in texts by their words: whole words, in any case, of any number."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._terms: dict[_Term, tuple[str, str]] = {}
        for term, translation in pairs:
            self._terms.setdefault(_tokens(term), (term, translation))
        self._longest = max(map(len, self._terms), default=0)

    def terms_of(self, text: str) -> list[tuple[str, str]]:
        """Return the terms that a text has, in its order, each once."""
        if not self._terms:
            return []
        return list(dict.fromkeys(self._found(_tokens(text))))

    def _found(self, tokens: _Term) -> Iterator[tuple[str, str]]:
        for first in range(len(tokens)):
            for length in range(1, self._longest + 1):
                if pair := self._terms.get(tokens[first : first + length]):
                    yield pair


def _tokens(text: str) -> _Term:
    return tuple(_TOKEN.findall(text.casefold()))
