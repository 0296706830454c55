"""Decodes bytes of unknown encoding, and removes control characters. Pure; knows no provider and no CRM.

All external text passes through here when it enters (forms, queries, JSON), and not when it leaves. Stop words,
keywords and ids are read from the same text that the CRM gets; the check runs once a callback and not once a field;
no sink can forget it. The raw body of a callback is stored as received.
"""

import re

NUL = b"\x00"
# Byte order marks. Some .NET senders write the one of UTF-8.
UTF_8_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = {b"\xfe\xff": "utf-16-be", b"\xff\xfe": "utf-16-le"}
REPLACEMENT = "\ufffd"
# WHATWG, Encoding, "windows-1252": text labelled ISO 8859-1 is windows-1252. Five bytes have no character there.
_WINDOWS_1252 = "".join(bytes([byte]).decode("cp1252", "replace") for byte in range(256))

# Evidence for UTF-8. The leads C2 and C3 (Latin letters and signs), E2 (quotes, dashes, the euro) and F0 (emoji) begin
# nothing that people write in windows-1252: there they are Â, Ã, â and ð followed by a sign. A sequence that is cut
# off, at the end or the beginning of a text, counts as much, so that half an emoji does not spoil the rest. ED starts
# one half of a character outside the basic plane, as Java and older databases write it (CESU-8).
_SEQUENCE = re.compile(
    rb"(?P<telling>[\xc2\xc3][\x80-\xbf]|\xe2[\x80-\xbf]{1,2}|\xf0[\x90-\xbf][\x80-\xbf]{0,2}|\xed[\xa0-\xbf][\x80-\xbf]"
    rb"|\A\x9f[\x80-\xbf]{2}|(?<![A-Za-z\x80-\xff])\xf0\Z)"
    # Any other well-formed sequence.
    rb"|[\xc4-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf1-\xf4][\x80-\xbf]{3}"
    # One damaged place: what one wrong byte can leave of a character, in a row or with an ASCII character in the
    # middle.
    rb"|(?P<damaged>[\xe0-\xf4][\x80-\xbf]{0,2}[\x00-\x7f][\x80-\xbf]{1,2}"
    rb"|[\x80-\xff](?:(?![\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})[\x80-\xff]){0,3})"
)
TELLING = 3  # how many damaged places one telling sequence outweighs
_CESU_8_PAIR = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")


def read_text(data: bytes) -> str:
    """The text of the bytes, whichever encoding their sender used. Never raises; the result has no control characters.

    The bytes themselves decide, because the declared encoding is often wrong:

    1. UTF-8, if all of it is well formed. 2. UTF-16 in either order, by its mark, or if every other byte is NUL (see
    `_utf_16`). Any other NUL is removed. 3. UTF-8 with damaged places, each of which becomes U+FFFD, if the
    well-formed sequences outweigh them. 4. windows-1252, which includes ISO 8859-1; the five bytes without a
    character become U+FFFD.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return without_controls(_odd_text(data))
    if text.isprintable():
        return text
    return without_controls(_odd_text(data) if NUL in data or text[0] == "\ufeff" else text)


def _odd_text(data: bytes) -> str:
    marked = UTF_16_MARKS.get(data[:2])
    if marked is not None:
        return _decode_16(data[2:], marked)
    data = data.removeprefix(UTF_8_MARK)
    if NUL in data:
        order = _utf_16(data)
        if order is not None:
            return _decode_16(data, order)
        data = data.replace(NUL, b"")
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    if _is_utf_8(data):
        joined = _CESU_8_PAIR.sub(
            lambda pair: half_pairs_joined(pair[0].decode("utf-8", "surrogatepass")).encode(), data
        )
        return joined.decode("utf-8", "replace")
    return data.decode("latin-1").translate(_HIGH_BYTES)


def _utf_16(data: bytes) -> str | None:
    """The byte order, if the bytes are UTF-16 without a mark; None if they are not.

    All NULs must be the first bytes of the pairs, or all the second, and occur in at least half of the pairs.
    European texts have NULs in nearly all pairs; other letters and emoji have none. If the bytes without their NULs
    are plain ASCII, three quarters are required, so that a few stray NULs in a plain text do not make two letters
    one. If they are UTF-8 beyond ASCII, the text is UTF-8. One NUL alone is evidence only in a single pair, and NULs
    at the end only fill a field.
    """
    data = data.rstrip(NUL)
    pairs = (len(data) + 1) // 2
    first, second = data[::2].count(NUL), data[1::2].count(NUL)
    if (first and second) or (first + second == 1 and pairs > 1):
        return None
    if len(data) % 2 and second:
        second += 1  # the last pair's NUL was removed as filling
    found = max(first, second)
    plain = data.replace(NUL, b"")
    least = 3 * pairs if plain.isascii() else 2 * pairs
    if 4 * found < least or (not plain.isascii() and _is_well_formed(plain)):
        return None
    return "utf-16-be" if first else "utf-16-le"


def _is_well_formed(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decode_16(data: bytes, order: str) -> str:
    if len(data) % 2:
        # The end was a NUL that was stripped, or a character that was cut in two.
        data = data + NUL if order == "utf-16-le" and data[-1] else data[:-1]
    return data.decode(order, "replace")


def _is_utf_8(data: bytes) -> bool:
    evidence = damaged = 0
    for found in _SEQUENCE.finditer(data):
        if found["damaged"] is not None:
            damaged += 1
        else:
            evidence += 1 if found["telling"] is None else TELLING
    return evidence > 0 and evidence >= damaged


def half_pairs_joined(text: str) -> str:
    """The text with both halves of a surrogate pair joined to the character that they mean, and each lone half as U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# U+0080 to U+009F appear when a sender took windows-1252 for ISO 8859-1. As in HTML (WHATWG, "numeric character
# reference end state"), they are read as windows-1252. All other control characters except tab and line breaks are
# removed.
_HIGH_BYTES = {code: _WINDOWS_1252[code] for code in range(0x80, 0xA0)}
_CONTROLS: dict[int, str | None] = {
    **{code: None for code in (*range(0x20), 0x7F) if chr(code) not in "\t\n\r"},
    **{code: char for code, char in _HIGH_BYTES.items() if char != REPLACEMENT},
    **{code: None for code, char in _HIGH_BYTES.items() if char == REPLACEMENT},
}


def without_controls(text: str) -> str:
    """The text without control characters, except tab and line breaks."""
    return text if text.isprintable() else text.translate(_CONTROLS)
