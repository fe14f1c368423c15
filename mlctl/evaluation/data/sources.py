"""Sources of benchmark data: folders of published files, and data sets in the hub's format."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mlctl.config.evaluate import BenchmarkDataset, BenchmarkFolder
from mlctl.core.distribution import install_extras
from mlctl.core.hashing import file_digest
from mlctl.errors import InputError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
_HUB_TIMEOUT = 10.0  # seconds to the first response
_GZ = ".gz"


def benchmark_files(source: BenchmarkFolder) -> dict[str, Path]:
    """Return the files in a folder and its subfolders by relative name without `.gz`; a plain file precedes a compressed one.

    Raises:
        InputError: the folder does not exist.
    """
    folder = Path(source.path).expanduser()
    if not folder.is_dir():
        raise InputError(f"evaluate.benchmarks: no folder {source.path!r}", "set `path` to the folder of the benchmark's files")
    paths = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.suffix == _GZ)
    files: dict[str, Path] = {}
    for path in paths:
        files.setdefault(path.relative_to(folder).as_posix().removesuffix(_GZ), path)
    return dict(sorted(files.items()))


def files_digest(files: Iterable[Path]) -> str:
    """Return a digest of the contents of files in the given order; their paths do not matter."""
    return json_digest([file_digest(file) for file in files])


def json_digest(values: Sequence[Any]) -> str:
    """Return a digest of JSON values."""
    return hashlib.sha256(json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()


def data_remedy(title: str) -> str:
    """Return the remedy for missing or malformed data of the benchmark `title`."""
    return f"set the source of {title} in evaluate.benchmarks to its files as published: docs/evaluate.md lists the formats"


def dataset_identity(source: BenchmarkDataset) -> str:
    """Return `name@commit` of a data set on the hub, or the digest of a folder's files.

    Raises:
        InputError: there is neither a folder nor a data set of that name, or the hub is needed and cannot be reached.
    """
    folder = Path(source.dataset).expanduser()
    if folder.is_dir():
        return files_digest(path for path in sorted(folder.rglob("*")) if path.is_file())
    if not _HUB_NAME.fullmatch(source.dataset):
        raise InputError(
            f"evaluate.benchmarks: no folder {source.dataset!r}", "name a folder, or a data set on the hub such as a/b"
        )
    return f"{source.dataset}@{_commit(source)}"


def dataset_rows(source: BenchmarkDataset, subset: str, split: str) -> list[dict[str, Any]]:
    """Return all rows of a split.

    Raises:
        InputError: the library `datasets` is not installed, or the data set, the subset or the network fails.
    """
    try:
        import datasets
    except ImportError:
        raise InputError(
            "benchmarks of kind huggingface need the library `datasets`", f"run `{install_extras('corpora')}`"
        ) from None
    datasets.disable_progress_bars()
    folder = Path(source.dataset).expanduser()
    revision = None if folder.is_dir() else _commit(source)
    try:
        rows = datasets.load_dataset(str(folder) if folder.is_dir() else source.dataset, subset, split=split, revision=revision)
    except Exception as error:  # the library and its transport raise all kinds of errors, and the files may be anything
        raise InputError(
            f"{source.dataset}, subset {subset}, split {split} cannot be read: {_first_line(error)}",
            "check `dataset` and `revision` in evaluate.benchmarks, or use a folder of the published files",
        ) from None
    return list(_with_label_names(rows))


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
        problem = f"the subsets of {source.dataset} cannot be listed: {_first_line(error)}"
        raise InputError(problem, "check `dataset` and `revision` in evaluate.benchmarks") from None


def _with_label_names(rows: Any) -> Iterator[dict[str, Any]]:
    """Replace the ids of class labels by their names; -1, which marks a row without a label, stays."""
    features = {name: getattr(feature, "feature", feature) for name, feature in rows.features.items()}
    label_names = {name: feature.names for name, feature in features.items() if hasattr(feature, "names")}

    def name_of(value: Any, names: Sequence[str]) -> Any:
        if isinstance(value, list):
            return [name_of(item, names) for item in value]
        return names[value] if value >= 0 else str(value)

    for row in rows:
        yield {name: name_of(value, label_names[name]) if name in label_names else value for name, value in row.items()}


def _commit(source: BenchmarkDataset) -> str:
    if _COMMIT.fullmatch(source.revision):
        return source.revision
    from huggingface_hub import HfApi

    try:
        return str(HfApi().dataset_info(source.dataset, revision=source.revision, timeout=_HUB_TIMEOUT).sha)
    except Exception as error:  # the hub client's transport raises all kinds of errors
        raise InputError(
            f"{source.dataset!r} (revision {source.revision!r}) is not a folder, and the hub did not return its commit: "
            f"{_first_line(error)}",
            "check name, revision and network; a revision that is a commit needs no request",
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
