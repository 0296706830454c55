"""Files that are no text in UTF-8, or that cannot be read: what they are, and the cure."""

import errno
from pathlib import Path

SAVE_AS_TEXT = "copy the text into a text editor, such as Notepad, and save it there with the encoding UTF-8"
SAVE_AS_UTF8 = "save it with the encoding UTF-8: in Notepad under Save as, Encoding"
OTHER_PROGRAMS = (
    (b"\xff\xfe", "the file is in UTF-16", SAVE_AS_UTF8),
    (b"\xfe\xff", "the file is in UTF-16", SAVE_AS_UTF8),
    (b"PK\x03\x04", "this is a file of Word, Excel or another office program, and no text", SAVE_AS_TEXT),
    (b"\xd0\xcf\x11\xe0", "this is a file of Word, Excel or another office program, and no text", SAVE_AS_TEXT),
    (b"{\\rtf", "this is a formatted text (RTF) and no plain text", SAVE_AS_TEXT),
    (b"%PDF", "this is a PDF and no text", SAVE_AS_TEXT),
    (b"<!", "this is a web page and no YAML", "download the file itself: on GitHub by the button Raw"),
    (b"<html", "this is a web page and no YAML", "download the file itself: on GitHub by the button Raw"),
)


def why_unreadable(path: Path, error: OSError) -> tuple[str, str]:
    """Message and cure for a file that cannot be read."""
    if path.is_symlink() and error.errno in {errno.ENOENT, errno.ELOOP}:
        what = "leads to a file that is not there" if error.errno == errno.ENOENT else "leads back to itself"
        return f"this is a link, and it {what}", "remove the link, or let it lead to a file"
    if error.errno == errno.EISDIR:
        return "this is a folder, and its name is that of a file", "rename it, or move it to another place"
    if error.errno == errno.EACCES:
        return (
            "the file cannot be read: Permission denied",
            "let the service's user read it (chown or chmod); a command also reads it under sudo",
        )
    return (
        f"the file cannot be read: {error.strerror or type(error).__name__}",
        "check that it exists and that the service's user may read it",
    )


def why_not_text(data: bytes) -> tuple[str, str] | None:
    """Message and cure for a file of another program, by the bytes at its beginning."""
    for begin, what, cure in OTHER_PROGRAMS:
        if data.startswith(begin):
            return what, cure
    if b"\0" in data[:200]:
        return OTHER_PROGRAMS[0][1:]
    return None
