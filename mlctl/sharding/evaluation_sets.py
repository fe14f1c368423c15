"""Reading the sentences of the evaluation sets that the recipe names in `shard.decontaminate`."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterator
from pathlib import Path

from mlctl.config import EvaluationSet, Shard
from mlctl.core.hashing import file_digest
from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError
from mlctl.sharding.decontamination import EvaluationText

_TEXT = "# text = "
_CONLLU_COLUMNS = 10
_CHECKED_SENTENCES = 1000


def evaluation_texts(settings: Shard) -> list[EvaluationText]:
    """Return the recipe's evaluation sets as text that is kept out of training.

    Raises:
        InputError: a set has no file.
    """
    return [
        EvaluationText(
            rule=f"decontamination: {evaluation_set.name}",
            name=evaluation_set.name,
            files=[path.name for path in files(evaluation_set)],
            sentences=sentences(evaluation_set),
        )
        for evaluation_set in settings.decontaminate
    ]


def evaluation_set_digests(settings: Shard) -> dict[str, str]:
    """Return the digests (sha256) of all files of the recipe's evaluation sets, by `<set>/<index>/<file name>`."""
    return {
        f"{evaluation_set.name}/{index}/{path.name}": file_digest(path)
        for evaluation_set in settings.decontaminate
        for index, path in enumerate(files(evaluation_set))
    }


def check(settings: Shard) -> None:
    """Read the first sentences of every file of the recipe's evaluation sets, so that errors show before hours of work.

    Raises:
        InputError: a file does not exist, or its first thousand sentences cannot be read; the message names file and line.
    """
    for evaluation_set in settings.decontaminate:
        for path in files(evaluation_set):
            for _ in itertools.islice(_file_sentences(path, evaluation_set), _CHECKED_SENTENCES):
                pass


def files(settings: EvaluationSet) -> list[Path]:
    """Return the files of a set, sorted by name.

    Raises:
        InputError: there is none.
    """
    matches = sorted(glob.glob(settings.path))  # noqa: PTH207 - Path.glob takes no absolute pattern
    if paths := [Path(match) for match in matches if Path(match).is_file()]:
        return paths
    raise InputError(f"evaluation set {settings.name}: no file {settings.path}", "fix its path in shard.decontaminate")


def sentences(settings: EvaluationSet) -> Iterator[str]:
    """Yield the sentences of a set, file by file.

    Raises:
        InputError: a file does not exist, is damaged or not UTF-8, or a line lacks a column; the message names file and line.
    """
    for path in files(settings):
        yield from _file_sentences(path, settings)


def _file_sentences(path: Path, settings: EvaluationSet) -> Iterator[str]:
    readers = {"lines": _read_lines, "tsv": _read_tsv, "conll": _read_conll}
    return filter(None, map(str.strip, readers[settings.format](path, settings)))


def _read_lines(path: Path, settings: EvaluationSet) -> Iterator[str]:
    del settings
    return (line for _, line in numbered_lines(path))


def _read_tsv(path: Path, settings: EvaluationSet) -> Iterator[str]:
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        fields = line.split("\t")
        if max(settings.columns) > len(fields):
            raise InputError(
                f"{path}, line {number} has {len(fields)} column(s), evaluation set {settings.name} needs {settings.columns}",
                "fix `columns` of this set in shard.decontaminate",
            )
        yield from (fields[column - 1] for column in settings.columns)


def _read_conll(path: Path, settings: EvaluationSet) -> Iterator[str]:
    """Yield the sentences of a CoNLL file: the text after `# text =` (CoNLL-U), else the tokens (first column) joined by spaces."""
    del settings
    text, tokens = "", list[str]()
    for _, line in numbered_lines(path):
        if not line.strip():
            yield text or " ".join(tokens)
            text, tokens = "", []
        elif line.startswith(_TEXT):
            text = line.removeprefix(_TEXT)
        else:
            fields = line.split("\t")
            tokens.append(fields[1] if len(fields) == _CONLLU_COLUMNS else fields[0])
    yield text or " ".join(tokens)
