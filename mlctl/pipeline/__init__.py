"""The pipeline without Prefect: stages and their keys, what would run and what it costs, runs, export, champions, re-training."""
