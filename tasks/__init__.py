"""Prefect tasks, one for each stage, with progress, artifacts, notifications and logging. What works without Prefect is in `mlctl`."""

import os

# Read by Prefect when it is first imported: no telemetry, a start timeout for slow machines, and heartbeats, without which a server
# cannot know that a run's process has died.
for _name, _value in {
    "DO_NOT_TRACK": "1",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
}.items():
    os.environ.setdefault(_name, _value)
