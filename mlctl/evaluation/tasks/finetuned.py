"""What the benchmarks have in common that learn from English examples: their files, and one model a seed for all languages."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from mlctl import languages as codes
from mlctl.errors import InputError
from mlctl.evaluate_settings import BenchmarkFolder, FineTuned
from mlctl.evaluation import places
from mlctl.evaluation.cards import Card
from mlctl.evaluation.outcomes import Outcome
from mlctl.evaluation.task import SAMPLE, complaint

if TYPE_CHECKING:
    from mlctl.evaluation.finetuning.rows import Row
    from mlctl.evaluation.subject import Subject

Example = TypeVar("Example")
LEARNED = "en"

_FILE = re.compile(r"(?:.*/)?(?P<split>dev|test)-(?P<language>\w+)\.(tsv|conllu)")
_LABELS = "labels/"


class FineTunedTask(ABC, Generic[Example]):
    """A benchmark with its data; see `task.Task`. `judge` fine-tunes a model once a seed, whatever the number of languages.

    Raises:
        InputError: there is none of it at the entry's source, or not the languages that the entry names.
    """

    tagged: ClassVar[bool]

    def __init__(self, entry: FineTuned, card: Card, labels: Sequence[str]) -> None:
        if not isinstance(entry.source, BenchmarkFolder):
            raise InputError(f"evaluate.benchmarks, {card.task}: read from folders only", complaint(card.title))
        self.card, self._entry, self._labels = card, entry, {label: number for number, label in enumerate(labels)}
        self._folder, files = entry.source.path, places.files_of(entry.source)
        self._label_files = {name.removeprefix(_LABELS): path for name, path in files.items() if name.startswith(_LABELS)}
        self._sets = self._found(files)
        if entry.train not in files:
            raise InputError(
                f"evaluate.benchmarks, {card.task}: no {entry.train} in {self._folder}",
                "set `train` to the file of English examples",
            )
        self._train = files[entry.train]
        missing = [language for language in entry.languages if language not in self._sets]
        if missing or not self._sets:
            what = f"no test or dev file of {', '.join(missing)}" if missing else "no test-xx.tsv"
            raise InputError(f"evaluate.benchmarks, {card.task}: {what} in {self._folder}", complaint(card.title))
        self._loaded: tuple[Path, Any] | None = None

    @abstractmethod
    def read(self, file: Path, labels: Path | None) -> list[Example]:
        """Return the examples of a file; `labels` is a file of their labels where there is one."""

    @abstractmethod
    def rows(self, examples: Sequence[Example], subject: Subject) -> list[Row]:
        """Return examples as the encoder reads them."""

    @abstractmethod
    def answer(self, model: Any, rows: Sequence[Row], examples: int, subject: Subject) -> list[Any]:
        """Return what a model answers to each example."""

    @abstractmethod
    def outcome(self, examples: Sequence[Example], answers: Sequence[Any], direction: str, notes: dict[str, Any]) -> Outcome:
        """Return the figures of answers."""

    @abstractmethod
    def texts(self, examples: Sequence[Example]) -> list[str]:
        """Return examples as texts."""

    @property
    def languages(self) -> list[str]:
        """See `Task`."""
        return list(self._entry.languages) or sorted(self._sets)

    @property
    def settings(self) -> dict[str, Any]:
        """See `Task`."""
        names = ("examples", "epochs", "batch_size", "learning_rate", "max_length")
        return {name: getattr(self._entry, name) for name in names}

    def data(self, language: str) -> str:
        """See `Task`."""
        judged = self._sets[language]
        return places.digest_of(file for file in (*self._learned, judged[0], judged[1]) if file)

    def sample(self, language: str) -> list[str]:
        """See `Task`."""
        return self.texts(self.read(*self._sets[language])[:SAMPLE])

    def judge(self, subject: Subject, language: str, seed: int | None) -> list[Outcome]:
        """See `Task`."""
        model = self._model(subject, seed or 0)
        file, labels = self._sets[language]
        examples = self.read(file, labels)
        answers = self.answer(model, self.rows(examples, subject), len(examples), subject)
        return [self.outcome(examples, answers, f"{LEARNED}→{language}", {"judged": file.name})]

    @property
    def _learned(self) -> list[Path]:
        """The files that a model is made from: training set, dev set and the labels of that."""
        return [self._train, *(file for file in self._dev or () if file)]

    @property
    def _dev(self) -> tuple[Path, Path | None] | None:
        """English dev and its labels; None where there is none, or it is what is learned."""
        found = self._splits.get(("dev", LEARNED))
        return None if found is None or found == self._train else (found, self._label_file(found))

    def _model(self, subject: Subject, seed: int) -> Any:
        """Return the model fine-tuned with a seed, made now unless it was before."""
        from mlctl.evaluation.finetuning.learning import saved

        identity = {
            "task": f"{self.card.task}-model",
            "revision": self.card.revision,
            "model": subject.identity,
            "settings": self.settings,
            "data": places.digest_of(self._learned),
            "seed": seed,
        }
        folder = subject.parts.folder(identity, lambda folder, scratch: self._fine_tune(subject, seed, folder, scratch))
        if self._loaded is None or self._loaded[0] != folder:
            self._loaded = None
            self._loaded = folder, saved(folder, len(self._labels), self.tagged, subject.device)
        return self._loaded[1]

    def _fine_tune(self, subject: Subject, seed: int, folder: Path, scratch: Path) -> None:
        from mlctl.evaluation.finetuning.learning import Budget, fine_tune, save
        from mlctl.modeling.encoders import load_classifier

        entry = self._entry
        budget = Budget(entry.epochs, entry.batch_size, entry.learning_rate, entry.max_length)
        examples = self.read(self._train, self._label_file(self._train))[: entry.examples or None]
        model = load_classifier(subject.folder, len(self._labels), self.tagged, seed).to(subject.device)
        rows, padding = self.rows(examples, subject), subject.tokenizer.pad_token_id
        save(model, fine_tune(model, rows, self.tagged, budget, seed, scratch, padding, self._judge_dev(subject)), folder)

    def _judge_dev(self, subject: Subject) -> Any:
        """Return what tells a model's figure on English dev, or None."""
        if self._dev is None:
            return None
        examples = self.read(*self._dev)
        rows = self.rows(examples, subject)

        def figure(model: Any) -> float:
            answers = self.answer(model, rows, len(examples), subject)
            return self.outcome(examples, answers, LEARNED, {}).figures[self.card.metric]

        return figure

    def _label_file(self, file: Path) -> Path | None:
        return self._label_files.get(file.name.removesuffix(".gz"))

    def _found(self, files: dict[str, Path]) -> dict[str, tuple[Path, Path | None]]:
        """Return what each language is judged on: its test set, or its dev set where there is no test set with answers."""
        self._splits: dict[tuple[str, str], Path] = {}
        for name, path in files.items():
            match = None if name.startswith(_LABELS) else _FILE.fullmatch(name)
            if match and codes.is_language(match["language"]):
                self._splits[match["split"], codes.canonical(match["language"])] = path
        chosen = {language: path for (split, language), path in sorted(self._splits.items()) if split == "dev"}
        chosen |= {language: path for (split, language), path in sorted(self._splits.items()) if split == "test"}
        return {language: (path, self._label_file(path)) for language, path in sorted(chosen.items())}
