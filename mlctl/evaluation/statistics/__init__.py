"""Comparison of models and runs: paired tests, confidence intervals, promotion."""
