"""Clean: text made even, then rules that drop what is not worth learning from, each by name.

`clean` is the stage. `tidy` evens out the text of a pair (characters, catalogue markup), `rules` judge it, `duplicates` and `lengths`
know the whole corpus of a language, `stage` streams it all from Parquet to Parquet.
"""

from mlctl.cleaning.stage import clean

__all__ = ["clean"]
