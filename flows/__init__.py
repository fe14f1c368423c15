"""Prefect flows: the order in which stages run, and where."""

import tasks  # noqa: F401 - sets Prefect's defaults before Prefect is imported
