"""A training that is judged on dev pairs: what is measured, which weights are written, when it stops; and all of it after SIGKILL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from mlctl.config import Model, Train, resolve_train
from mlctl.core.hashing import file_digest
from mlctl.core.workspace import Workspace
from mlctl.errors import InputError
from mlctl.modeling.encoders import load_encoder
from mlctl.modeling.pooling import encode_tokens, mean_pool
from mlctl.schema import JUDGEMENTS
from mlctl.training import train
from mlctl.training.interruption import StopRequest, TrainingInterrupted
from mlctl.training.model_selection import ModelSelection
from mlctl.training.trackers.tensorboard import FILE, records

QUICK: dict[str, Any] = {
    "steps": 24,
    "batch_size": 16,
    "learning_rate": 5e-3,
    "threads": 1,
    "devices": "cpu",
    "word_pairs": 2,
    "mlm_weight": 0,
    "lr_schedule": "none",
    "warmup_steps": 0,
    "judge_every": 5,
    "trackers": [],
    "objective": "separate",
}


def settings(**changes: Any) -> Train:
    return Train.model_validate({**QUICK, **changes})


@pytest.fixture(scope="module")
def shards(make_shards: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), [60], dev_rows=20)


@pytest.fixture(scope="module")
def base(shards: Path, toy_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Return an encoder that has learned a little, to start from."""
    folder = tmp_path_factory.mktemp("base")
    train(settings(steps=10, judge_every=0), toy_model, 0, shards, Workspace(folder))
    return Model(name=str(folder / "model"))


def digests(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file() and ".scratch" not in file.parts]
    return {
        str(file.relative_to(folder)): file_digest(file)
        for file in files
        if file.name != "speed.jsonl" and "tfevents" not in file.name
    }


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def figures(folder: Path) -> dict[int, float]:
    """Return the figure of each judged step: the mean over metrics of the mean over languages."""
    rows = pq.read_table(folder / "judgements.parquet").to_pylist()
    metrics: dict[int, dict[str, list[float]]] = {}
    for row in rows:
        metrics.setdefault(row["step"], {}).setdefault(row["metric"], []).append(row["value"])
    return {step: float(np.mean([np.mean(values) for values in named.values()])) for step, named in metrics.items()}


def selection(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "model_selection.json").read_text())
    return content


