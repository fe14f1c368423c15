"""Utilities that every layer may use: files, hashing, locks, workspaces, text."""
