"""Indexes of published corpora: search, and what has changed."""
