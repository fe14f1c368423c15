"""The steps of one target language: measure the backend of each direction, then translate the parts.

Each step commits a file. A part's pairs mark it as finished; its rejected rows are written before them.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from mlctl import config, schema
from mlctl.core.arrow import row_count, row_range
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.translation import ctranslate2_conversion, output_checks, quality
from mlctl.translation.backend import BackendFiles, Translation
from mlctl.translation.backend_pool import BackendPool, process_pool
from mlctl.translation.fault_counter import describe_fault
from mlctl.translation.parts import Direction, TranslateFunction, directions, translate_rows
from mlctl.translation.quality import BELOW_THRESHOLD

#: measure: the backend of a direction; translate: the texts of a part, in its directions.
Phase = Literal["measure", "translate"]

#: The translations of a part that the translation memory has: `column` is the translated one.
KNOWN = pa.schema([(name, pa.string()) for name in ("column", "text", "translation")])


class LanguageJob(BaseModel):
    """The translation of one target language's texts. Workers get it as JSON.

    Attributes:
        settings: of the recipe, with the precision of the run's machine.
        source: the recipe's source language.
        target: the target language.
        columns: the columns of PAIR in which translations are missing: "target" (forward), "source" (backward).
        file: the untranslated texts.
        root: folder of the result.
        cache: folder of converted models.
        memory: file of the translation memory, for a backend that stores its answers itself; None: without one.
    """

    model_config = ConfigDict(frozen=True)

    phases: ClassVar[tuple[Phase, ...]] = ("measure", "translate")
    preparation: ClassVar[tuple[Phase, ...]] = ()  # language after language: a worker keeps the models of its last step

    settings: config.Translate
    source: str
    target: str
    columns: tuple[str, ...]
    file: Path
    root: Path
    cache: Path
    memory: Path | None = None

    @property
    def workspace(self) -> Workspace:
        """Where the result is written."""
        return Workspace(self.root)

    @property
    def scratch(self) -> Workspace:
        """Where measurements and known translations are stored for the next steps."""
        return Workspace(self.workspace.scratch / f"translate-{self.target}")

    @property
    def files(self) -> BackendFiles:
        """The files that the backends of all languages share."""
        return BackendFiles(self.cache, self.memory, usage_file(self.workspace))

    @functools.cached_property
    def directions(self) -> list[Direction]:
        """The directions that have text."""
        return [direction for direction in self.both_directions if direction.translation_column in self.columns]

    @property
    def both_directions(self) -> tuple[Direction, Direction]:
        """The forward direction and the backward one, with or without text."""
        return directions(self.source, self.target)

    @functools.cached_property
    def part_sizes(self) -> list[int]:
        """The number of texts of each part."""
        rows, size = row_count(self.file), self.settings.part_rows
        return [min(size, rows - first) for first in range(0, rows, size)]

    @property
    def finished(self) -> bool:
        """Whether everything is measured and translated."""
        return not any(self.unfinished(phase) for phase in self.phases)

    def unfinished(self, phase: Phase) -> list[int]:
        """Return the numbers of a phase's steps that are not done yet: of directions, or of parts."""
        if phase == "measure":
            return [number for number, direction in enumerate(self.directions) if not self.is_measured(direction)]
        return [part for part in range(len(self.part_sizes)) if not self.is_finished(part)]

    def is_measured(self, direction: Direction) -> bool:
        """Return whether the backend of a direction is measured."""
        return self.scratch.has(_measurement_name(direction))

    def is_finished(self, part: int) -> bool:
        """Return whether a part is translated and unchanged."""
        return self.workspace.has(self.pairs_name(part)) and not self.workspace.is_lost(self.rejected_name(part))

    def pairs_name(self, part: int) -> str:
        """Return the name of the file with a part's pairs."""
        return f"pairs/{self.target}/{part:05d}.parquet"

    def rejected_name(self, part: int) -> str:
        """Return the name of the file with a part's rejected rows, which is only written if there are any."""
        return f"rejected/{self.target}/{part:05d}.parquet"

    def known_name(self, part: int) -> str:
        """Return the name of the file, in the scratch folder, with a part's known translations (KNOWN)."""
        return f"known/{part:05d}.parquet"

    def measurement(self, direction: Direction) -> dict[str, Any]:
        """Return the measurement of a direction: `identity` of its backend, `rows` (QUALITY), `warnings`, the reason why its outputs are
        not used (`stopped`), or "", and the `accepted` translations by text.
        """
        result: dict[str, Any] = json.loads(self._measurement_file(direction).read_text(encoding="utf-8"))
        return result

    def translation_identity(self, direction: Direction) -> dict[str, str]:
        """Return what determines the translation of a text: its backend, and how long text is split."""
        limits = {"max_tokens": str(self.settings.max_tokens), "long_text": self.settings.long_text}
        return {**self.measurement(direction)["identity"], **limits}

    def known(self, part: int) -> dict[tuple[str, str], str]:
        """Return the translations of a part that the translation memory has, by column and text, from the file for its step."""
        rows = pq.read_table(self.scratch.path(self.known_name(part))).to_pylist()
        return {(row["column"], row["text"]): row["translation"] for row in rows}

    def read(self, part: int, columns: Sequence[str] = tuple(schema.PAIR.names)) -> pa.RecordBatch:
        """Return the rows of a part."""
        first = part * self.settings.part_rows
        batches = row_range([self.file], first, first + self.part_sizes[part], columns)
        return pa.Table.from_batches(list(batches)).combine_chunks().to_batches()[0]

    def counts(self, parts: Iterable[int]) -> tuple[int, Counter[str]]:
        """Return how many texts of finished parts were translated, and how many each rule rejected."""
        translated, rules = 0, Counter[str]()
        for part in parts:
            translated += row_count(self.workspace.path(self.pairs_name(part)))
            rules.update(self._rejected(part)["rule"].to_pylist())
        return translated, rules

    def example_of_fault(self, part: int) -> str:
        """Return a text of a finished part with its faulty output and the rule, for a message; "" without any."""
        for row in self._rejected(part).to_pylist():
            if row["rule"] in output_checks.RULES:
                text, output = (row["target"], row["source"]) if row["synthetic"] == "source" else (row["source"], row["target"])
                text, output = (text, output) if text else (output, text)  # an empty output has no synthetic side
                return describe_fault(text, output or "", row["rule"])
        return ""

    def measure(self, number: int, pool: BackendPool) -> None:
        """Measure the backend of a direction."""
        direction, warnings = self.directions[number], list[str]()
        source, target = direction.source, direction.target
        used = [(direction.source, direction.target) for direction in self.directions[: number + 1]]
        backend, reverse = pool.get(source, target), pool.get_if_local(target, source, used)
        texts = direction.texts(self.file)
        accepted: dict[str, str] = {}
        rows = quality.measure(self.settings, backend, self.target, source, target, texts, reverse, warnings.append, accepted)
        measurement = {
            "identity": backend.identity(),
            "rows": rows,
            "stopped": quality.below_min_chrf(self.settings, rows),
            "warnings": warnings,
            "accepted": accepted,
        }
        with self.scratch.part(_measurement_name(direction)) as path:
            path.write_text(json.dumps(measurement), encoding="utf-8")

    def translate(self, part: int, has_known: bool, pool: BackendPool) -> None:
        """Translate a part; `has_known`: the translation memory has some of it."""
        known = self.known(part) if has_known else {}
        functions = {direction: self._function(direction, known, pool) for direction in self.directions}
        pairs, rejected = translate_rows(self.read(part), functions)
        self.workspace.discard(self.rejected_name(part))
        if rejected.num_rows:
            with self.workspace.part(self.rejected_name(part)) as path:
                pq.write_table(rejected, path, compression="zstd")
        with self.workspace.part(self.pairs_name(part)) as path:
            pq.write_table(pairs, path, compression="zstd")

    def reads(self, phase: Phase, part: int, has_known: bool) -> list[Path]:
        """Return the files and folders below the store that a step reads."""
        if phase == "measure":
            return [self.file]
        measurements = [self._measurement_file(direction) for direction in self.directions]
        converted = [
            folder
            for direction in self.directions
            for folder in ctranslate2_conversion.converted_folders(self.measurement(direction)["identity"], self.cache)
        ]
        known = [self.scratch.path(self.known_name(part))] if has_known else []
        return [self.file, *measurements, *known, *dict.fromkeys(converted)]

    def _function(self, direction: Direction, known: dict[tuple[str, str], str], pool: BackendPool) -> TranslateFunction:
        """Return the function that translates in a direction: the backend for all texts but the known ones."""
        measurement, column = self.measurement(direction), direction.translation_column

        def translate(texts: Sequence[str], source: str, target: str) -> list[Translation]:
            new = [text for text in texts if (column, text) not in known]
            if new:
                backend = pool.get(source, target)
                _check_identity(direction, backend.identity(), measurement["identity"])
                translations = iter(backend.translate(new, source, target))
            return [Translation(known[column, text]) if (column, text) in known else next(translations) for text in texts]

        return _reject_all if measurement["stopped"] else translate

    def _rejected(self, part: int) -> pa.Table:
        name = self.rejected_name(part)
        return pq.read_table(self.workspace.path(name)) if self.workspace.has(name) else schema.REJECTED.empty_table()

    def _measurement_file(self, direction: Direction) -> Path:
        return self.scratch.path(_measurement_name(direction))


