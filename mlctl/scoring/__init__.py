"""Quality scores of sentence pairs: scorers with a batch interface, each in one file, opened by `registry`.

Importing this package is cheap: torch is loaded by the scorer that needs it.
"""
