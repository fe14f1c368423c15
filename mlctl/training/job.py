"""A training as a value: what a process needs to know to take part in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlctl.config import Model, ModelKind, ResolvedTrain, key_settings
from mlctl.core.workspace import Workspace
from mlctl.modeling import model_sources
from mlctl.modeling.pooling_choice import PoolingChoice
from mlctl.training.dataset import ShardReader
from mlctl.training.judge import Judge


@dataclass(frozen=True)
class Job:
    """A training: settings, model and its kind, seed, input and output, and how sentence vectors are pooled."""

    settings: ResolvedTrain
    model: Model
    kind: ModelKind
    seed: int
    sharded: Path
    workspace: Workspace
    pooling: PoolingChoice

    @property
    def tokenizer(self) -> Path:
        """The folder of the tokenizer that made the shards."""
        return self.sharded / "tokenizer"

    @property
    def source(self) -> Path | None:
        """The folder of the encoder that is trained; None: a model from scratch."""
        return model_sources.resolve(self.model) if self.model.name else None

    @property
    def start(self) -> Path | None:
        """The folder of the encoder whose weights training starts from: that of `model.start`, or `source`."""
        return start_folder(self.model)

    @property
    def masks(self) -> bool:
        """Whether tokens are masked: then any token of the vocabulary may be read or predicted, else only those of the rows."""
        return self.settings.mlm_weight > 0 or self.settings.contrast_on_masked

    @property
    def speed_file(self) -> Path:
        """Where throughput is written while training."""
        return self.workspace.scratch / "speed.jsonl"

    def to_json(self) -> dict[str, Any]:
        """Return the job as JSON, for another process."""
        sections = {"settings": self.settings.model_dump(mode="json"), "model": self.model.model_dump(mode="json")}
        folders = {"sharded": str(self.sharded), "workspace": str(self.workspace.root)}
        return {**sections, **folders, "kind": self.kind, "seed": self.seed, "pooling": self.pooling.as_json()}

    @classmethod
    def from_json(cls, job: dict[str, Any]) -> Job:
        """Read a job that `to_json` returned."""
        settings, model = ResolvedTrain.model_validate(job["settings"]), Model.model_validate(job["model"])
        workspace, pooling = Workspace(Path(job["workspace"])), PoolingChoice.from_json(job["pooling"])
        return cls(settings, model, job["kind"], job["seed"], Path(job["sharded"]), workspace, pooling)


def start_folder(model: Model) -> Path | None:
    """Return the folder of the encoder whose weights training starts from; None: it starts from random ones."""
    if start := model_sources.start_model(model):
        return model_sources.resolve(start, "model.start")
    return model_sources.resolve(model) if model.name else None


def fingerprint(job: Job, shards: ShardReader, judge: Judge | None) -> str:
    """Return a digest of everything that decides about the weights, so that no checkpoint of another training is restored."""
    start = model_sources.start_model(job.model)
    parts = {
        "settings": key_settings(job.settings),
        "model": key_settings(job.model),
        "weights": model_sources.identity(job.model, "weights"),
        "start": model_sources.identity(start, "weights", "model.start") if start else "",
        "seed": job.seed,
        "pooling": job.pooling.as_json(),
        "rows": shards.shard_rows,
        "embeddings": "all" if job.masks or job.settings.fsdp else "of the rows",
        "dev": judge.items.tolist() if judge else None,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
