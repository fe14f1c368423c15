"""Data of the tasks: files of the published benchmarks and held-out pairs."""
