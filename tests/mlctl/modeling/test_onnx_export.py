"""ONNX files make the vectors of the encoder, with its pooling, in another runtime and by the program that the card shows."""

from __future__ import annotations
