"""Several runs on one page: finds their results, has the models tested against each other, writes the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.evaluation.statistics import run_comparison
from mlctl.reporting import run_comparison_page, tables
from storage import Manifest, Result, Store
from storage.run_log import RunLog
from tasks.export import find_run
from tasks.records import record_of
from tasks.stage import Ref, lineage

_STAGES = ("download", "clean", "translate", "align", "shard", "train", "evaluate")


def compare(store: Store, names: Sequence[str], page: Path) -> list[str]:
    """Write a page that sets runs side by side, and return their keys in its order.

    Args:
        store: where runs and keys are looked up.
        names: of each run its id or how that begins (`mlctl runs`), how the key of its report begins (`mlctl store ls`), or the folder
            of its report, which may lie in another store. The others are compared with the first.
        page: file to write.

    Raises:
        InputError: too few or too many, one that is not found, or the same result twice.
    """
    if not 2 <= len(names) <= run_comparison_page.MAX_RUNS:
        raise InputError(f"{len(names)} runs given", f"name two to {run_comparison_page.MAX_RUNS}: `mlctl runs` lists them")
    found = [_open(store, name) for name in names]
    _check_different(names, [one.key for one in found])
    paired = [_pair(found[0], other) for other in found[1:]]
    text = run_comparison_page.render([one.run for one in found], paired)
    page = page.expanduser().absolute()
    try:
        with Workspace(page.parent).part(page.name) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {page}: {error}", "name another file") from error
    return [one.key for one in found]


@dataclass(frozen=True)
class _Found:
    """A run with its results by stage, and what each of its scores asked."""

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


def _open(store: Store, name: str) -> _Found:
    results = lineage(_find(store, name))
    settings = results["report"].manifest.parts["settings"]["recipe"]
    folders = {stage: results[stage].folder for stage in _STAGES}
    run = run_comparison_page.ComparedRun(
        settings["name"],
        name if not Path(name).is_dir() else results["report"].manifest.key,
        {setting: value for setting, value in settings.items() if setting not in {"name", "report"}},
        [record_of(results[stage]) for stage in _STAGES],
        folders,
    )
    tables.protocol(folders["evaluate"])  # says what to do where an older mlctl judged
    digests = results["evaluate"].manifest.parts["outside"]
    return _Found(run, results, run_comparison.protocol_digests(folders["evaluate"], folders["shard"], digests, int(settings["seed"])))


def _find(store: Store, name: str) -> Ref:
    """Return the report that a name stands for."""
    if manifest := Manifest.read(Path(name).expanduser()):
        if manifest.stage != "report":
            raise InputError(f"{name} is a result of {manifest.stage}", "name the folder of a report")
        return Ref(stage="report", key=manifest.key, store=str(Path(name).expanduser().absolute().parents[1]))
    if any(run.id.startswith(name) for run in RunLog(store).runs()):
        return _ref(store, next(stage.key for stage in find_run(store, name).stages if stage.stage == "report"))
    keys = [result.manifest.key for result in store.results("report") if result.manifest.key.startswith(name)]
    if len(keys) != 1:
        found = "fits several reports" if keys else "is no run, no report and no folder of one"
        raise InputError(f"{name!r} {found} in {store.root}", "`mlctl runs` and `mlctl store ls` list what there is")
    return _ref(store, keys[0])


def _ref(store: Store, key: str) -> Ref:
    return Ref(stage="report", key=key, store=str(store.root))


def _check_different(names: Sequence[str], keys: Sequence[str]) -> None:
    for place, key in enumerate(keys):
        if key in keys[:place]:
            same = names[keys.index(key)]
            raise InputError(f"{names[place]} and {same} are one result ({key[:8]})", "name runs that came to different reports")


def _pair(first: _Found, other: _Found) -> run_comparison_page.Paired:
    both = first.questions.keys() & other.questions.keys()
    alike = {place for place in both if first.questions[place] == other.questions[place]}
    folders = first.run.folders["evaluate"], other.run.folders["evaluate"]
    resamples = int(tables.protocol(folders[0])["resamples"])
    return run_comparison_page.Paired(*run_comparison.compare_runs(*folders, alike, resamples, first.seed), not_comparable=sorted(both - alike))
