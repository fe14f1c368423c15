"""One Prefect task a stage, and what they share. Prefect's concerns only: the work itself is in `mlctl`, the bytes in `storage`."""

import os

# Read by Prefect when it is first imported: no calls home, and patience with a slow machine.
for _name, _value in {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
}.items():
    os.environ.setdefault(_name, _value)
