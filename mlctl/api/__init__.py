"""The API for notebooks, which `mlctl` itself offers: functions over the stages and their results, without Prefect.

Nothing is computed here: each module converts what it is given, calls the package of a stage or of the pipeline, and returns data frames.
"""
