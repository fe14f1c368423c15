"""Text as Apertium's programs want it: words to translate, and numbered blanks for what must come out as it is.

In the stream `[…]` is a blank that goes through untouched. Placeholders, tags and addresses would come out translated as words,
and every character with a meaning in the stream would have to be escaped, which not all programs understand (a caret makes lrx-proc
wait for ever). So none of them goes in: a blank bears the number of its piece.
"""

from __future__ import annotations

import re

from mlctl.translation.process_group import one_line

#: Part of the engine's identity. Raise it when other text goes in, or comes out otherwise: remembered translations are then made anew.
VERSION = "1"

_FIXED = re.compile(
    r"""(?:
        <!--.*?--> | </?[A-Za-z][^<>]*> | &\#?\w+;                                       # markup
      | %\(\w+\)[-+\#0]?[\d.]*[A-Za-z] | %(?:\d\$)?[-+\#0]?[\d.]*[sdifgurx](?!\w)         # %(name)s, %d, %1$s
      | \{\{[^{}]*\}\} | \{%[^{}]*%\} | \$?\{[^{}]*\} | \$[A-Za-z_]\w*                    # {{ name }}, {% tag %}, {name}, $name
      | (?:https?|ftp)://[^\s<>"]*[\w/=] | [\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]*\w           # addresses
      | `[^`]+` | (?<!\w)[A-Za-z]\w{0,64}?_\w+ | (?<!\S)--[A-Za-z][\w-]*                       # `code`, some_name, --option
      | (?<=\w)& | &(?=\w) | [][{}^$/@<>~\\]                                              # signs of the stream
      | \S{100,}                                                                         # no word; programs grow slow on it
    )+""",
    re.VERBOSE,
)
_BLANK = re.compile(r"\[(\d+)\]")
_SENTENCE_END = re.compile(r"""[.!?:;…][\])"'”’»]*$""")
# Languages with capitals in mid-sentence where others have none: I, Monday, English.
_CAPITALS = ("en", "de")
_MARKS = ".,;:!?)»”"
_WORD = re.compile(r"[^\W\d_]+")
_SPACED_MARK = re.compile(rf" +([{re.escape(_MARKS)}])")


class Message:
    """One text on its way through Apertium into `target` (BCP 47)."""

    def __init__(self, text: str, target: str) -> None:
        self._text = one_line(text)
        words = _WORD.findall(_FIXED.sub(" ", self._text))
        # Some rules write only the first letter of a word with a capital, wherever it stands.
        self._shouted = len(words) > 1 and all(map(str.isupper, words))
        self._first = words[0] if words else ""
        self._capitals = target in _CAPITALS
        self._fixed = [found[0] for found in _FIXED.finditer(self._text)]
        # A sentence without an end is tagged wrongly ("Simplified Chinese" as a verb and a noun). A single word with a full stop
        # would be an abbreviation ("No.", "Mar.").
        self._stopped = " " in self._text and not _SENTENCE_END.search(self._text)

    def sent(self) -> str:
        """Return what goes to the engine."""
        numbers = iter(range(len(self._fixed)))
        return _FIXED.sub(lambda _: f"[{next(numbers)}]", self._text) + ("." if self._stopped else "")

    def received(self, answer: str) -> str | None:
        """Return the translation in an answer; None where a piece that had to stay is lost or doubled."""
        if sorted(int(number) for number in _BLANK.findall(answer)) != list(range(len(self._fixed))):
            return None
        answer = self._tidy(answer.removesuffix(".") if self._stopped else answer)
        return one_line(_BLANK.sub(lambda found: self._fixed[int(found[1])], answer))

    def _tidy(self, answer: str) -> str:
        """Take away the spaces that words leave behind that a rule has moved or dropped."""
        if self._shouted:
            answer = answer.upper()
        elif not self._capitals:
            answer = self._uncapitalised(answer)
        if "  " not in self._text:
            answer = re.sub(" {2,}", " ", answer)
        if not _SPACED_MARK.search(self._text):
            answer = _SPACED_MARK.sub(r"\1", answer)
        return answer

    def _uncapitalised(self, answer: str) -> str:
        """Take back a capital that rules put on the first word, although the text begins without."""
        word = _WORD.search(answer)
        if word and self._first[:1].islower() and word[0].istitle():
            return answer[: word.start()] + word[0].lower() + answer[word.end() :]
        return answer
