"""What a run would cost, estimated from earlier runs in the store: every figure names the result that it was measured on."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlctl.config import Recipe
from mlctl.errors import InputError
from mlctl.modeling.model_kind import resolved_settings
from mlctl.pipeline.plan import StagePlan, plan
from mlctl.pipeline.stages import stage_named
from storage import Manifest, Result, Store
from storage.store import differences

if TYPE_CHECKING:
    from mlctl.corpora import SourceState

Counts = dict[str, float]

_MAX_REASONS = 2
_MAX_RESULTS = 25  # newest results that a rate is the median of
_SIMILAR = 10  # factor between two amounts of work of a similar size
_FIXED_SIZE = {"train", "evaluate", "report"}  # their results do not grow with the work


@dataclass(frozen=True)
class Estimate:
    """What a stage would do and cost.

    Attributes:
        plan: the stage as the store stands.
        why: why it would run; of a cached one, when it was made.
        work: number of `unit`s to process; None: unknown.
        seconds: wall time of the work; None: unknown. `processes` run at a time, on GPUs if `gpu`.
        bytes: size of the result; None: unknown.
        measured: key of the earlier result that the estimate is based on; empty: none.
        rate: median units a second of the stage's results.
    """

    plan: StagePlan
    why: str
    unit: str
    work: float | None = None
    seconds: float | None = None
    bytes: float | None = None
    measured: str = ""
    rate: float | None = None
    gpu: bool = False
    processes: int = 1


@dataclass(frozen=True)
class Estimates:
    """The estimates of all stages, in order, and the state of the sources; None: nothing has to be, or can be, fetched."""

    stages: Sequence[Estimate]
    sources: SourceState | None


def estimate(recipe: Recipe, online: bool = True) -> Estimates:
    """Return what a run of a recipe would do and cost. Nothing is computed or fetched.

    Args:
        recipe: of the run.
        online: whether servers are asked for the sizes of files.
    """
    store, counts, estimates = Store(recipe.store), dict[str, Counts](), list[Estimate]()
    plans = plan(recipe)
    for planned in plans:
        nearest = planned.result or _nearest(store, planned, recipe)
        work = _WORK[planned.stage][1](recipe, counts)
        done = _work_of(store, nearest.manifest) if nearest else None
        counts[planned.stage] = _counts(nearest, planned, work, done)
        rate = _usual_rate(store, nearest, work) if nearest and not planned.result else None
        estimates.append(_estimate(planned, nearest, work, done, rate))
    from mlctl import corpora

    known = plans[0].result or plans[0].problem  # a problem is shown with the others
    sources = None if known else corpora.inspect_sources(recipe.download, recipe.languages, online)
    return Estimates(estimates, sources)


def _estimate(planned: StagePlan, nearest: Result | None, work: float | None, done: float | None, rate: float | None) -> Estimate:
    unit = _WORK[planned.stage][0]
    if planned.result:
        made = planned.result.manifest.created[:16].replace("T", " ")
        return Estimate(planned, f"made {made}", unit, work, 0.0, 0.0)
    why = _why(planned, nearest)
    if nearest is None:
        return Estimate(planned, why, unit, work)
    manifest = nearest.manifest
    share = _share(work, done)
    seconds = None if share is None else work / rate if work and rate else manifest.seconds * share
    size = manifest.bytes if planned.stage in _FIXED_SIZE else None if share is None else manifest.bytes * share
    gpu, processes = _machine(manifest)
    return Estimate(planned, why, unit, work, seconds, size, manifest.key, rate, gpu, processes)


def _usual_rate(store: Store, nearest: Result, work: float | None) -> float | None:
    """Return the median units a second of the stage's results on the same kind of device; one slow run decides nothing.

    Results of a similar size count if there are any: a small one is mostly start-up time.
    """
    rates = list[tuple[float, float]]()
    for result in store.results(nearest.manifest.stage)[:_MAX_RESULTS]:
        manifest = result.manifest
        if _machine(manifest) == _machine(nearest.manifest) and manifest.seconds and (done := _work_of(store, manifest)):
            rates.append((done, done / manifest.seconds))
    similar = [rate for done, rate in rates if work and done / _SIMILAR <= work <= done * _SIMILAR]
    found = similar or [rate for _, rate in rates]
    return statistics.median(found) if found else None


def _machine(manifest: Manifest) -> tuple[bool, int]:
    """Return whether a result was computed on GPUs, and by how many processes."""
    return manifest.metrics.get("device") == "cuda", int(manifest.metrics.get("processes", 1))


def _share(work: float | None, done: float | None) -> float | None:
    """Return the work as a multiple of the earlier work; None: unknown."""
    if work is None or done is None:
        return None
    return work / done if done else (0.0 if not work else None)


def _nearest(store: Store, planned: StagePlan, recipe: Recipe) -> Result | None:
    """Return the earlier result whose settings are nearest to the planned ones."""
    if planned.parts:
        return store.nearest(planned.stage, planned.parts)
    settings = stage_named(planned.stage).settings(recipe)
    return min(
        store.results(planned.stage), key=lambda r: len(differences(r.manifest.parts.get("settings", {}), settings)), default=None
    )


def _why(planned: StagePlan, nearest: Result | None) -> str:
    if planned.waits_for:
        return f"after {planned.waits_for[-1]}"
    if planned.problem or planned.undownloaded:
        return planned.problem.problem if planned.problem else "its model is not downloaded yet"
    if nearest is None:
        return "never computed"
    changes = differences(nearest.manifest.parts, planned.parts or {})
    lines = [f"{path.removeprefix('settings.')}: {_short(old)} → {_short(new)}" for path, old, new in changes[:_MAX_REASONS]]
    more = [f"and {len(changes) - _MAX_REASONS} more"] if len(changes) > _MAX_REASONS else []
    return "; ".join([*lines, *more]) or "its result is damaged or unfinished"


def _short(value: object) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:23]}…"


def _counts(nearest: Result | None, planned: StagePlan, work: float | None, done: float | None) -> Counts:
    """Return the output counts of a stage: of its result if there is one, else scaled from the earlier result."""
    if nearest is None:
        return {}
    share = 1.0 if planned.result or planned.stage == "download" else _share(work, done)
    return {} if share is None else {name: count * share for name, count in _output_counts(nearest.manifest).items()}


def _output_counts(manifest: Manifest) -> Counts:
    if manifest.stage in {"download", "clean"}:
        return {name: float(manifest.metrics[name]) for name in ("pairs", "untranslated") if name in manifest.metrics}
    return {"pairs": float(sum(file.rows or 0 for file in manifest.files if file.name.startswith("pairs/")))}


def _work_of(store: Store, manifest: Manifest) -> float | None:
    """Return the work behind an earlier result."""
    if manifest.stage == "train":
        return float(manifest.metrics["pairs"])
    if manifest.stage == "evaluate":
        return _scores_to_compute(manifest.parts["settings"]["languages"], manifest.parts["settings"]["evaluate"])
    inputs = {name: Manifest.read(store.folder(name, key)) for name, key in manifest.inputs.items()}
    counts = {name: _output_counts(found) for name, found in inputs.items() if found}
    return (
        _work_after(manifest.stage, counts)
        if manifest.stage not in {"download", "report"}
        else _total(_output_counts(manifest)) or 1.0
    )


def _work_after(stage: str, counts: Mapping[str, Counts]) -> float | None:
    """Return the work of a stage from the output counts of the stages before it: rows, pairs or texts."""
    if stage == "translate":
        return counts.get("clean", {}).get("untranslated")
    source = {"clean": "download", "align": "clean", "shard": "align"}[stage]
    return _total(counts.get(source, {}))


def _total(counts: Counts) -> float | None:
    return sum(counts.values()) if counts else None


def _scores_to_compute(languages: Mapping[str, Any], evaluate: Mapping[str, Any]) -> float | None:
    """Return the number of scores on held-out pairs; None with benchmarks, whose cost differs too much."""
    return None if evaluate["benchmarks"] else 2.0 * len(languages["targets"])


def _pairs_to_train(recipe: Recipe) -> float | None:
    """Return the pairs of all steps; None if the model, whose kind decides about settings that are null, cannot be read."""
    try:
        settings = resolved_settings(recipe.train, recipe.model)
    except InputError:
        return None
    return float(settings.steps * settings.batch_size)


_Work = Callable[[Recipe, Mapping[str, Counts]], float | None]

# For each stage the unit of its work, and the work of a recipe given the output counts of the stages before it.
_WORK: dict[str, tuple[str, _Work]] = {
    "download": ("pairs", lambda _recipe, _counts: None),
    "clean": ("rows", lambda _recipe, counts: _work_after("clean", counts)),
    "translate": ("texts", lambda _recipe, counts: _work_after("translate", counts)),
    "align": ("pairs", lambda _recipe, counts: _work_after("align", counts)),
    "shard": ("pairs", lambda _recipe, counts: _work_after("shard", counts)),
    "train": ("pairs", lambda recipe, _counts: _pairs_to_train(recipe)),
    "evaluate": (
        "scores",
        lambda recipe, _counts: _scores_to_compute(recipe.languages.model_dump(), recipe.evaluate.model_dump()),
    ),
    "report": ("pages", lambda _recipe, _counts: 1.0),
}
