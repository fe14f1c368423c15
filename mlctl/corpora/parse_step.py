"""A step of the stage: reads the text of one corpus in one target language from files on disk, and writes it as a part."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from mlctl.core.unpack_limits import active_limits, stream_limits
from mlctl.core.workspace import Workspace
from mlctl.corpora.parquet_io import Provenance, write
from mlctl.corpora.text_files import TextFiles


class ParseStep(BaseModel):
    """Reads `texts`, one after another, and writes `part` of the workspace at `root`. Workers get it as JSON."""

    model_config = ConfigDict(frozen=True)

    remedy: ClassVar[str] = "if memory ran out, lower download.workers; a second run resumes after the finished parts"
    timeout: ClassVar[None] = None

    texts: tuple[TextFiles, ...]
    provenance: Provenance
    root: Path
    part: str
    max_unpack_ratio: float

    @property
    def description(self) -> str:
        """What the step does; error messages begin with it."""
        return f"download: reading {self.provenance.corpus} ({self.provenance.target_language})"

    @property
    def reads(self) -> list[Path]:
        """The files that the step reads."""
        return [path for text in self.texts for path in text.paths]

    @property
    def bytes(self) -> int:
        """Size of the files, packed or not."""
        return sum(path.stat().st_size for path in self.reads)

    def run(self) -> None:
        """Do the work in this process."""
        rows = (row for text in self.texts for row in text.rows())
        limits = dataclasses.replace(stream_limits(), ratio=self.max_unpack_ratio)
        with active_limits(limits), Workspace(self.root).part(self.part) as path:
            write(path, rows, self.provenance)
