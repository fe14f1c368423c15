"""Encoders: where they come from, how their token states are pooled, and the heads that sit on them.

`sources` never imports torch; the other modules do.
"""
