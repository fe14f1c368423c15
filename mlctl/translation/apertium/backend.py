"""Backend `apertium`: translation with rules and dictionaries, without a model. Its programs are in Debian packages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from functools import cached_property

from mlctl.config import Translate
from mlctl.errors import InputError
from mlctl.execution.program_text import quote
from mlctl.translation.apertium import modes, stream
from mlctl.translation.apertium.modes import Mode
from mlctl.translation.apertium.pipeline import Pipeline
from mlctl.translation.apertium.stream import StreamText
from mlctl.translation.backend import EMPTY, FAILED, NO_FILES, BackendFiles, Translation
from mlctl.translation.program_backend import ProgramBackend

_log = logging.getLogger(__name__)
_TIMEOUT = 120.0  # seconds for one text, which usually takes milliseconds
_BATCH_LINES = 100  # in one pipeline


class ApertiumBackend(ProgramBackend):
    """Runs one pipeline of Apertium's programs for each thread; a pipeline is started when it is needed and stays up."""

    def __init__(
        self, settings: Translate, source: str, target: str, files: BackendFiles = NO_FILES, timeout: float = _TIMEOUT
    ) -> None:
        """Find the mode for a language pair (BCP 47); `timeout` is in seconds for one text, `files` are not used.

        Raises:
            InputError: Apertium or the mode is not installed.
        """
        del files
        self._mode = modes.require(source, target)
        super().__init__(settings, source, target, _BATCH_LINES)
        self._timeout = timeout
        self._lock = threading.Lock()
        self._pipelines: list[RestartingPipeline] = []
        self._idle: list[RestartingPipeline] = []

    def identity(self) -> dict[str, str]:
        """Return the mode, the digest of its data, and the versions of the programs."""
        return dict(self._identity)

    def close(self) -> None:
        """Kill all processes."""
        with self._lock:
            for pipeline in self._pipelines:
                pipeline.stop()
        self._threads.shutdown(cancel_futures=True)
        for pipeline in self._pipelines:
            pipeline.close()

    @property
    def pids(self) -> list[int]:
        """Process ids of all running programs."""
        return [pid for pipeline in self._pipelines for pid in pipeline.pids]

    @cached_property
    def _identity(self) -> dict[str, str]:
        return {
            "backend": "apertium",
            "mode": self._mode.name,
            "digest": self._mode.digest(),
            "text": stream.VERSION,
            **modes.versions(),
        }

    def _translate_batch(self, lines: Sequence[str]) -> list[Translation]:
        with self._lock:
            if not self._idle:
                self._pipelines.append(pipeline := RestartingPipeline(self._mode, self._timeout))
                self._idle.append(pipeline)
            pipeline = self._idle.pop()
        try:
            return pipeline.translate(lines)
        finally:
            with self._lock:
                self._idle.append(pipeline)


class RestartingPipeline:
    """A pipeline that is started again when one of its programs crashes or does not answer."""

    def __init__(self, mode: Mode, timeout: float) -> None:
        """Take the mode and the seconds that one text may take."""
        self.mode = mode
        self._timeout = timeout
        self._pipeline: Pipeline | None = None
        self._stopped = False

    @property
    def pids(self) -> list[int]:
        """Process ids of the programs, first to last; none if the pipeline is not running."""
        return self._pipeline.pids if self._pipeline else []

    def translate(self, texts: Sequence[str]) -> list[Translation]:
        """Translate texts in order. After a crash the first text without a translation is retried once, alone."""
        translations: list[Translation] = []
        encoded = [StreamText(text, self.mode.target) for text in texts]
        while len(translations) < len(texts):
            remaining = encoded[len(translations) :]
            outputs = self._process([text.encode() for text in remaining])
            translations += [_to_translation(text, output) for text, output in zip(remaining, outputs, strict=False)]
            if len(translations) < len(texts):
                translations.append(self._retry(texts[len(translations)]))
        return translations

    def stop(self) -> None:
        """Make the thread that translates stop without restarting the pipeline. Thread-safe."""
        self._stopped = True
        if pipeline := self._pipeline:
            pipeline.kill()

    def close(self) -> None:
        """Kill the programs."""
        if self._pipeline:
            self._pipeline.close()
            self._pipeline = None

    def _retry(self, text: str) -> Translation:
        encoded = StreamText(text, self.mode.target)
        if outputs := self._process([encoded.encode()]):
            return _to_translation(encoded, outputs[0])
        _log.warning("Apertium (%s) crashes on %s: text rejected", self.mode.name, quote(text))
        return Translation("", FAILED)

    def _process(self, texts: Sequence[str]) -> list[str]:
        """Return the outputs of texts; fewer if the pipeline failed, which is then closed."""
        self._pipeline = self._pipeline or self._start()
        outputs: list[str] = []
        try:
            outputs = self._pipeline.process(texts)
        finally:
            if len(outputs) < len(texts):
                self._pipeline.close()
                _log.warning("Apertium (%s) is restarted: %s", self.mode.name, self._pipeline.describe_failure())
                self._pipeline = None
        return outputs

    def _start(self) -> Pipeline:
        """Start a pipeline and check that it translates a number: if not, the installation is broken, not the text."""
        if self._stopped:
            raise RuntimeError("translation was stopped")
        try:
            pipeline = Pipeline(self.mode.commands(), modes.environment(), self._timeout)
        except OSError as error:
            raise self._broken(f"{error.filename} cannot be started ({error.strerror})") from None
        if not pipeline.process(["1"]):
            pipeline.close()
            raise self._broken(pipeline.describe_failure())
        return pipeline

    def _broken(self, reason: str) -> InputError:
        return InputError(
            f"Apertium's mode {self.mode.name} does not work: {reason}",
            f"try `echo 1 | apertium {self.mode.name}`, and reinstall its package if that fails too",
        )


def _to_translation(text: StreamText, output: str) -> Translation:
    decoded = text.decode(output)
    if decoded is None:
        return Translation("", FAILED)
    return Translation(decoded) if decoded else Translation("", EMPTY)
