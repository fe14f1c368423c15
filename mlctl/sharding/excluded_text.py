"""The text that is not trained on: held-out pairs, dev pairs and evaluation sets. Steps read it from a folder."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlctl.sharding.decontamination import DecontaminationIndex, Flags, IndexedSet, Vocabulary

Integers = npt.NDArray[np.int64]

# Rules of the funnel.
HELD_OUT, HELD_OUT_TEXT, HELD_OUT_PASSAGE = "held-out pair", "held-out text", "held-out passage"
DEV, DEV_TEXT, DEV_PASSAGE = "dev pair", "dev text", "dev passage"
#: Sets of the index that are not evaluation sets: the held-out pairs and the dev pairs.
OWN_SETS = 2


@dataclass(frozen=True)
class ExcludedText:
    """The text that is not trained on: identities of the held-out and of the dev pairs, and the index of evaluation sets.

    The first two sets of the index are the held-out pairs and the dev pairs.
    """

    heldout: Integers
    dev: Integers
    index: DecontaminationIndex

    def trainable(self, batch: pa.RecordBatch, identities: Integers, counts: Counter[str]) -> Flags:
        """Return which pairs, with their identities (n, 2), may be trained on; count the others by rule, and the matches of each set."""
        heldout: Flags = np.logical_or(*np.isin(identities, self.heldout).T)
        dev: Flags = np.logical_or(*np.isin(identities, self.dev).T) & ~heldout
        counts[HELD_OUT_TEXT] += int(np.count_nonzero(heldout))
        counts[DEV_TEXT] += int(np.count_nonzero(dev))
        not_heldout = ~(heldout | dev)
        trainable: Flags = not_heldout.copy()
        for indexed, match in zip(self.index.sets, self.index.matches(batch, identities), strict=True):
            flags = {
                "text": match.text & not_heldout,
                "passage": match.passage & not_heldout,
                "dropped": match.either & trainable,
            }
            counts.update({counter_key(indexed.rule, kind): int(np.count_nonzero(flag)) for kind, flag in flags.items()})
            trainable &= ~match.either
        return trainable

    def save(self, folder: Path) -> None:
        """Write the text to a folder, which is made."""
        folder.mkdir()
        arrays: dict[str, npt.NDArray[np.generic]] = {"heldout": self.heldout, "dev": self.dev}
        for number, indexed in enumerate(self.index.sets):
            arrays |= {f"identities-{number}": indexed.identities, f"passages-{number}": indexed.passages}
        np.savez(folder / "hashes.npz", allow_pickle=False, **arrays)
        sets = [{"rule": indexed.rule, "sentences": indexed.sentences} for indexed in self.index.sets]
        content = {"sets": sets, "vocabulary": self.index.vocabulary.words}
        (folder / "index.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> ExcludedText:
        """Read what `save` wrote."""
        content = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        vocabulary = Vocabulary()
        vocabulary.add(content["vocabulary"])
        with np.load(folder / "hashes.npz", allow_pickle=False) as arrays:
            sets = tuple(
                IndexedSet(item["rule"], item["sentences"], arrays[f"identities-{number}"], arrays[f"passages-{number}"])
                for number, item in enumerate(content["sets"])
            )
            return cls(arrays["heldout"], arrays["dev"], DecontaminationIndex(vocabulary, sets))


def counter_key(rule: str, kind: str) -> str:
    """Return the name of a count of one evaluation set: pairs with its text, with a passage, or dropped."""
    return f"{rule}\0{kind}"
