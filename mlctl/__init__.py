"""mlctl: pull the languages of a multilingual text encoder closer together.

The library behind the pipeline: what each stage does, usable without Prefect and without the store.
"""

__version__ = "0.1.0"
