"""Source kind `mine`: pairs mined from monolingual text in files on disk."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mlctl.config import MineSource
from mlctl.core.distribution import install_extras
from mlctl.corpora.encoded_corpus import EncodedCorpus, Encoder
from mlctl.corpora.sources.encoded import EncodedKind
from mlctl.corpora.sources.source_kind import FetchContext
from mlctl.corpora.sources.text_patterns import FoundText, find_text
from mlctl.corpora.sources.web import slug
from mlctl.errors import InputError

if TYPE_CHECKING:
    from mlctl.mining.mining_job import MiningJob, TargetText, TextSide


class MineKind(EncodedKind[MineSource]):
    """Monolingual text on disk in both languages."""

    def validate(self) -> None:
        """Check that there are files, an encoder, and FAISS if it is needed for certain."""
        super().validate()
        if self.source.index == "ivf" and importlib.util.find_spec("faiss") is None:
            raise InputError(f"{self.name}: index ivf needs FAISS, which is not installed", f"run `{install_extras('mine')}`")

    def text_files(self) -> Mapping[str, Path]:
        """Return the files of both sides, and those of dev."""
        files = {f"{side}/{text.name}": text.path for side, texts in self._sides.items() for text in texts}
        dev = {f"dev/{path.name}": path for target in self.targets for path in self._dev(target)}
        return files | dev

    def open(self, context: FetchContext) -> Iterator[EncodedCorpus]:
        """Yield the corpus, which has yet to be mined."""
        from mlctl.corpora.mined_corpus import MinedCorpus

        encoder = self.encoder(context)
        files = list(dict.fromkeys(self.text_files().values()))
        yield MinedCorpus(self.source, self.targets, files, encoder, self._job(encoder, context.scratch))

    def _job(self, encoder: Encoder, scratch: Path) -> MiningJob:
        from mlctl.mining.mining_job import MiningJob

        settings = self.source.model_copy(update={"targets": ()})
        sides = tuple(self._text_side(name, texts) for name, texts in self._sides.items())
        targets = tuple(map(self._target_text, self.targets))
        job = MiningJob(settings=settings, encoder=encoder.folder, sides=sides, targets=targets, root=scratch)
        digest = hashlib.sha256(job.model_dump_json(exclude={"root"}).encode()).hexdigest()[:12]
        return job.model_copy(update={"root": scratch / "mining" / f"{slug(self.name)}-{digest}"})

    def _text_side(self, name: str, texts: list[FoundText]) -> TextSide:
        from mlctl.mining.mining_job import TextSide
        from mlctl.mining.sentence_files import TextFile

        language = self.languages.source if name.startswith("source") else name.partition(".")[2]
        return TextSide(
            name=name,
            language=language,
            files=tuple(TextFile(path=text.path.absolute(), name=text.name) for text in texts),
        )

    def _target_text(self, target: str) -> TargetText:
        from mlctl.mining.mining_job import TargetText

        dev = tuple(path.absolute() for path in self._dev(target))
        return TargetText(target=target, source_side=self._source_side(target), target_side=f"target.{target}", dev=dev)

    def _source_side(self, target: str) -> str:
        """Return the name of the side in the source language: one for all target languages, unless its pattern has {target}."""
        return f"source.{target}" if "{target}" in self.source.source else "source"

    @cached_property
    def _sides(self) -> dict[str, list[FoundText]]:
        """The files of each side."""
        if len(self.targets) > 1 and "{target}" not in self.source.target:
            problem = f"{self.name}: target {self.source.target!r} names the same text for {', '.join(self.targets)}"
            raise InputError(problem, "write {target} in it, or set the source's targets")
        sides = {
            self._source_side(target): find_text(self.source.source, target, f"{self.name}: source") for target in self.targets
        }
        return sides | {
            f"target.{target}": find_text(self.source.target, target, f"{self.name}: target") for target in self.targets
        }

    def _dev(self, target: str) -> list[Path]:
        """Return the files of the sentences to plant, source and target."""
        pattern = self.source.dev
        if pattern and "{language}" not in pattern:
            raise InputError(
                f"{self.name}: dev {pattern!r} names one file for both sides", "write {language} where the side's code is"
            )
        filled = [pattern.replace("{language}", tag).replace("{target}", target) for tag in (self.languages.source, target)]
        paths = [Path(path).expanduser() for path in filled if path]
        if missing := [path for path in paths if not path.is_file()]:
            raise InputError(f"{self.name}: dev: no file {missing[0]}", "correct the pattern of dev")
        return paths
