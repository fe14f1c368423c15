"""What an export changes in the model: the vocabulary of some languages alone, and ONNX files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlctl.pipeline.export_text import Texts, text_of_files

_COMPARED = 200  # sentences that ONNX files are compared with


@dataclass(frozen=True)
class Variants:
    """What an export changes.

    Attributes:
        languages: canonical tags of those whose vocabulary is kept; empty: the whole vocabulary.
        onnx: write the encoder as ONNX.
        int8: write it as ONNX with weights of eight bits.
        text: files with a sentence a line, see `text_of_files`; empty: the text of the run.
    """

    languages: tuple[str, ...] = ()
    onnx: bool = False
    int8: bool = False
    text: tuple[str, ...] = ()

    @property
    def need_text(self) -> bool:
        """Whether text is read."""
        return bool(self.languages or self.onnx or self.int8)

    def check(self) -> None:
        """Raise an InputError if a library is missing."""
        if self.onnx or self.int8:
            from mlctl.modeling.onnx_export import check_libraries

            check_libraries()


#: The model as it is.
UNCHANGED = Variants()


def apply_variants(folder: Path, variants: Variants, read_texts: Callable[[], Texts]) -> dict[str, Any]:
    """Change the model in a folder, tell it in its card, and return what was done as JSON values: `vocabulary`, `onnx`.

    Args:
        folder: a Hugging Face folder with a model card; of no use after an error.
        variants: what is changed.
        read_texts: returns the text that the vocabulary is counted on and vectors are compared on, if the variants name none.

    Raises:
        InputError: a library or text is missing, or the encoder is of a kind that cannot be changed so.
    """
    if not variants.need_text:
        return {}
    texts = text_of_files(variants.text, variants.languages) if variants.text else read_texts()
    done: dict[str, Any] = {}
    if variants.languages:
        from mlctl.modeling.vocabulary_trimming import trim_vocabulary

        done["vocabulary"] = dataclasses.asdict(trim_vocabulary(folder, texts))
    if variants.onnx or variants.int8:
        from mlctl.modeling.onnx_export import export_onnx

        files = export_onnx(folder, list(_in_turn(texts)), variants.onnx, variants.int8)
        done["onnx"] = [file._asdict() for file in files]
    from mlctl.reporting.export_card import add_variants

    add_variants(folder, variants.languages, done)
    return done


def _in_turn(texts: Texts) -> Iterator[str]:
    """Yield sentences of all languages, as many of each, evenly spaced over its text."""
    share = -(-_COMPARED // len(texts))
    for of_language in texts.values():
        count = min(share, len(of_language))
        yield from (of_language[number * len(of_language) // count] for number in range(count))