@pytest.fixture(scope="module")
def judged(shards: Path, toy_model: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder, shown = tmp_path_factory.mktemp("judged"), list[dict[str, Any]]()
    metrics = train(settings(), toy_model, 0, shards, Workspace(folder), lambda *_, **named: shown.append(named))
    return folder, {"metrics": metrics, "shown": shown}


def test_judgements_are_made_before_training_every_n_steps_and_after_the_last(
    judged: tuple[Path, dict[str, Any]], shards: Path, toy_model: Model, tmp_path: Path
) -> None:
    folder, seen = judged
    table = pq.read_table(folder / "judgements.parquet")
    assert table.schema.equals(JUDGEMENTS)
    assert sorted(set(table["step"].to_pylist())) == [0, 5, 10, 15, 20, 24]
    assert set(table["language"].to_pylist()) == {"bb", "cc"}
    assert {row["items"] for row in table.to_pylist() if row["metric"] == "sentence-retrieval"} == {20}
    by_step = figures(folder)
    assert by_step[24] > by_step[0] + 0.2, "it learns"
    assert seen["metrics"]["dev_before"] == pytest.approx(by_step[0])
    assert seen["metrics"]["dev_after"] == pytest.approx(by_step[24])
    assert seen["shown"][0]["dev"] == f"{100 * by_step[0]:.1f}%"
    assert seen["shown"][-1]["dev"] == f"{100 * by_step[0]:.1f}% → {100 * by_step[24]:.1f}%"
    assert selection(folder) == {"step": 24, "steps": 24, "average_steps": 1, "interpolate": 1.0, "candidates": []}
    train(settings(judge_every=0), toy_model, 0, shards, Workspace(tmp_path))
    assert file_digest(tmp_path / "model" / "model.safetensors") == file_digest(folder / "model" / "model.safetensors"), (
        "judgements only look"
    )
    assert pq.read_table(tmp_path / "judgements.parquet").num_rows == 0


def test_the_accuracy_is_that_of_the_model_that_is_written(judged: tuple[Path, dict[str, Any]], shards: Path) -> None:
    """Counted by hand: each sentence against all of the other side, of both languages."""
    folder, _ = judged
    encoder = load_encoder(folder / "model")
    rows = [row for language in ("bb", "cc") for row in pq.read_table(shards / "dev" / f"{language}.parquet").to_pylist()]
    sides, words = [], []
    for side in ("source", "target"):
        with torch.no_grad():
            states = [
                encode_tokens(encoder, torch.tensor([row[f"{side}_ids"]]), torch.ones(1, len(row[f"{side}_ids"]))) for row in rows
            ]
        sides.append(torch.nn.functional.normalize(torch.cat([mean_pool(s, torch.ones(1, s.shape[1])) for s in states]), dim=1))
        at = [(number, pair[f"{side}_start"]) for number, row in enumerate(rows) for pair in row["word_pairs"][:8]]
        words.append(
            (
                torch.nn.functional.normalize(torch.stack([states[number][0, start] for number, start in at]), dim=1),
                [rows[number][f"{side}_ids"][start] for number, start in at],
            )
        )
    correct = [(x @ y.T).argmax(1) == torch.arange(40) for x, y in (sides, sides[::-1])]
    expected = torch.stack(correct).double().mean(0)
    table = {
        (row["metric"], row["language"]): row["value"] for row in pq.read_table(folder / "judgements.parquet").to_pylist()[-4:]
    }
    assert table["sentence-retrieval", "bb"] == pytest.approx(expected[:20].mean().item())
    assert table["sentence-retrieval", "cc"] == pytest.approx(expected[20:].mean().item())
    language = np.array([number < 20 for number, row in enumerate(rows) for _ in row["word_pairs"][:8]])
    hit = np.zeros(len(language))
    for (x, x_words), (y, _) in (words, words[::-1]):
        nearest = (x @ y.T).argmax(1).tolist()
        hit += [x_words[number] == x_words[found] for number, found in enumerate(nearest)]
    assert table["word-retrieval", "bb"] == pytest.approx(hit[language].mean() / 2)
    assert table["word-retrieval", "cc"] == pytest.approx(hit[~language].mean() / 2)


#: The rate grows until an encoder that has learned forgets.
GROWING: dict[str, Any] = {"learning_rate": 0.06, "steps": 24, "warmup_steps": 24, "max_loss_rise": 1000, "judge_every": 3}


@pytest.fixture(scope="module")
def best(shards: Path, base: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("best")
    return folder, train(settings(**GROWING, load_best_model_at_end=True), base, 0, shards, Workspace(folder))


def test_the_best_weights_are_those_of_the_earliest_best_judgement(
    best: tuple[Path, dict[str, Any]], shards: Path, base: Model, tmp_path: Path
) -> None:
    folder, metrics = best
    by_step = figures(folder)
    highest = max(by_step.values())
    step = min(step for step, value in by_step.items() if value == highest)
    assert 0 < step < 24, f"the case is to have its best in the middle: {by_step}"
    assert selection(folder)["step"] == metrics["written_step"] == step
    assert metrics["dev_after"] == pytest.approx(highest)
    train(settings(**{**GROWING, "steps": step}), base, 0, shards, Workspace(tmp_path))
    one, other = weights(folder / "model"), weights(tmp_path / "model")
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_training_stops_after_so_many_judgements_without_a_new_best(
    best: tuple[Path, dict[str, Any]], shards: Path, base: Model, tmp_path: Path
) -> None:
    by_step = figures(best[0])
    steps = sorted(by_step)
    highest, expected = 0, None
    for number, step in enumerate(steps):  # by hand
        highest = number if by_step[step] > by_step[steps[highest]] or not number else highest
        if number - highest >= 2:
            expected = step
            break
    assert expected
    assert expected < 24
    updates: list[int] = []
    patient = settings(**GROWING, early_stopping_patience=2)
    metrics = train(patient, base, 0, shards, Workspace(tmp_path), lambda done, *_, **__: updates.append(done))
    assert (metrics["steps"], updates[-1]) == (expected, expected)
    assert pq.read_table(tmp_path / "steps.parquet").num_rows == expected
    assert np.isfinite(metrics["loss"])
    assert figures(tmp_path) == {step: value for step, value in by_step.items() if step <= expected}


def states_by_step(shards: Path, model: Model, folder: Path, last: int, **changes: Any) -> dict[int, dict[str, torch.Tensor]]:
    """Return the weights after each step, from the checkpoints."""
    train(settings(**changes, checkpoint_seconds=1e-9, keep_checkpoints=1000), model, 0, shards, Workspace(folder))
    return {
        step: load_file(folder / ".scratch" / "checkpoints" / f"step-{step:07d}" / "tensors.safetensors")
        for step in range(1, last + 1)
    }


@pytest.mark.parametrize(("judge_every", "average_steps"), [(0, 4), (5, 3), (5, 12), (7, 100)])
def test_averaged_weights_are_the_mean_of_the_last_steps(
    shards: Path, toy_model: Model, tmp_path: Path, judge_every: int, average_steps: int
) -> None:
    own = states_by_step(shards, toy_model, tmp_path / "own", 24, judge_every=0)
    averaged = {"judge_every": judge_every, "average_steps": average_steps}
    train(settings(**averaged), toy_model, 0, shards, Workspace(tmp_path / "mean"))
    first = max(24 - average_steps, 0) + 1
    mean = weights(tmp_path / "mean" / "model")
    compared = 0
    for name, value in mean.items():
        if (key := f"weight.model.{name}") in own[24] and own[24][key].shape == value.shape:
            expected = torch.stack([own[step][key].double() for step in range(first, 25)]).mean(0)
            torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-7)
            compared += 1
    assert compared > 10
    assert not torch.equal(
        mean["encoder.layer.0.output.dense.weight"], own[24]["weight.model.encoder.layer.0.output.dense.weight"]
    )


def test_what_is_judged_is_what_would_be_written(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    """A training of 10 steps with its mean of the last 4 is judged as the same at step 10 of a longer one."""
    for steps, average_steps in ((14, 4), (10, 4), (14, 1)):
        averaged = settings(average_steps=average_steps, steps=steps)
        train(averaged, toy_model, 0, shards, Workspace(tmp_path / f"{steps}-{average_steps}"))
    long, short, plain = (figures(tmp_path / name) for name in ("14-4", "10-4", "14-1"))
    assert {step: long[step] for step in (0, 5, 10)} == short
    assert plain != long


@pytest.mark.parametrize("mlm_weight", [0, 0.1])
def test_interpolation_of_0_and_1_gives_the_bytes_of_base_and_trained(
    shards: Path, base: Model, tmp_path: Path, mlm_weight: float
) -> None:
    common = {"mlm_weight": mlm_weight, "judge_every": 0, "steps": 3}
    for value in (0, 1, 0.25):
        train(settings(**common, interpolate=value), base, 0, shards, Workspace(tmp_path / str(value)))
    before, whole = weights(Path(base.name)), weights(tmp_path / "1" / "model")
    none, quarter = weights(tmp_path / "0" / "model"), weights(tmp_path / "0.25" / "model")
    assert none.keys() == whole.keys() == quarter.keys()
    for name, value in before.items():
        match = next(key for key in (name, f"bert.{name}") if key in none)
        assert torch.equal(none[match], value), name
        expected = 0.75 * value.double() + 0.25 * whole[match].double()
        torch.testing.assert_close(quarter[match].double(), expected, rtol=1e-5, atol=1e-7)
    assert any(not torch.equal(none[name], whole[name]) for name in none)
    if mlm_weight:
        assert not any(name.endswith("decoder.weight") for name in quarter), "the output layer stays tied to the embeddings"


def test_auto_writes_the_mixture_with_the_best_figure(shards: Path, base: Model, tmp_path: Path) -> None:
    wild = {"learning_rate": 0.02, "max_loss_rise": 1000, "judge_every": 12, "steps": 12}
    metrics = train(settings(**wild, interpolate="auto"), base, 0, shards, Workspace(tmp_path / "auto"))
    chosen = selection(tmp_path / "auto")
    tried = {row["interpolate"]: row["figure"] for row in chosen["candidates"]}
    assert list(tried) == [pytest.approx(number / 10) for number in range(1, 11)]
    best = max(value for value in tried if tried[value] == max(tried.values()))
    assert chosen["interpolate"] == metrics["interpolate"] == best
    assert 0.1 <= best < 1, f"the case is to have its best between: {tried}"
    assert metrics["dev_after"] == tried[best]
    assert tried[1.0] == pytest.approx(figures(tmp_path / "auto")[12]), "λ = 1 is what was judged last"
    train(settings(**wild, interpolate=best), base, 0, shards, Workspace(tmp_path / "fixed"))
    assert file_digest(tmp_path / "auto/model/model.safetensors") == file_digest(tmp_path / "fixed/model/model.safetensors")


EVERYTHING: dict[str, Any] = {
    "steps": 24,
    "judge_every": 5,
    "average_steps": 7,
    "load_best_model_at_end": True,
    "early_stopping_patience": 4,
    "interpolate": "auto",
    "learning_rate": 0.01,
}
PROGRAM = """
import sys
from pathlib import Path
from mlctl.config import Model, Train, resolve_train
from mlctl.core.workspace import Workspace
from mlctl.training import train
settings, model, shards, folder = sys.argv[1:]
train(Train.model_validate_json(settings), Model.model_validate_json(model), 3, Path(shards), Workspace(Path(folder)))
"""


def before_training(folder: Path) -> list[dict[str, Any]]:
    return [row for row in pq.read_table(folder / "judgements.parquet").to_pylist() if not row["step"]]


@pytest.mark.slow
def test_sigkill_and_resume_give_the_same_bytes(shards: Path, base: Model, tmp_path: Path) -> None:
    """In two processes, each of which encodes its share of a judgement."""
    everything = settings(**EVERYTHING, devices=("cpu", "cpu"), checkpoint_seconds=0.01)
    killed, straight, alone = (tmp_path / name for name in ("killed", "straight", "alone"))
    command = [sys.executable, "-c", PROGRAM, everything.model_dump_json(), base.model_dump_json(), str(shards), str(killed)]
    kill_at(12, command, killed / ".scratch" / "checkpoints")
    updates: list[int] = []
    metrics = train(everything, base, 3, shards, Workspace(killed), lambda done, *_, **__: updates.append(done))
    assert 12 <= updates[0] <= 24
    assert metrics == train(everything, base, 3, shards, Workspace(straight))
    assert digests(killed) == digests(straight)
    train(settings(steps=1), base, 3, shards, Workspace(alone))
    assert before_training(straight) == before_training(alone)


def kill_at(step: int, command: list[str], checkpoints: Path) -> None:
    """Start a training and end it by SIGKILL when it has a checkpoint of a step or a later one."""
    process, end = subprocess.Popen(command), time.monotonic() + 600
    while not any(int(path.name[5:]) >= step for path in checkpoints.glob("step-*")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("at", [7, 23])
def test_a_checkpoint_holds_the_best_weights_and_the_averages(
    shards: Path, base: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Stopped before the best judgement, and after it."""
    growing = {**GROWING, "learning_rate": 0.04}
    some, stop = settings(**growing, average_steps=3, load_best_model_at_end=True), StopRequest()
    monkeypatch.setattr("mlctl.training.stage.stopping_on_sigterm", lambda: nullcontext(stop))
    with pytest.raises(TrainingInterrupted):
        train(some, base, 0, shards, Workspace(tmp_path / "cut"), lambda done, *_, **__: stop.make() if done == at else None)
    monkeypatch.undo()
    for name in ("cut", "straight"):
        train(some, base, 0, shards, Workspace(tmp_path / name))
    assert digests(tmp_path / "cut") == digests(tmp_path / "straight")
    assert 7 < selection(tmp_path / "cut")["step"] <= 21


def test_of_equal_judgements_the_earliest_is_the_best() -> None:
    chosen = ModelSelection(torch.nn.Linear(2, 2), resolve_train(settings(early_stopping_patience=2), "scratch"), None)
    low, high = np.array([[0.5, 0.5], [np.nan, np.nan]]), np.array([[0.5, 0.9], [0.7, 0.7]])
    chosen.judgements = {0: low, 5: high, 10: high}
    assert (chosen.best_step, chosen.stops_early) == (5, False)
    chosen.judgements[15] = high
    assert chosen.stops_early


class StopAfter(StopRequest):
    """A stop that is requested when training has asked for it so many times: between steps, or within a judgement."""

    def __init__(self, questions: int) -> None:
        super().__init__()
        self.left = questions

    @property
    def is_made(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_stop_within_a_judgement_ends_it_and_resumes_to_the_same_bytes(
    shards: Path, base: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first judgement, one in the middle, the last: each asks once a batch of sentences, three times."""
    short = settings(steps=4, judge_every=2, load_best_model_at_end=True, average_steps=2, trackers=["tensorboard"])
    straight, cut = tmp_path / "straight", tmp_path / "cut"
    metrics = train(short, base, 0, shards, Workspace(straight))
    stopped = []
    for questions in (1, 6, 7):  # then: 3 of a judgement, 1 a step
        monkeypatch.setattr("mlctl.training.stage.stopping_on_sigterm", lambda left=questions: nullcontext(StopAfter(left)))
        with pytest.raises(TrainingInterrupted) as caught:
            train(short, base, 0, shards, Workspace(cut))
        stopped.append(caught.value.step)
    monkeypatch.undo()
    assert stopped == [0, 2, 4]
    assert not (cut / "model").exists()
    assert train(short, base, 0, shards, Workspace(cut)) == metrics
    assert digests(cut) == digests(straight)
    assert curves(cut / FILE) == curves(straight / FILE)


def curves(file: Path) -> list[tuple[int, tuple[str, ...]]]:
    """Return the step and the names of each event of a TensorBoard file."""
    names = ("dev/mean", "dev/sentence_retrieval", "dev/word_retrieval", "train/loss", "train/gradient_norm")
    events = [event for _, event in records(file)][1:]
    return [(event[10], tuple(name for name in names if name.encode() in event)) for event in events]


def test_without_dev_pairs_nothing_is_judged_unless_the_recipe_asks(
    make_shards: Callable[..., Path], toy_model: Model, tmp_path: Path
) -> None:
    bare = make_shards(tmp_path / "shards", [20])
    metrics = train(settings(judge_every=None, steps=2), toy_model, 0, bare, Workspace(tmp_path / "quiet"))
    assert "dev_before" not in metrics
    for changes in ({"judge_every": 5}, {"judge_every": None, "load_best_model_at_end": True}):
        with pytest.raises(InputError, match=r"needs dev pairs, but there are none\n.*set shard\.dev_pairs"):
            train(settings(**changes), toy_model, 0, bare, Workspace(tmp_path / "loud"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"judge_every": 0, "load_best_model_at_end": True}, "judge_every is 0, but train.load_best_model_at_end=true needs"),
        ({"judge_every": 0, "early_stopping_patience": 2}, "early_stopping_patience=2 needs judgements"),
        ({"judge_every": 0, "interpolate": "auto"}, "train.interpolate=auto needs judgements"),
        ({"interpolate": "half"}, "give auto, or a number from 0"),
        ({"interpolate": 1.5}, "give auto, or a number from 0"),
        ({"interpolate": True}, "give auto, or a number from 0"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**changes)


def test_from_scratch_there_is_nothing_to_interpolate_with(shards: Path, toy_model: Model, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.interpolate=0\.5: a model from scratch has random weights"):
        train(settings(interpolate=0.5), toy_model, 0, shards, Workspace(tmp_path))


def test_a_training_that_does_harm_says_so(shards: Path, base: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wild = {"learning_rate": 0.3, "max_loss_rise": 1000, "steps": 4}
    train(settings(**wild), base, 0, shards, Workspace(tmp_path / "harm"))
    assert "THIS TRAINING DOES HARM" in caplog.text
    caplog.clear()
    metrics = train(settings(**wild, load_best_model_at_end=True), base, 0, shards, Workspace(tmp_path / "best"))
    assert metrics["written_step"] == 0
    assert "THIS TRAINING DOES NOT HELP" in caplog.text
    before, written = weights(Path(base.name)), weights(tmp_path / "best" / "model")
    assert all(torch.equal(before[name], written[name]) for name in before)
