"""Texts of strangers where a terminal shows them: it obeys nothing in them, and none of them can look like a line of ours."""

import json
import re

LINE_END = "\u23ce"  # the return symbol, where a text went on in a new line
UNKNOWN = "\ufffd"  # in place of what cannot be seen: control characters, marks of writing direction, halves of emoji
# The line ends that str.splitlines() knows.
LINE_ENDS = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def on_one_line(value: object) -> str:
    """The value as text that stands on one line and holds nothing that a terminal would obey."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else UNKNOWN for letter in LINE_ENDS.sub(LINE_END, text))


def escaped(document: str) -> str:
    r"""A JSON document with the same meaning, in which what a terminal would obey is written `\u009b`; its own line ends stay."""
    if document.isprintable():
        return document
    return "".join(
        letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in document
    )
