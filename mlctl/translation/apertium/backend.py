"""Apertium: translation by rules and dictionaries, with no model. Its programs come in Debian packages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from mlctl.config import Translate
from mlctl.errors import InputError
from mlctl.translation.apertium import modes, stream
from mlctl.translation.apertium.modes import Mode
from mlctl.translation.apertium.pipeline import Pipeline
from mlctl.translation.apertium.stream import Message
from mlctl.translation.backend import EMPTY, TOO_LONG, Translation
from mlctl.translation.process_group import FAILED, shown, side_by_side, words

_log = logging.getLogger(__name__)
_PATIENCE = 120.0  # seconds for one text; usual are milliseconds
_CHUNK = 100  # texts that one pipeline gets at a time


class ApertiumTranslator:
    """Pipelines of Apertium's programs, as many as there are workers; each is started when it is needed and stays up."""

    def __init__(self, settings: Translate, source: str, target: str, patience: float = _PATIENCE) -> None:
        """Find the mode for a pair of languages (BCP 47); `patience`: seconds that one text may take.

        Raises:
            InputError: Apertium or the mode is not installed.
        """
        self._mode = modes.required(source, target)
        self._most_words, self._patience = settings.max_tokens, patience
        self._workers = ThreadPoolExecutor(side_by_side(settings.workers))
        self._lock = threading.Lock()
        self._engines: list[Engine] = []
        self._idle: list[Engine] = []

    def identity(self) -> dict[str, str]:
        """Return the mode, the digest of its data, and the versions of the programs."""
        return dict(self._identity)

    def serves(self, source: str, target: str) -> bool:
        """Tell whether these are the mode's languages: another mode has other data, and so another identity."""
        return (source, target) == (self._mode.source, self._mode.target)

    def fits(self, texts: Sequence[str], source: str, target: str) -> list[bool]:
        """Tell for each text whether it has few enough words."""
        del source, target
        return [words(text) <= self._most_words for text in texts]

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[Translation]:
        """Translate texts, one answer each in their order; a text that kills the engine twice is rejected as `FAILED`.

        Raises:
            InputError: the mode does not even translate a number.
        """
        fits = self.fits(texts, source, target)
        made = [Translation("", EMPTY if fitting else TOO_LONG) for fitting in fits]
        rows = [row for row, text in enumerate(texts) if fits[row] and text.strip()]
        chunks = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
        answers = self._workers.map(lambda chunk: self._chunk([texts[row] for row in chunk]), chunks)
        for chunk, found in zip(chunks, answers, strict=True):
            for row, translation in zip(chunk, found, strict=True):
                made[row] = translation
        return made

    def close(self) -> None:
        """End all processes."""
        with self._lock:
            for engine in self._engines:
                engine.stop()
        self._workers.shutdown(cancel_futures=True)
        for engine in self._engines:
            engine.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of all programs that run now."""
        return [pid for engine in self._engines for pid in engine.pids]

    @cached_property
    def _identity(self) -> dict[str, str]:
        return {
            "backend": "apertium",
            "mode": self._mode.name,
            "digest": self._mode.digest(),
            "text": stream.VERSION,
            **modes.versions(),
        }

    def _chunk(self, texts: Sequence[str]) -> list[Translation]:
        with self._lock:
            if not self._idle:
                self._engines.append(engine := Engine(self._mode, self._patience))
                self._idle.append(engine)
            engine = self._idle.pop()
        try:
            return engine.translate(texts)
        finally:
            with self._lock:
                self._idle.append(engine)


class Engine:
    """One pipeline, and another one when it dies."""

    def __init__(self, mode: Mode, patience: float) -> None:
        self.mode = mode
        self._patience = patience
        self._pipeline: Pipeline | None = None
        self._stopped = False

    @property
    def pids(self) -> list[int]:
        """Process ids of the programs, first to last; none where the pipeline is not up."""
        return self._pipeline.pids if self._pipeline else []

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        """Translate texts in their order. Where the pipeline dies, the first text without an answer is tried once more, alone."""
        made: list[Translation] = []
        messages = [Message(text, self.mode.target) for text in texts]
        while len(made) < len(texts):
            rest = messages[len(made) :]
            answers = self._ask([message.sent() for message in rest])
            made += [_read(message, answer) for message, answer in zip(rest, answers, strict=False)]
            if len(made) < len(texts):
                made.append(self._again(texts[len(made)]))
        return made

    def stop(self) -> None:
        """Have the thread that translates stop, without another pipeline. Any thread may do it."""
        self._stopped = True
        if pipeline := self._pipeline:
            pipeline.kill()

    def close(self) -> None:
        """End the pipeline."""
        if self._pipeline:
            self._pipeline.close()
            self._pipeline = None

    def _again(self, text: str) -> Translation:
        message = Message(text, self.mode.target)
        if answers := self._ask([message.sent()]):
            return _read(message, answers[0])
        _log.warning("Apertium (%s) does not survive %s: left out", self.mode.name, shown(text))
        return Translation("", FAILED)

    def _ask(self, texts: Sequence[str]) -> list[str]:
        self._pipeline = self._pipeline or self._start()
        answers: list[str] = []
        try:
            answers = self._pipeline.ask(texts)
        finally:
            if len(answers) < len(texts):
                self._pipeline.close()
                _log.warning("Apertium (%s) is started anew: %s", self.mode.name, self._pipeline.fault())
                self._pipeline = None
        return answers

    def _start(self) -> Pipeline:
        """Start a pipeline that translates: one that does not is broken, whatever the text."""
        if self._stopped:
            raise RuntimeError("translation was stopped")
        try:
            pipeline = Pipeline(self.mode.commands(), modes.environment(), self._patience)
        except OSError as error:
            raise self._broken(f"{error.filename} cannot be started ({error.strerror})") from None
        if not pipeline.ask(["1"]):
            pipeline.close()
            raise self._broken(pipeline.fault())
        return pipeline

    def _broken(self, reason: str) -> InputError:
        return InputError(
            f"Apertium's mode {self.mode.name} does not work: {reason}",
            f"try `echo 1 | apertium {self.mode.name}`, and install its package anew if that fails too",
        )


def _read(message: Message, answer: str) -> Translation:
    text = message.received(answer)
    if text is None:
        return Translation("", FAILED)
    return Translation(text) if text else Translation("", EMPTY)
