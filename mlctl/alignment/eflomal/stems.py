"""Stems: prefixes that replace words in the statistics, so that rare forms of a word share their counts.

The forms of words in an inflecting language are each too rare for reliable counts, and new text always contains unseen forms. So a word
is replaced by its longest prefix that is frequent enough in the corpus, or by its first letters if none is; in a large corpus nearly
all words are their own stem. (Fraser and Marcu cut all words to four letters, at the ACL workshop of 2005.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlctl.alignment.eflomal.vocabulary import EncodedPairs, look_up_ids

_SHORTEST = 3  # letters (code points)
_LONGEST = 32  # letters: longer words are URLs or hostile input, with as many prefixes as letters
_MIN_COUNT = 20  # tokens with a prefix


def collect_stems(words: pa.StringArray, tokens: npt.NDArray[np.int32]) -> pa.StringArray:
    """Return the distinct stems of words: of every word its longest prefix that is frequent in `tokens`, the word ids of a corpus."""
    counts = np.bincount(tokens, minlength=len(words))
    length, longer, stems = _SHORTEST, words, [_prefix(words, _SHORTEST).unique()]
    while len(longer) and length < _LONGEST:
        length += 1
        long_enough = pc.greater_equal(pc.utf8_length(longer), length).to_numpy(zero_copy_only=False)
        longer, counts = longer.filter(pa.array(long_enough)), counts[long_enough]
        encoded = _prefix(longer, length).dictionary_encode()
        frequent = np.bincount(np.asarray(encoded.indices), counts, len(encoded.dictionary)) >= _MIN_COUNT
        stems.append(encoded.dictionary.filter(pa.array(frequent)))
        keep = frequent[np.asarray(encoded.indices)]
        longer, counts = longer.filter(pa.array(keep)), counts[keep]
    return pa.concat_arrays(stems)


def find_stems(words: pa.StringArray, stems: pa.StringArray) -> pa.StringArray:
    """Return the stem of each word: its longest prefix that is one of `stems`, otherwise its first letters."""
    result = np.array(_prefix(words, _SHORTEST).to_pylist(), object)
    lengths = pc.utf8_length(words).to_numpy()
    for length in range(_SHORTEST + 1, int(pc.max(pc.utf8_length(stems)).as_py() or 0) + 1):
        long_enough = np.flatnonzero(lengths >= length)
        prefixes = _prefix(words.take(pa.array(long_enough)), length)
        is_stem = look_up_ids(prefixes, stems) >= 0
        result[long_enough[is_stem]] = prefixes.filter(pa.array(is_stem)).to_pylist()
    return pa.array(result, pa.string())


def replace_by_stems(pairs: EncodedPairs, stems: tuple[pa.StringArray, pa.StringArray]) -> EncodedPairs:
    """Return the same pairs with every word replaced by its stem; `stems` are those of the source and of the target side."""
    source, source_words = _reencode(pairs.corpus.source, find_stems(pairs.source, stems[0]))
    target, target_words = _reencode(pairs.corpus.target, find_stems(pairs.target, stems[1]))
    return EncodedPairs(pairs.corpus._replace(source=source, target=target), source_words, target_words)


def _reencode(tokens: npt.NDArray[np.int32], words: pa.StringArray) -> tuple[npt.NDArray[np.int32], pa.StringArray]:
    encoded = words.dictionary_encode()
    ids: npt.NDArray[np.int32] = np.asarray(encoded.indices, np.int32)[tokens] if len(tokens) else tokens
    return ids, encoded.dictionary


def _prefix(words: pa.StringArray, length: int) -> pa.StringArray:
    return pc.utf8_slice_codeunits(words, 0, length)
