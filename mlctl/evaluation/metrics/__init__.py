"""Metrics of benchmarks, as functions of arrays."""