class TranslateStep(BaseModel):
    """A step of a language's job: it measures the direction `number`, or translates the part `number`.

    Attributes:
        job: of the language.
        phase: what the step does.
        number: of the direction or the part.
        device: "cpu", "cuda", or one GPU of this machine ("cuda:1").
        threads: CPU threads of the backend.
        has_known: whether the translation memory has translations of the part.
    """

    model_config = ConfigDict(frozen=True)

    remedy: ClassVar[str] = "if memory ran out, lower translate.workers; a second run resumes after the finished parts"
    timeout: ClassVar[None] = None

    job: LanguageJob
    phase: Phase
    number: int
    device: str
    threads: int
    has_known: bool = False

    @property
    def description(self) -> str:
        """What the step does; error messages begin with it."""
        if self.phase == "measure":
            return f"measuring the backend {self.job.directions[self.number].name}"
        return f"translation of {self.job.target}, part {self.number:05d}"

    @property
    def reads(self) -> Sequence[Path]:
        """Files and folders below the store that the step reads: inputs, and parts that earlier steps wrote."""
        return self.job.reads(self.phase, self.number, self.has_known)

    @property
    def pool(self) -> BackendPool:
        """The backends of this process."""
        settings = self.job.settings.model_copy(update={"device": self.device, "threads": self.threads})
        return process_pool(settings, self.job.files)

    def run(self) -> None:
        """Do the work in this process."""
        if self.phase == "measure":
            self.job.measure(self.number, self.pool)
        else:
            self.job.translate(self.number, self.has_known, self.pool)


def usage_file(workspace: Workspace) -> Path:
    """Return the file that counts the tokens of a server's answers. It survives a crash."""
    return workspace.scratch / "usage.txt"


def _measurement_name(direction: Direction) -> str:
    return f"measured-{direction.translation_column}.json"


def _reject_all(texts: Sequence[str], source: str, target: str) -> list[Translation]:
    """Reject all texts: the backend is not good enough."""
    del source, target
    return [Translation("", BELOW_THRESHOLD)] * len(texts)


def _check_identity(direction: Direction, identity: dict[str, str], measured: dict[str, str]) -> None:
    """Check that the backend is the one that was measured: another machine can have another model, program or version."""
    if identity != measured:
        names = ", ".join(sorted(name for name in {*identity, *measured} if identity.get(name) != measured.get(name)))
        raise InputError(
            f"translate: the backend {direction.name} is not the one that was measured: its {names} differ",
            "install the same models, programs and versions on all machines, and change none while a run uses them",
        )
