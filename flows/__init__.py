"""When and in what order the stages run, and the `mlctl` command."""

import tasks  # noqa: F401 (sets what Prefect reads when it is first imported)
