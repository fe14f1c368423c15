"""Comparison of models and runs: intervals, paired tests, promotion."""
