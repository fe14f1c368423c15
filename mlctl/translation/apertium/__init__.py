"""Apertium: rule-based translation through its own programs."""
