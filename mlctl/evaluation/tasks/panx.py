"""PAN-X: named entity recognition in Wikipedia (WikiANN)."""

from __future__ import annotations

from mlctl.evaluation.tasks.metadata import TaskMetadata
from mlctl.evaluation.tasks.tagging import TaggingTask

_XTREME_CODES = (
    "af ar bg bn de el en es et eu fa fi fr he hi hu id it ja jv ka kk ko ml mr ms my nl pt ru sw ta te th tl tr ur vi yo zh"
).split()


class PanxTask(TaggingTask):
    """See `FineTunedTask`."""

    metadata = TaskMetadata(
        task="panx",
        title="PAN-X (WikiANN)",
        citation="Pan et al. 2017 (ACL, P17-1178), as balanced by Rahimi et al. 2019 (arXiv 1902.00193)",
        licence="unstated (Wikipedia: CC BY-SA)",
        languages=tuple(_XTREME_CODES),
        metric="f1",
        revision=3,
        protocol="As UDPOS, with the F1 of entities (IOB2; an I- tag without a preceding B- tag begins an entity). If there is no "
        "test set with tags, dev is evaluated.",
        fine_tuned=True,
    )
    labels = tuple("O B-LOC I-LOC B-ORG I-ORG B-PER I-PER".split())
    xtreme_codes = _XTREME_CODES
    tags_entities = True

    @staticmethod
    def xtreme_subset(language: str, code: str) -> str:
        """Return e.g. "PAN-X.de"."""
        del language
        return f"PAN-X.{code}"
