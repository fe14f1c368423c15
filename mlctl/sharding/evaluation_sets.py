"""The sentences of evaluation sets, from the files that the recipe names."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterator
from pathlib import Path

from mlctl.config import EvaluationSet, Shard
from mlctl.core.hashing import file_digest
from mlctl.core.text_lines import numbered_lines
from mlctl.errors import InputError
from mlctl.sharding.decontamination import Unseen

_TEXT = "# text = "
_CONLLU_COLUMNS = 10
_CHECKED = 1000


def files(settings: EvaluationSet) -> list[Path]:
    """Return the files of a set in the order of their names.

    Raises:
        InputError: there is none.
    """
    found = sorted(glob.glob(settings.path))  # noqa: PTH207 - Path.glob takes no absolute pattern
    if paths := [Path(path) for path in found if Path(path).is_file()]:
        return paths
    raise InputError(f"evaluation set {settings.name}: no file {settings.path}", "mend its path in shard.decontaminate")


def digests(settings: Shard) -> dict[str, str]:
    """Return the digests (sha256) of all files of the recipe's evaluation sets, by `<set>/<place>/<file name>`."""
    found = {}
    for known in settings.decontaminate:
        for place, path in enumerate(files(known)):
            found[f"{known.name}/{place}/{path.name}"] = file_digest(path)
    return found


def unseen(settings: Shard) -> list[Unseen]:
    """Return the recipe's evaluation sets as what training must not see.

    Raises:
        InputError: a set has no file.
    """
    return [
        Unseen(f"decontamination: {one.name}", one.name, [path.name for path in files(one)], sentences(one))
        for one in settings.decontaminate
    ]


def sentences(settings: EvaluationSet) -> Iterator[str]:
    """Yield the sentences of a set, file by file.

    Raises:
        InputError: a file is not there, damaged or not UTF-8, or a line lacks a column; the message names file and line.
    """
    for path in files(settings):
        yield from _sentences(path, settings)


def check(settings: Shard) -> None:
    """Look at the beginning of every file of the recipe's evaluation sets: what is wrong should not show after hours of work.

    Raises:
        InputError: a file is not there, or its first thousand sentences cannot be read; the message names file and line.
    """
    for known in settings.decontaminate:
        for path in files(known):
            for _ in itertools.islice(_sentences(path, known), _CHECKED):
                pass


def _sentences(path: Path, settings: EvaluationSet) -> Iterator[str]:
    readers = {"lines": _whole_lines, "tsv": _columns, "conll": _conll}
    return filter(None, map(str.strip, readers[settings.format](path, settings)))


def _whole_lines(path: Path, settings: EvaluationSet) -> Iterator[str]:
    del settings
    return (line for _, line in numbered_lines(path))


def _columns(path: Path, settings: EvaluationSet) -> Iterator[str]:
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        fields = line.split("\t")
        if max(settings.columns) > len(fields):
            problem = (
                f"{path}, line {number} has {len(fields)} column(s), evaluation set {settings.name} wants {settings.columns}"
            )
            raise InputError(problem, "mend `columns` of this set in shard.decontaminate")
        yield from (fields[column - 1] for column in settings.columns)


def _conll(path: Path, settings: EvaluationSet) -> Iterator[str]:
    """Yield the sentences of token lines: what `# text =` says (CoNLL-U), else the tokens (first column) apart by spaces."""
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
