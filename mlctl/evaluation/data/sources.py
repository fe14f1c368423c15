"""Where a benchmark's files lie, and data sets in the hub's format."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mlctl.config.evaluate import BenchmarkDataset, BenchmarkFolder
from mlctl.core.hashing import file_digest
from mlctl.errors import InputError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_HUB_TIMEOUT = 10.0  # seconds to the first answer
_GZ = ".gz"


def files_of(source: BenchmarkFolder) -> dict[str, Path]:
    """Return the files in a folder and below by relative name without `.gz`; of two forms of one file the plain one.

    Raises:
        InputError: there is no such folder.
    """
    folder = Path(source.path).expanduser()
    if not folder.is_dir():
        raise InputError(f"evaluate.benchmarks: there is no folder {source.path!r}", "name the folder of the benchmark's files")
    found = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.suffix == _GZ)
    names: dict[str, Path] = {}
    for path in found:
        names.setdefault(path.relative_to(folder).as_posix().removesuffix(_GZ), path)
    return dict(sorted(names.items()))


def digest_of(files: Iterable[Path]) -> str:
    """Return a digest of the contents of files, in this order, wherever they lie."""
    return digest_of_values([file_digest(file) for file in files])


def digest_of_values(values: Sequence[Any]) -> str:
    """Return a digest of JSON values."""
    return hashlib.sha256(json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def dataset_identity(source: BenchmarkDataset) -> str:
    """Return `name@commit` of a data set of the hub, or the digest of a folder's files.

    Raises:
        InputError: there is neither a folder nor a data set of that name, or the hub has to be asked and cannot be reached.
    """
    folder = Path(source.dataset).expanduser()
    if folder.is_dir():
        return digest_of(path for path in sorted(folder.rglob("*")) if path.is_file())
    if not _HUB_NAME.fullmatch(source.dataset):
        raise InputError(
            f"evaluate.benchmarks: no folder {source.dataset!r}", "name a folder, or a data set of the hub such as a/b"
        )
    return f"{source.dataset}@{_commit(source)}"


def dataset_rows(source: BenchmarkDataset, subset: str, split: str) -> list[dict[str, Any]]:
    """Return all rows of a split.

    Raises:
        InputError: the library `datasets` is not there, or whatever is wrong with the data set, the subset or the network.
    """
    try:
        import datasets
    except ImportError:
        raise InputError(
            "benchmarks of kind huggingface need the library `datasets`", "install mlctl with the extra `corpora`"
        ) from None
    datasets.disable_progress_bars()
    folder = Path(source.dataset).expanduser()
    revision = None if folder.is_dir() else _commit(source)
    try:
        rows = datasets.load_dataset(str(folder) if folder.is_dir() else source.dataset, subset, split=split, revision=revision)
    except Exception as error:  # whatever the library and its transport raise: the files are anybody's
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{source.dataset}, subset {subset}, split {split} cannot be read: {reason}",
            "check name and revision in evaluate.benchmarks, or name the folder of the published files",
        ) from None
    return list(_spelt_out(rows))


def _spelt_out(rows: Any) -> Any:
    """Put names where a column has the numbers of class labels; -1, which says that nobody labelled it, stays."""
    kinds = {name: getattr(feature, "feature", feature) for name, feature in rows.features.items()}
    named = {name: kind.names for name, kind in kinds.items() if hasattr(kind, "names")}

    def spelt(value: Any, names: Sequence[str]) -> Any:
        if isinstance(value, list):
            return [spelt(one, names) for one in value]
        return names[value] if value >= 0 else str(value)

    for row in rows:
        yield {name: spelt(value, named[name]) if name in named else value for name, value in row.items()}


def dataset_subsets(source: BenchmarkDataset) -> list[str]:
    """Return the names of a data set's subsets.

    Raises:
        InputError: as `dataset_rows`.
    """
    try:
        import datasets

        folder = Path(source.dataset).expanduser()
        if folder.is_dir():
            return [str(name) for name in datasets.get_dataset_config_names(str(folder))]
        return [str(name) for name in datasets.get_dataset_config_names(source.dataset, revision=_commit(source))]
    except InputError:
        raise
    except Exception as error:  # as above
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"the subsets of {source.dataset} cannot be told: {reason}", "check its name and revision") from None


def _commit(source: BenchmarkDataset) -> str:
    if _COMMIT.fullmatch(source.revision):
        return source.revision
    from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(source.dataset, revision=source.revision, timeout=_HUB_TIMEOUT).sha)
    except Exception as error:  # whatever the hub client's transport raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{source.dataset!r} (revision {source.revision!r}) is no folder, and the hub does not say which commit it is: {reason}",
            "check name, revision and network; a commit as revision needs no asking",
        ) from None
