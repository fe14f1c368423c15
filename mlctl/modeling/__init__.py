"""Encoders: their sources, loading and saving, pooling of their states, and the heads on top of them.

`model_sources` never imports torch; the other modules do.
"""
