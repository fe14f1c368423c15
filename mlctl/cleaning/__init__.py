"""Clean: text made even, then rules that drop what is not worth learning from, each by name.

`clean` is the stage; `schedule` says which step of which language is done when and in which process, `language` what the steps are.
`tidy` evens out the text of a pair (characters, catalogue markup), `judge` has `rules` look at each row by itself, `compare` looks at
all rows of a language by the numbers that `judged` leaves of them, `outputs` writes the tables.
"""

from mlctl.cleaning.stage import clean

__all__ = ["clean"]
