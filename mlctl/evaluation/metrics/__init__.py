"""Metrics of the tasks, as functions of arrays."""
