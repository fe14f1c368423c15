"""Text in Apertium's stream format: words to translate, and numbered blanks for what must not be translated.

In the stream `[…]` is a blank, which no program changes. Placeholders, tags and addresses would be translated like words, and
characters with a meaning in the stream would have to be escaped, which not all programs support (a caret makes lrx-proc wait for ever).
Therefore each of them is replaced by a blank that has its number.
"""

from __future__ import annotations

import re

from mlctl.execution.program_text import to_single_line

#: Part of the backend's identity. Increase it when the encoding or decoding changes, so that no old translation is reused.
VERSION = "1"

_PROTECTED = re.compile(
    r"""(?:
        <!--.*?--> | </?[A-Za-z][^<>]*> | &\#?\w+;                                       # markup
      | %\(\w+\)[-+\#0]?[\d.]*[A-Za-z] | %(?:\d\$)?[-+\#0]?[\d.]*[sdifgurx](?!\w)         # %(name)s, %d, %1$s
      | \{\{[^{}]*\}\} | \{%[^{}]*%\} | \$?\{[^{}]*\} | \$[A-Za-z_]\w*                    # {{ name }}, {% tag %}, {name}, $name
      | (?:https?|ftp)://[^\s<>"]*[\w/=] | [\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]*\w           # addresses
      | `[^`]+` | (?<!\w)[A-Za-z]\w{0,64}?_\w+ | (?<!\S)--[A-Za-z][\w-]*                       # `code`, some_name, --option
      | (?<=\w)& | &(?=\w) | [][{}^$/@<>~\\]                                              # characters with a meaning in the stream
      | \S{100,}                                                                         # not a word, and slow to process
    )+""",
    re.VERBOSE,
)
_BLANK = re.compile(r"\[(\d+)\]")
_SENTENCE_END = re.compile(r"""[.!?:;…][\])"'”’»]*$""")
# Languages that capitalise words in mid-sentence where others do not: I, Monday, English.
_CAPITALISING = ("en", "de")
_MARKS = ".,;:!?)»”"
_WORD = re.compile(r"[^\W\d_]+")
_SPACED_MARK = re.compile(rf" +([{re.escape(_MARKS)}])")


class StreamText:
    """Encodes one text for translation into `target` (BCP 47), and decodes the output."""

    def __init__(self, text: str, target: str) -> None:
        self._text = to_single_line(text)
        words = _WORD.findall(_PROTECTED.sub(" ", self._text))
        # Some rules capitalise only the first letter of a word in a text in capitals.
        self._is_upper = len(words) > 1 and all(map(str.isupper, words))
        self._first_word = words[0] if words else ""
        self._is_capitalising = target in _CAPITALISING
        self._protected = [match[0] for match in _PROTECTED.finditer(self._text)]
        # A sentence without an end mark is tagged wrongly ("Simplified Chinese" as a verb and a noun), so that a full stop is added.
        # A single word with a full stop would be an abbreviation ("No.", "Mar.").
        self._has_added_stop = " " in self._text and not _SENTENCE_END.search(self._text)

    def encode(self) -> str:
        """Return the text in the stream format."""
        numbers = iter(range(len(self._protected)))
        return _PROTECTED.sub(lambda _: f"[{next(numbers)}]", self._text) + ("." if self._has_added_stop else "")

    def decode(self, output: str) -> str | None:
        """Return the translation in an output; None if a protected piece is missing or repeated."""
        if sorted(int(number) for number in _BLANK.findall(output)) != list(range(len(self._protected))):
            return None
        output = self._clean(output.removesuffix(".") if self._has_added_stop else output)
        return to_single_line(_BLANK.sub(lambda match: self._protected[int(match[1])], output))

    def _clean(self, output: str) -> str:
        """Restore the text's use of capitals, and remove the spaces around words that a rule has moved or dropped."""
        if self._is_upper:
            output = output.upper()
        elif not self._is_capitalising:
            output = self._without_initial_capital(output)
        if "  " not in self._text:
            output = re.sub(" {2,}", " ", output)
        if not _SPACED_MARK.search(self._text):
            output = _SPACED_MARK.sub(r"\1", output)
        return output

    def _without_initial_capital(self, output: str) -> str:
        """Remove a capital that rules gave to the first word, if the text begins without one."""
        word = _WORD.search(output)
        if word and self._first_word[:1].islower() and word[0].istitle():
            return output[: word.start()] + word[0].lower() + output[word.end() :]
        return output
