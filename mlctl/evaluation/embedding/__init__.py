"""Sentence and token embeddings of the model under test."""
