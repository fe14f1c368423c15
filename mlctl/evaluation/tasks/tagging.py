"""UDPOS and PAN-X: a tag for each word."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkFolder, Panx, Udpos
from mlctl.evaluation.finetuning.chunk_f1 import counted, figures
from mlctl.evaluation.finetuning.examples import Sets, Tagged
from mlctl.evaluation.finetuning.folder_dataset import FolderSets
from mlctl.evaluation.finetuning.hub_dataset import DatasetSets
from mlctl.evaluation.finetuning.tagged_files import read_tagged, tagged_of_row
from mlctl.evaluation.metrics.item_scores import Outcome
from mlctl.evaluation.tasks.finetuned import FineTunedTask
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.finetuning.features import Row
    from mlctl.evaluation.model_under_test import ModelUnderTest

# XTREME's languages by its codes.
_XTREME = {
    "udpos": "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh".split(),
    "panx": (
        "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl tr ur vi yo zh"
    ).split(),
}

METADATA_BY_TASK = {
    "udpos": TaskMetadata(
        task="udpos",
        title="UDPOS",
        citation="Nivre et al. 2018 (Universal Dependencies 2.5); Hu et al. 2020 (XTREME, arXiv 2003.11080)",
        licence="CC BY-SA and CC BY-NC-SA, by treebank",
        languages=tuple(map(codes.canonical, _XTREME["udpos"])),
        metric="f1",
        revision=2,
        protocol="Fine-tuned on English; a word has the tag of its first subword; the epoch that does best on English dev is judged on each "
        "language's test set. F1 of runs of equal tags, as XTREME's script has it; accuracy stands beside it.",
        fine_tuned=True,
    ),
    "panx": TaskMetadata(
        task="panx",
        title="PAN-X (WikiANN)",
        citation="Pan et al. 2017 (ACL, P17-1178), as balanced by Rahimi et al. 2019 (arXiv 1902.00193)",
        licence="unstated (Wikipedia: CC BY-SA)",
        languages=tuple(
            "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl tr ur vi yo zh".split()
        ),
        metric="f1",
        revision=2,
        protocol="As UDPOS, F1 of entities (IOB2; an I- with no B- before it begins one). Where there is no test set with tags, dev is judged.",
        fine_tuned=True,
    ),
}
_TAGS = {
    "udpos": tuple("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X _".split()),
    "panx": tuple("O B-LOC I-LOC B-ORG I-ORG B-PER I-PER".split()),
}


class TaggingTask(FineTunedTask[Tagged]):
    """Either benchmark with its data."""

    tagged = True

    def __init__(self, entry: Udpos | Panx) -> None:
        metadata, self._names = METADATA_BY_TASK[entry.name], _TAGS[entry.name]
        super().__init__(entry, metadata, self._names, _sets(entry, metadata, self._names))

    def rows(self, examples: Sequence[Tagged], subject: ModelUnderTest) -> list[Row]:
        """See `FineTunedTask`."""
        from mlctl.evaluation.finetuning.features import rows_of_tags

        return rows_of_tags(examples, subject.tokenizer, self._labels, subject.longest(self._entry.max_length))

    def answer(self, model: Any, rows: Sequence[Row], examples: int, subject: ModelUnderTest) -> list[list[int]]:
        """See `FineTunedTask`."""
        from mlctl.evaluation.finetuning.predict import answered_tags

        padding, size = subject.tokenizer.pad_token_id, subject.settings.batch_rows
        return answered_tags(model, rows, examples, padding, size, subject.bf16)

    def outcome(
        self, examples: Sequence[Tagged], answers: Sequence[Sequence[int]], direction: str, notes: dict[str, Any]
    ) -> Outcome:
        """See `FineTunedTask`."""
        counts = counted([one.tags for one in examples], [[self._names[tag] for tag in tags] for tags in answers])
        items = [str(number) for number in range(len(examples))]
        return Outcome(
            self.metadata.task, direction, figures(counts), items, 2 * counts.right, counts.predicted + counts.gold, notes
        )

    def sentences(self, examples: Sequence[Tagged]) -> list[str]:
        """See `FineTunedTask`."""
        return [" ".join(one.words) for one in examples]


def _sets(entry: Udpos | Panx, metadata: TaskMetadata, known: Sequence[str]) -> Sets[Tagged]:
    if isinstance(entry.source, BenchmarkFolder):
        return FolderSets(entry.source, entry.train, metadata.title, partial(read_tagged, known=known, name=metadata.title))
    named = {codes.canonical(code): code for code in _XTREME[entry.name]}
    subsets = {language: (_subset(entry.name, language, code), code) for language, code in named.items()}
    return DatasetSets(
        entry.source, entry.train, metadata.title, subsets, partial(tagged_of_row, known=known, name=metadata.title)
    )


def _subset(benchmark: str, language: str, code: str) -> str:
    """Return what XTREME's data set calls a language: by its name in one benchmark, by its code in the other."""
    if benchmark == "panx":
        return f"PAN-X.{code}"
    return f"udpos.{'Tagalog' if code == 'tl' else codes.name(language)}"
