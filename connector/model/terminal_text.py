"""Makes untrusted text safe for a terminal: it controls nothing, and cannot look like a line of ours."""

import json
import re

LINE_END = "\u23ce"  # the return symbol, in place of a line break
UNKNOWN = "\ufffd"  # in place of what cannot be seen: control characters, marks of writing direction, halves of emoji
# The line ends that str.splitlines() knows.
LINE_ENDS = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")


def on_one_line(value: object) -> str:
    """The value as text on one line, without anything that a terminal would interpret."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else UNKNOWN for letter in LINE_ENDS.sub(LINE_END, text))


def escaped(document: str) -> str:
    r"""A JSON document with the same meaning, with terminal control characters escaped as `\u009b`; its own line ends stay."""
    if document.isprintable():
        return document
    return "".join(
        letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1] for letter in document
    )
