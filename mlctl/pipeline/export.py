"""Export of a run into one folder that can be published: the model, its card, the attribution of its text, the figures."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlctl.core.files import atomic_write, discard
from mlctl.core.hashing import file_digest
from mlctl.core.write_errors import explain_write_errors, is_disk_full
from mlctl.errors import InputError
from mlctl.pipeline.export_text import Texts, text_of_pairs
from mlctl.pipeline.export_variants import UNCHANGED, Variants, apply_variants
from mlctl.pipeline.stage import require_result
from mlctl.reporting.regressions import regressions
from storage import Result, Store, StoreError
from storage.run_log import Run, RunLog
from storage.session import session

#: Records the run and the digest of each file: a later export replaces the files that are listed there and nothing else.
RECORD = "mlctl.json"

#: What the variants of an export changed, as JSON values by the name of the change.
Made = dict[str, Any]

_REPORT_FILES = ("README.md", "ATTRIBUTION.md", "figures.json")
_MODEL = "model/"


def export(
    store: Store,
    folder: Path,
    run_id: str = "",
    *,
    recipe_name: str = "",
    force: bool = False,
    variants: Variants = UNCHANGED,
) -> tuple[Run, Made]:
    """Write a run's folder atomically, and return the run and what the variants changed.

    Files are copies, not links: a result in the store never changes, whatever is done to the folder.

    Args:
        store: where the run's results are.
        folder: a new or empty folder, or an unchanged earlier export.
        run_id: a run's id or a prefix of it; empty: the newest run with a report.
        recipe_name: of the runs of which the newest is taken; empty: of all.
        force: export a model that is significantly worse than its base model, too.
        variants: changes of the model; their text is by default that which the run cleaned.

    Raises:
        InputError: no such run, its results are missing, its model is worse than the base model, the folder holds something else, or a
            variant cannot be made.
        StoreError: a file of a result is damaged.
    """
    run = find_run(store, run_id, recipe_name)
    key = next(stage.key for stage in run.stages if stage.stage == "report")
    if not force:
        check_not_worse(store, key, "to export it anyway: --force")
    return run, export_results(store, folder, key, run.id, variants)


def check_not_worse(store: Store, report_key: str, remedy: str) -> None:
    """Check that the model of a report is on no task significantly worse than the model that it started from.

    Args:
        store: where the report is.
        report_key: its key.
        remedy: how it is used all the same.

    Raises:
        InputError: it is worse; the message has the figures. Or the report is missing.
    """
    worse = regressions(require_result(store, "report", report_key).folder)
    if worse:
        raise InputError(
            f"the trained model is significantly worse than the base model: {'; '.join(worse)}",
            f"train it in another way (docs/results.md compares recipes), or use the base model; {remedy}",
        )


def export_results(store: Store, folder: Path, report_key: str, title: str, variants: Variants = UNCHANGED) -> Made:
    """Write the model and the files of a report into a folder, atomically; `title` says in the record what it is.

    Raises: as `export`.
    """
    variants.check()
    with session(store.root), writing_export(folder) as part:
        report = require_result(store, "report", report_key)
        train = require_result(store, "train", report.manifest.inputs["train"])
        copy_files(part, {**dict(_model_files(train)), **dict(_report_files(report))})

        def read_texts() -> Texts:
            cleaned = require_result(store, "clean", report.manifest.inputs["clean"])
            return text_of_pairs(cleaned.folder, variants.languages)

        made = apply_variants(part, variants, read_texts)
        keys = {result.manifest.stage: result.manifest.key for result in (train, report)}
        write_record(part, {"run": title, "results": keys, **made})
    return made


@contextlib.contextmanager
def writing_export(folder: Path) -> Iterator[Path]:
    """Yield the temporary folder to write an export in; it takes the place of `folder` when the block ends without error.

    Raises:
        InputError: the folder holds something else than an unchanged earlier export, or cannot be written.
    """
    folder = folder.expanduser().absolute()
    _check_replaceable(folder)
    with explain_write_errors(folder):
        try:
            with atomic_write(folder) as part, _discarding(part):
                part.mkdir()
                yield part
        except OSError as error:
            if is_disk_full(error):
                raise
            raise InputError(f"cannot write {folder}: {error}", "name another folder") from error


@contextlib.contextmanager
def _discarding(part: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        discard(part)
        raise


def copy_files(part: Path, sources: Mapping[str, tuple[Path, str]]) -> None:
    """Copy files, by their name in the folder: each with its digest.

    Raises:
        StoreError: a file is damaged.
    """
    for name, (source, digest) in sources.items():
        copy = part / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
        if file_digest(copy) != digest:
            raise StoreError(
                f"{source} is damaged\n  → run `mlctl store verify`, then the pipeline: the result is set aside and computed again"
            )


def write_record(part: Path, content: Mapping[str, Any]) -> None:
    """Write what an export is, and the digest of each of its files."""
    files = sorted(path for path in part.rglob("*") if path.is_file())
    record = {**content, "files": {path.relative_to(part).as_posix(): file_digest(path) for path in files}}
    (part / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def find_run(store: Store, run_id: str, recipe_name: str = "") -> Run:
    """Return the run of an id or of a prefix of it; of "" the newest run (of a recipe, where one is named) with a report.

    Raises:
        InputError: no run or several have that prefix, or the run has no report.
    """
    runs = RunLog(store).matching(run_id) if run_id else _runs_of(store, recipe_name)
    reported = [run for run in runs if any(s.stage == "report" and s.state in {"computed", "cached"} for s in run.stages)]
    if run_id and len(runs) != 1:
        matches = f"several runs ({', '.join(run.id for run in runs[:5])})" if runs else "no run"
        raise InputError(f"{run_id!r} matches {matches} of {store.root}", "`mlctl runs` lists them; a unique prefix is enough")
    if not reported:
        which = f"run {runs[0].id}" if run_id else f"no run {f'of {recipe_name} ' if recipe_name else ''}in {store.root}"
        raise InputError(f"{which} has {'no' if run_id else 'a'} report", "run the pipeline to its end: `mlctl run`")
    return reported[0]


def _runs_of(store: Store, recipe_name: str) -> list[Run]:
    return [run for run in RunLog(store).runs() if recipe_name in ("", run.recipe.get("name"))]


def _check_replaceable(folder: Path) -> None:
    """Accept a folder that does not exist, is empty, or is an unchanged earlier export."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    foreign = next(_foreign_content(folder), None) if folder.is_dir() else "it is a file"
    if foreign:
        raise InputError(f"{folder} is not an unchanged earlier export: {foreign}", "name a new folder, or move this one")


def _foreign_content(folder: Path) -> Iterator[str]:
    try:
        known: dict[str, str] = json.loads((folder / RECORD).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        yield f"it has no {RECORD}"
        return
    for path in sorted(path for path in folder.rglob("*") if not path.is_dir()):
        name = path.relative_to(folder).as_posix()
        if name != RECORD and (name not in known or file_digest(path) != known[name]):
            yield f"{name} is new or changed"


def _model_files(train: Result) -> Iterator[tuple[str, tuple[Path, str]]]:
    for file in train.manifest.files:
        if file.name.startswith(_MODEL):
            yield file.name.removeprefix(_MODEL), (train.folder / file.name, file.sha256)


def _report_files(report: Result) -> Iterator[tuple[str, tuple[Path, str]]]:
    digests = {file.name: file.sha256 for file in report.manifest.files}
    if missing := [name for name in _REPORT_FILES if name not in digests]:
        raise InputError(
            f"the report of this run has no {', '.join(missing)}", "an older version of mlctl made it: run the pipeline again"
        )
    for name in _REPORT_FILES:
        yield name, (report.folder / name, digests[name])
