"""What the answers to all texts would use, before anything is requested: those that the translation memory has cost nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlctl.config import Languages, Translate
from mlctl.translation import dev_sets, quality
from mlctl.translation.openai_api.answer_store import request_key
from mlctl.translation.openai_api.backend import OpenAIBackend
from mlctl.translation.openai_api.prompt import JSON_REQUEST
from mlctl.translation.openai_api.spending import Usage
from mlctl.translation.openai_api.token_estimate import estimate_answer_tokens, estimate_tokens
from mlctl.translation.parts import Direction, directions
from mlctl.translation.splitting import SplittingBackend
from mlctl.translation.translation_memory import TranslationMemory

_MAX_TEXTS = 20_000  # of a direction; of more texts, so many are looked at, evenly spread
_CHAT_TEMPLATE = 8  # tokens of a prompt beside its text


@dataclass(frozen=True)
class CostEstimate:
    """Estimated usage.

    Attributes:
        usage: requests that would be sent, and the tokens of their prompts and answers.
        known: requests that the translation memory answers.
    """

    usage: Usage
    known: int

    def __add__(self, other: CostEstimate) -> CostEstimate:
        return CostEstimate(self.usage + other.usage, self.known + other.known)

    def times(self, factor: float) -> CostEstimate:
        """Return the estimate for more texts of the same kind."""
        counts = (self.usage.requests, self.usage.input_tokens, self.usage.output_tokens, self.known)
        *usage, known = (round(count * factor) for count in counts)
        return CostEstimate(Usage(*usage), known)


def estimate(settings: Translate, languages: Languages, cleaned: Path, memory: Path | None) -> CostEstimate:
    """Return the estimate for the texts of a clean result, and for measuring the backend on them. No server is asked.

    Raises:
        InputError: the glossary, the examples or a dev set cannot be read.
    """
    estimator = _Estimator(settings, memory)
    total = CostEstimate(Usage(), 0)
    for target in languages.targets:
        file = cleaned / "untranslated" / f"{target}.parquet"
        for direction in directions(languages.source, target) if file.is_file() else ():
            if count := direction.count(file):
                total += estimator.of_direction(direction, file, count, target)
    return total


class _Estimator:
    """Estimates with one look at the memory for many texts."""

    def __init__(self, settings: Translate, memory: Path | None) -> None:
        self._settings = settings
        self._backend = OpenAIBackend(settings, "", "")
        self._splitting = SplittingBackend(self._backend, settings.long_text)
        self._memory = TranslationMemory(memory) if memory and memory.exists() else None

    def of_direction(self, direction: Direction, file: Path, count: int, language: str) -> CostEstimate:
        """Return the estimate of a direction's texts, dev sets and round trip."""
        source, target = direction.source, direction.target
        step = -(-count // _MAX_TEXTS)
        texts = [text for number, text in enumerate(direction.texts(file)) if number % step == 0]
        total = self._of(texts, source, target).times(count / len(texts))
        dev = [dev_set for dev_set in self._settings.dev if dev_set.target == language]
        for dev_set in dev:
            total += self._of(dev_sets.read(dev_set, source, target)[0], source, target)
        return total if dev else total + self._of_round_trip(quality.draw(texts), source, target)

    def _of(self, texts: Iterable[str], source: str, target: str) -> CostEstimate:
        pieces = [piece for text in texts for piece in self._splitting.pieces(text, source, target)]
        known = self._known(pieces, source, target)
        return _sum(self._usage(piece, source, target) if piece not in known else None for piece in dict.fromkeys(pieces))

    def _of_round_trip(self, texts: Sequence[str], source: str, target: str) -> CostEstimate:
        """Return the estimate for translating back; a text stands for its translation, if that is not known yet."""
        known = self._known(texts, source, target)
        back = self._of([known[text] for text in texts if text in known], target, source)
        return back + _sum(self._usage(text, target, source) for text in texts if text not in known)

    def _known(self, texts: Sequence[str], source: str, target: str) -> dict[str, str]:
        """Return the translations of texts that the memory has."""
        if not self._memory:
            return {}
        keys = {text: self._key(text, source, target) for text in texts}
        found = self._memory.get(list(keys.values()))
        return {text: found[key] for text, key in keys.items() if key in found}

    def _key(self, text: str, source: str, target: str) -> bytes:
        return request_key(self._settings, self._backend.request(text, source, target), source, target)

    def _usage(self, text: str, source: str, target: str) -> Usage:
        prompt = self._backend.request(text, source, target).prompt
        added = "" if self._settings.openai.response_format == "text" else JSON_REQUEST
        return Usage(1, estimate_tokens(prompt + added) + _CHAT_TEMPLATE, estimate_answer_tokens(text, source, target))


def _sum(usages: Iterable[Usage | None]) -> CostEstimate:
    """Return the sum; None: a request that the memory answers."""
    total, known = Usage(), 0
    for usage in usages:
        total, known = (total + usage, known) if usage else (total, known + 1)
    return CostEstimate(total, known)
