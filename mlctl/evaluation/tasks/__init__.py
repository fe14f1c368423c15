"""Evaluation tasks: the protocol in `base`, one file for each implementation, and the registry of the published benchmarks."""
