"""Beginnings of words stand for them in the statistics: a rare form is learned from with the others of its family.

Words in the forms of an inflecting language are each too rare to say much, and new text always has forms that no other text had.
So a word is told by its longest beginning that the text has often enough, and by its first letters where none is: where there is
much text nearly all words stand for themselves. (Cutting all words to four letters is Fraser and Marcu's, at the ACL workshop of 2005.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlctl.alignment.eflomal.vocabulary import EncodedPairs, look_up_ids

_SHORTEST = 3  # letters (code points)
_LONGEST = 32  # letters: what is longer is an address or hostile, and has as many beginnings as letters
_OFTEN = 20  # running words with a beginning


def collect_stems(words: pa.StringArray, tokens: npt.NDArray[np.int32]) -> pa.StringArray:
    """Return the stems of words, each once: of every word its longest beginning that `tokens`, numbers of words, have often."""
    counts = np.bincount(tokens, minlength=len(words))
    length, longer, found = _SHORTEST, words, [_prefix(words, _SHORTEST).unique()]
    while len(longer) and length < _LONGEST:
        length += 1
        long = pc.greater_equal(pc.utf8_length(longer), length).to_numpy(zero_copy_only=False)
        longer, counts = longer.filter(pa.array(long)), counts[long]
        coded = _prefix(longer, length).dictionary_encode()
        often = np.bincount(np.asarray(coded.indices), counts, len(coded.dictionary)) >= _OFTEN
        found.append(coded.dictionary.filter(pa.array(often)))
        kept = often[np.asarray(coded.indices)]
        longer, counts = longer.filter(pa.array(kept)), counts[kept]
    return pa.concat_arrays(found)


def find_stems(words: pa.StringArray, among: pa.StringArray) -> pa.StringArray:
    """Return the stem of each word: its longest beginning that is one of the stems `among`, else its first letters."""
    found = np.array(_prefix(words, _SHORTEST).to_pylist(), object)
    lengths = pc.utf8_length(words).to_numpy()
    for length in range(_SHORTEST + 1, int(pc.max(pc.utf8_length(among)).as_py() or 0) + 1):
        long = np.flatnonzero(lengths >= length)
        beginnings = _prefix(words.take(pa.array(long)), length)
        there = look_up_ids(beginnings, among) >= 0
        found[long[there]] = beginnings.filter(pa.array(there)).to_pylist()
    return pa.array(found, pa.string())


def replace_by_stems(found: EncodedPairs, among: tuple[pa.StringArray, pa.StringArray]) -> EncodedPairs:
    """Return the same pairs with every word replaced by its stem, of those `among` which are of either side."""
    source, source_words = _reencode(found.corpus.source, find_stems(found.source, among[0]))
    target, target_words = _reencode(found.corpus.target, find_stems(found.target, among[1]))
    return EncodedPairs(found.corpus._replace(source=source, target=target), source_words, target_words)


def _reencode(tokens: npt.NDArray[np.int32], words: pa.StringArray) -> tuple[npt.NDArray[np.int32], pa.StringArray]:
    coded = words.dictionary_encode()
    numbers: npt.NDArray[np.int32] = np.asarray(coded.indices, np.int32)[tokens] if len(tokens) else tokens
    return numbers, coded.dictionary


def _prefix(words: pa.StringArray, length: int) -> pa.StringArray:
    return pc.utf8_slice_codeunits(words, 0, length)
