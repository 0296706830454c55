"""Decoding of bytes with an unknown encoding."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from connector.model.text_encoding import half_pairs_joined, read_text, without_controls

TEARS = "\U0001f622"
LATIN = "abcxyz ABC 0159 .,!?-æøåÆØÅäöüßéÉñ"
WINDOWS = LATIN + "€“”\u2018\u2019\u2013—…•™šžŸ"
SENTENCES = [
    "STOP",
    "blåbær på GÅRDEN",
    "“Takk!” \u2013 100€ …",
    "Grüße, señor",
    "zażółć gęślą jaźń",
    "стоп подписку",
    "στοπ",
    "停止 订阅",
    f"STOP {TEARS}{TEARS}",
    f"{TEARS} nei takk",
]
EUROPEAN = SENTENCES[:5]


@pytest.mark.parametrize("text", SENTENCES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_in_an_encoding_that_shows_itself_is_read(text, encoding):
    assert read_text(text.encode(encoding)) == text


@pytest.mark.parametrize("text", EUROPEAN)
@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
def test_every_other_byte_nul_is_utf_16(text, encoding):
    assert read_text(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("text", [f"STOP {TEARS}", f"STOP {TEARS}{TEARS}", "100 €", "KATT “STOP”", "å", "På"])
def test_characters_of_utf_16_without_a_nul_byte_are_kept(text, encoding):
    data = text.encode(encoding)
    assert read_text(data) == text
    assert read_text(data + b"\x00\x00") == text  # as C programs end their texts


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
@pytest.mark.parametrize("text", ["STOP på", f"STOP {TEARS}"])
def test_utf_16_that_is_cut_in_a_character_keeps_the_rest(text, encoding):
    for lost in (1, 2, 3):
        assert read_text(text.encode(encoding)[:-lost]).startswith("STOP ")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"STOP\x00", "STOP"),
        (b"STOP\x00\x00\x00\x00", "STOP"),
        (b"\x00STOP", "STOP"),
        (b"ST\x00OP", "STOP"),
        (b"STO\x00P", "STOP"),
        (b"ab\x00c", "abc"),
        (b"\xc3\xa5\x00b\x00b", "åbb"),
        (b"\x00\x00", ""),
        (b"", ""),
    ],
)
def test_a_stray_nul_says_nothing(data, text):
    assert read_text(data) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"HJ\xc6LP p\xe5", "HJÆLP på"),
        (b"100\x80 \x93takk\x94", "100€ “takk”"),
        (b"\x93BL\xc5\x94 p\xe5", "“BLÅ” på"),
        (b"\xe5", "å"),
        (b"caf\xe9 \x96 na\xefve", "café \u2013 naïve"),
        (b"a\x81b\x8d\x8f\x90\x9d", "a\ufffdb\ufffd\ufffd\ufffd\ufffd"),  # without a character in windows-1252
    ],
)
def test_what_is_no_utf_8_is_windows_1252(data, text):
    assert read_text(data) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("blåbær ".encode() + b"\xf0\x9f\x98", "blåbær \ufffd"),
        (b"STOP \xf0\x9f\x98", "STOP \ufffd"),
        (b"STOP \xf0\x9f", "STOP \ufffd"),
        (b"STOP \xf0", "STOP \ufffd"),
        (b"STOP \xe2\x82", "STOP \ufffd"),
        (b"\x9f\x98\xa2 STOP", "\ufffd\ufffd\ufffd STOP"),
        ("blå".encode() + b"\xff" + "bær".encode(), "blå\ufffdbær"),
        ("blåbær p".encode() + b"\xe5", "blåbær p\ufffd"),
        ("å ".encode() + b"\xff a \xfe b \xfd", "å \ufffd a \ufffd b \ufffd"),
    ],
)
def test_a_damaged_place_in_utf_8_spoils_nothing_else(data, text):
    assert read_text(data) == text


def test_emoji_in_halves_are_read_as_older_databases_write_them():
    assert read_text(b"STOP \xed\xa0\xbd\xed\xb8\xa2") == f"STOP {TEARS}"
    assert read_text(b"STOP \xed\xa0\xbd").startswith("STOP \ufffd")
    assert half_pairs_joined("a\ud83d\ude22b\ud83d") == f"a{TEARS}b\ufffd"


@pytest.mark.parametrize(
    ("text", "clean"), [("a\x00b\x1b\x7f\tc\r\nd", "ab\tc\r\nd"), ("100\x80\x81", "100€"), ("a b", "a b")]
)
def test_control_characters_are_left_out_or_what_windows_means_by_them(text, clean):
    assert without_controls(text) == clean
    assert read_text(text.encode()) == clean


@given(st.binary(max_size=200))
def test_any_bytes_are_a_text_without_control_characters(data):
    text = read_text(data)
    assert not {char for char in text if unicodedata.category(char) in {"Cc", "Cs"}} - set("\t\r\n")
    assert without_controls(text) == text


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"))))
def test_any_text_in_utf_8_is_itself(text):
    assume(not text.startswith("\ufeff"))
    assert read_text(text.encode()) == text


@given(st.text(WINDOWS, min_size=1))
def test_any_european_text_in_windows_1252_is_itself_unless_it_looks_like_utf_8(text):
    data = text.encode("cp1252")
    # A sign behind a letter that begins a sequence of UTF-8 may be taken for the rest of it: `Å”` is `Ŕ` too.
    assume(not any(0xC2 <= one <= 0xF4 and 0x80 <= next_ <= 0xBF for one, next_ in pairwise(data)))
    assume(not data.endswith(b"\xf0"))
    assume(not data.startswith(b"\x9f"))
    assert read_text(data) == text


@given(st.text(LATIN, min_size=1), st.sampled_from(["utf-16-be", "utf-16-le"]))
def test_any_latin_text_in_utf_16_is_itself(text, encoding):
    assert read_text(text.encode(encoding)) == text


@given(st.text(WINDOWS + "ąęłжя日本" + TEARS, min_size=2), st.integers(0), st.integers(0, 255))
def test_a_change_of_one_byte_of_utf_8_keeps_the_rest(text, place, byte):
    data = bytearray(text.encode())
    place %= len(data)
    data[place] = byte
    at = len(bytes(data[:place]).decode(errors="ignore"))  # the character that was changed
    before, after = text[:at], text[at + 1 :]
    # Where nothing else tells of UTF-8, the damaged place is read as windows-1252: the rest is ASCII then.
    read = read_text(bytes(data))
    assert read.startswith(without_controls(before))
    if len(data) - place > 4:
        assert read.endswith(after[1:])
