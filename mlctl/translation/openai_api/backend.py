"""Backend `openai`: one request for each text, many at the same time, to a server with OpenAI's chat completions API."""

from __future__ import annotations

import concurrent.futures
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256

from mlctl.config import Translate
from mlctl.translation import output_checks
from mlctl.translation.backend import EMPTY, NO_FILES, TOO_LONG, BackendFiles, Translation
from mlctl.translation.openai_api import language_table
from mlctl.translation.openai_api.answer_store import AnswerStore, request_key
from mlctl.translation.openai_api.client import ServerClient
from mlctl.translation.openai_api.prompt import PromptTemplate
from mlctl.translation.openai_api.request import ChatRequest
from mlctl.translation.openai_api.requester import Requester
from mlctl.translation.openai_api.spending import Spending, describe
from mlctl.translation.openai_api.token_estimate import estimate_tokens
from mlctl.translation.translation_memory import TranslationMemory

_log = logging.getLogger(__name__)


class OpenAIBackend:
    """Translates between all languages. The connection is opened when it is first needed: identity and lengths need no server."""

    def __init__(self, settings: Translate, source: str, target: str, files: BackendFiles = NO_FILES) -> None:
        """Take the settings and the files of the answers and of what they cost; the languages do not matter."""
        del source, target
        self._settings = settings
        self._files = files
        self._templates: dict[tuple[str, str], PromptTemplate] = {}
        self._opened: _Session | None = None
        self._lock = threading.Lock()

    def identity(self) -> dict[str, str]:
        """Return the model's name, and the digest of the prompt with its files; the server's address changes no translation.

        Raises:
            InputError: the glossary or the examples are missing.
        """
        options = self._settings.openai
        return {
            "backend": "openai",
            "model": self._settings.model,
            "revision": self._settings.revision,
            "prompt": sha256(options.prompt.encode()).hexdigest(),
            "glossary": language_table.digest(options.glossary, "translate.openai.glossary"),
            "examples": language_table.digest(options.examples, "translate.openai.examples"),
            "temperature": str(options.temperature),
            "seed": str(options.seed),
            "response_format": options.response_format,
        }

    def supports(self, source: str, target: str) -> bool:
        """Return true: which languages a model knows, the measured quality shows."""
        del source, target
        return True

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        """Return for each text whether its estimated tokens are few enough."""
        del source, target
        return [estimate_tokens(text) <= self._settings.max_tokens for text in texts]

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts; return one translation each, in order. Each answer is stored when it arrives.

        Raises:
            InputError: the server does not work, refuses the key or the model, or the cost could exceed the limit.
        """
        fits = self.fits(texts, source, target)
        translations = [Translation("", EMPTY if fit else TOO_LONG) for fit in fits]
        requests = {
            row: _TextRequest(text, source, target, request, request_key(self._settings, request, source, target))
            for row, text in enumerate(texts)
            if fits[row] and text.strip() and (request := self.request(text, source, target))
        }
        results = self._session.translate(list(requests.values())) if requests else []
        for row, translation in zip(requests, results, strict=True):
            translations[row] = translation
        return translations

    def request(self, text: str, source: str, target: str) -> ChatRequest:
        """Return the request for the translation of a text."""
        with self._lock:
            if (source, target) not in self._templates:
                self._templates[source, target] = PromptTemplate(self._settings.openai, source, target)
            template = self._templates[source, target]
        return ChatRequest(self._settings.model_for(source, target), template.prompt(text))

    def close(self) -> None:
        """Send no further request, wait for the answers to those that were sent, and store them."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened:
            opened.close()

    @property
    def _session(self) -> _Session:
        """The connection and the files, opened when something is to be translated."""
        with self._lock:
            if self._opened is None:
                self._opened = _Session(self._settings, self._files)
            return self._opened


@dataclass(frozen=True)
class _TextRequest:
    """A text that is to be translated, its request and the key of its answer."""

    text: str
    source: str
    target: str
    request: ChatRequest
    key: bytes


class _Session:
    """Many requests at the same time, whose answers are stored. Thread-safe."""

    def __init__(self, settings: Translate, files: BackendFiles) -> None:
        self._settings = settings.openai
        self._spending = Spending(settings.openai, files.usage)
        self._answers = AnswerStore(TranslationMemory(files.memory) if files.memory else None)
        self._requester = Requester(settings, self._spending, lambda: ServerClient(settings.openai))
        self._threads = ThreadPoolExecutor(settings.openai.concurrency, "openai")
        self._pending: dict[bytes, Future[Translation]] = {}
        self._lock = threading.Lock()

    def translate(self, requests: Sequence[_TextRequest]) -> list[Translation]:
        """Return the translation of each text: the stored one, or that of an answer.

        Raises:
            InputError: the first error after which nothing is requested.
        """
        known = self._answers.get(list(dict.fromkeys(request.key for request in requests)))
        futures = [None if request.key in known else self._submit(request) for request in requests]
        self._wait([future for future in futures if future])
        return [
            future.result() if future else Translation(known[request.key])
            for request, future in zip(requests, futures, strict=True)
        ]

    def close(self) -> None:
        """Wait for the answers to the requests that were sent, and close everything."""
        self._requester.stop()
        self._threads.shutdown(cancel_futures=True)
        self._requester.close()
        self._spending.close()
        self._answers.close()
        usage = self._spending.usage
        _log.info("translate.openai: %s, cost %.6g", describe(usage), usage.cost(self._settings))

    def _submit(self, request: _TextRequest) -> Future[Translation]:
        """Return the future translation of a text; two equal requests at the same time are one."""
        with self._lock:
            if future := self._pending.get(request.key):
                return future
            future = self._pending[request.key] = self._threads.submit(self._translate_one, request)
        future.add_done_callback(lambda _: self._pending.pop(request.key, None))
        return future

    def _translate_one(self, request: _TextRequest) -> Translation:
        translation = self._requester.ask(request.request).translation(request.text)
        [checked] = output_checks.check_outputs([request.text], [translation], request.source, request.target)
        return translation if checked.rule else Translation(self._answers.put(request.key, translation.text))

    def _wait(self, futures: Sequence[Future[Translation]]) -> None:
        """Wait for all futures; after an error, only for the answers to what was sent.

        Raises:
            Exception: the first error.
        """
        done, _ = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_EXCEPTION)
        error = next((error for future in done if not future.cancelled() and (error := future.exception())), None)
        if error:
            self._requester.stop(error)
            concurrent.futures.wait(futures)
            raise error
