import json

import pytest

from connector.model.terminal_text import escaped, on_one_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Blåbær & 日本 🎉", "Blåbær & 日本 🎉"),
        ("a\nb", "a⏎b"),
        ("a\r\nb\rc", "a⏎b⏎c"),
        ("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg", "a⏎b⏎c⏎d⏎e⏎f⏎g"),
        ("\x1b[2J\x9b31m\x07\x00\x7f\t", "�[2J�31m����"),
        ("\u202e\u2066\u200f\u200b\ufeff\ud83d", "������"),
        (12.5, "12.5"),
    ],
)
def test_a_text_is_shown_on_one_line_without_control_characters(text, shown):
    assert on_one_line(text) == shown


def test_every_line_end_that_python_knows_is_one():
    ends = [chr(code) for code in range(0x110000) if len(f"a{chr(code)}b".splitlines()) > 1]
    assert {on_one_line(f"a{end}b") for end in ends} == {"a⏎b"}


def test_a_json_document_keeps_its_meaning_and_its_lines():
    document = {"text": "a\n\x1b\x9b\u2028\u202e\x7f\U000e0041🎉å", "n": [1]}
    written = escaped(json.dumps(document, ensure_ascii=False, indent=2))
    assert json.loads(written) == document
    assert written.replace("\n", "").isprintable()
    assert len(written.splitlines()) == 6
    assert "🎉å" in written
