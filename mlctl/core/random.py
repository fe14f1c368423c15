"""Stateless random numbers: pure functions of a counter or of a text, equal on every machine and in every order.

Counters are mixed by the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), texts are hashed by BLAKE2b.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint64]
Word = TypeVar("Word", Bits, np.uint64)

#: The increment of SplitMix64: 2⁶⁴ divided by the golden ratio, odd.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MULTIPLIER_1, MULTIPLIER_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def splitmix64(state: Word) -> Word:
    """Return the finaliser of SplitMix64 of 64-bit states, a bijection: every input bit changes each output bit with p ≈ 1/2.

    Takes an array, or a `np.uint64` in a function that numba compiles.
    """
    mixed = (state ^ (state >> np.uint64(30))) * MULTIPLIER_1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * MULTIPLIER_2
    return mixed ^ (mixed >> np.uint64(31))


def absorb(state: Bits, value: Bits) -> Bits:
    """Return the state of a counter-based generator after one more value of its counter; the two broadcast against each other."""
    return splitmix64(state + GOLDEN * (value + np.uint64(1)))


def text_draws(texts: Iterable[str | bytes], seed: int, purpose: str) -> Bits:
    """Return a random number for each text, (N,), that differs by seed and purpose."""
    key = hashlib.blake2b(f"{purpose}\0{seed}".encode(), digest_size=32).digest()
    digests = [hashlib.blake2b(_bytes(text), digest_size=8, key=key).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def shuffle_key(*parts: str) -> bytes:
    """Return a key that sorts items, each known by its texts, in random order."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
