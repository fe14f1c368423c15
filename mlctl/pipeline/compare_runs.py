"""Compares several runs on one page: finds their results, tests their models against each other, writes the page."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlctl.errors import InputError
from mlctl.evaluation.statistics import run_comparison
from mlctl.pipeline.export import find_run
from mlctl.pipeline.page_file import write_text
from mlctl.pipeline.stage import Ref, lineage
from mlctl.pipeline.stage_records import stage_record
from mlctl.reporting import run_comparison_page, tables
from mlctl.stage_names import STAGE_NAMES
from storage import Manifest, Result, Store
from storage.input_links import link_files
from storage.run_log import RunLog
from storage.session import session

_STAGES = STAGE_NAMES[:-1]


def compare(store: Store, names: Sequence[str], page: Path) -> list[str]:
    """Write a page that compares runs, and return the keys of their reports in its order.

    Args:
        store: where runs and keys are looked up.
        names: one for each run: its id or a prefix (`mlctl runs`), a prefix of the key of its report (`mlctl store ls`), or the folder
            of its report, which may be in another store. The others are compared with the first.
        page: file to write.

    Raises:
        InputError: too few or too many names, a run that is not found, the same result twice, or a page that cannot be written.
    """
    with open_comparison(store, names) as comparison:
        text = run_comparison_page.render(comparison.runs, comparison.paired)
    write_text(page, text)
    return comparison.reports


@dataclass(frozen=True)
class RunComparison:
    """Runs to compare, the tests of each against the first, and the keys of their reports, in the same order."""

    runs: list[run_comparison_page.ComparedRun]
    paired: list[run_comparison_page.Paired]
    reports: list[str]


@contextlib.contextmanager
def open_comparison(store: Store, names: Sequence[str]) -> Iterator[RunComparison]:
    """Find runs and test their models against that of the first. Their folders exist while the block lasts.

    Args and errors: as of `compare`.
    """
    if not 2 <= len(names) <= run_comparison_page.MAX_RUNS:
        raise InputError(f"{len(names)} runs given", f"name two to {run_comparison_page.MAX_RUNS}: `mlctl runs` lists them")
    with session(store.root), tempfile.TemporaryDirectory() as links:
        runs = [_open(store, name, Path(links, str(number))) for number, name in enumerate(names)]
        _check_different(names, [run.key for run in runs])
        paired = [_pair(runs[0], other) for other in runs[1:]]
        yield RunComparison([run.run for run in runs], paired, [run.key for run in runs])


@dataclass(frozen=True)
class _OpenedRun:
    """A run with its results by stage, and an identity of the items behind each of its scores."""

    run: run_comparison_page.ComparedRun
    results: Mapping[str, Result]
    questions: Mapping[run_comparison.TaskLanguage, str]

    @property
    def key(self) -> str:
        """Key of the report."""
        return self.results["report"].manifest.key

    @property
    def seed(self) -> int:
        """The recipe's."""
        return int(self.run.settings["seed"])


def _open(store: Store, name: str, links: Path) -> _OpenedRun:
    results = lineage(_find(store, name))
    settings = results["report"].manifest.parts["settings"]["recipe"]
    folders: dict[str, Path] = {stage: link_files(results[stage], links / stage) for stage in _STAGES}
    run = run_comparison_page.ComparedRun(
        settings["name"],
        name if not Path(name).is_dir() else results["report"].manifest.key,
        {setting: value for setting, value in settings.items() if setting not in {"name", "report"}},
        [stage_record(results[stage]) for stage in _STAGES],
        folders,
    )
    tables.protocol(folders["evaluate"])  # raises an error with a remedy where an older mlctl evaluated
    digests = results["evaluate"].manifest.parts["outside"]
    return _OpenedRun(
        run, results, run_comparison.protocol_digests(folders["evaluate"], folders["shard"], digests, int(settings["seed"]))
    )


def _find(store: Store, name: str) -> Ref:
    """Return the report of a name."""
    if manifest := Manifest.read(Path(name).expanduser()):
        if manifest.stage != "report":
            raise InputError(f"{name} is a result of {manifest.stage}", "name the folder of a report")
        return Ref(stage="report", key=manifest.key, store=str(Path(name).expanduser().absolute().parents[1]))
    if RunLog(store).matching(name):
        return _ref(store, next(stage.key for stage in find_run(store, name).stages if stage.stage == "report"))
    keys = [result.manifest.key for result in store.results("report") if result.manifest.key.startswith(name)]
    if len(keys) != 1:
        problem = "matches several reports" if keys else "matches no run, no report and no folder of a report"
        raise InputError(f"{name!r} {problem} in {store.root}", "`mlctl runs` and `mlctl store ls` list them")
    return _ref(store, keys[0])


def _ref(store: Store, key: str) -> Ref:
    return Ref(stage="report", key=key, store=str(store.root))


def _check_different(names: Sequence[str], keys: Sequence[str]) -> None:
    for index, key in enumerate(keys):
        if key in keys[:index]:
            same = names[keys.index(key)]
            raise InputError(f"{names[index]} and {same} have the same report ({key[:8]})", "name runs with different reports")


def _pair(first: _OpenedRun, other: _OpenedRun) -> run_comparison_page.Paired:
    both = first.questions.keys() & other.questions.keys()
    alike = {score for score in both if first.questions[score] == other.questions[score]}
    folders = first.run.folders["evaluate"], other.run.folders["evaluate"]
    resamples = int(tables.protocol(folders[0])["resamples"])
    return run_comparison_page.Paired(
        *run_comparison.compare_runs(*folders, alike, resamples, first.seed), not_comparable=sorted(both - alike)
    )
