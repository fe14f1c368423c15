"""Run a recipe by the command and die by SIGKILL inside a stage: `kill_at.py STAGE WHEN RECIPE [OVERRIDE …]`; WHEN: see `kill_points`."""

from __future__ import annotations

import sys

import kill_points

import mlctl.pipeline.stage
import tasks.stage_task
from mlctl.cli.main import main

stage, when, *arguments = sys.argv[1:]
kill_points.install(stage, when)
tasks.stage_task.make = mlctl.pipeline.stage.make
sys.exit(main(["run", *arguments]))
