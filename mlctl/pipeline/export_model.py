"""Export of any encoder, of a folder or of the hub, without a run: for its variants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mlctl.config import Model
from mlctl.core.hashing import file_digest
from mlctl.errors import InputError
from mlctl.modeling.model_files import weight_files
from mlctl.modeling.model_sources import resolve, tokenizer_files, weights_digest
from mlctl.modeling.sentence_config import sentence_files
from mlctl.pipeline.export import Made, copy_files, write_record, writing_export
from mlctl.pipeline.export_text import Texts
from mlctl.pipeline.export_variants import Variants, apply_variants
from mlctl.reporting.export_card import CARD, write_plain_card

#: Of the encoder, its card and its licence, as far as it has them.
_FILES = ("config.json", "generation_config.json", CARD, "ATTRIBUTION.md", "LICENSE", "LICENSE.md", "LICENSE.txt", "NOTICE")


def export_model(folder: Path, name: str, variants: Variants) -> Made:
    """Write an encoder with its variants into a folder, atomically, and return what they changed.

    Args:
        folder: a new or empty folder, or an unchanged earlier export.
        name: folder or hub name of the encoder.
        variants: changes of the model, and their text.

    Raises:
        InputError: there is no such encoder, the folder holds something else, or a variant cannot be made.
    """
    variants.check()
    source = resolve(Model(name=name), "--model")
    with writing_export(folder) as part:
        copy_files(part, {file: (path, file_digest(path)) for file, path in _files(source)})
        if not (part / CARD).is_file():
            write_plain_card(part, Path(name).name, "" if Path(name).expanduser().is_dir() else name)
        made = apply_variants(part, variants, _no_text)
        write_record(part, {"model": {"name": name, "weights": weights_digest(source)}, **made})
    return made


def _no_text() -> Texts:
    raise InputError("--model: there is no text to count tokens on and to compare vectors on", "name files with --text")


def _files(source: Path) -> Iterator[tuple[str, Path]]:
    for file in (*(source / name for name in _FILES), *weight_files(source), *tokenizer_files(source)):
        if file.is_file():
            yield file.name, file
    yield from sentence_files(source).items()
