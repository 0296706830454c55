"""The parameters of a callback in each form of body."""

import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from providers.messagecloud_requests import request

from connector.model.errors import Unreadable
from connector.providers.form_parameters import parameters, text_parameters
from connector.providers.missing_id import made_up_id

MESSAGE = {"id": "7", "number": "4790000001", "message": "STOP blåbær & 100 %"}
BOUNDARY = "------------------------d74496d66958873e"


def multipart(fields, line_end="\r\n", boundary=BOUNDARY):
    lines = [
        line
        for name, value in fields.items()
        for line in (f"--{boundary}", f'Content-Disposition: form-data; name="{name}"', "", value)
    ]
    return line_end.join([*lines, f"--{boundary}--", ""]).encode()


def texts(asked):
    return text_parameters(asked, documented=("number",), single=("number",))


@pytest.mark.parametrize(
    "body",
    [
        urlencode(MESSAGE).encode(),
        urlencode(MESSAGE, encoding="windows-1252").encode(),
        json.dumps(MESSAGE).encode(),
        b"\xef\xbb\xbf" + json.dumps(MESSAGE, ensure_ascii=False).encode(),
        json.dumps([MESSAGE]).encode(),
        multipart(MESSAGE),
        multipart(MESSAGE, "\n", "x"),
        multipart(MESSAGE).replace(b'name="', b'charset=utf-8; Name="'),
    ],
)
def test_each_form_of_body_has_the_same_parameters(body):
    assert dict(parameters(request(body=body))) == MESSAGE
    assert next(iter(parameters(request(query="a=1", body=body)))) == ("a", "1")


def test_a_multipart_value_may_have_several_lines_and_a_file_is_left_out():
    body = multipart({"message": "first\r\n\r\nsecond", "id": ""})
    assert dict(parameters(request(body=body))) == {"message": "first\r\n\r\nsecond", "id": ""}
    body = body.replace(b'name="message"', b'name="message"; filename="a.txt"')
    assert dict(parameters(request(body=body))) == {"id": ""}


def test_json_values_can_be_read_as_texts():
    body = {
        "id": 7,
        "flag": True,
        "price": 1.5,
        "more": {"a": [1]},
        "none": None,
        "text": "x",
        "one": ["y"],
        "two": ["y", 2],
    }
    body = json.dumps(body).encode()
    assert texts(request(body=body)) == {
        "id": "7",
        "flag": "true",
        "price": "1.5",
        "more": '{"a":[1]}',
        "text": "x",
        "one": "y",
        "two": '["y",2]',
    }


def test_the_first_value_that_is_not_blank_counts():
    assert texts(request(query="a=&a=1&a=2&b=+", body=b"a=3&b=4")) == {"a": "1", "b": "4"}


@pytest.mark.parametrize("body", [b"Number=1&Number=2", b"number=1&number=&number=2"])
def test_two_different_values_of_a_single_name_are_unreadable(body):
    with pytest.raises(Unreadable, match="umber occurs twice"):
        texts(request(body=body))
    assert texts(request(body=b"number=1&number=&number=+1+")) == {"number": "1"}


@given(st.binary(max_size=100))
def test_any_body_has_parameters_or_is_unreadable(data):
    for body in (data, b"{" + data, b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n" + data):
        try:
            read = list(texts(request(body=body)).items())
        except Unreadable:
            continue
        assert all(type(name) is type(value) is str and "\x00" not in name + value for name, value in read)


def test_a_made_up_id_tells_contents_apart():
    ids = {made_up_id("a", "b"), made_up_id("ab", ""), made_up_id("a", None, "b"), made_up_id("\udcff", "b")}
    assert len(ids) == 4
    assert made_up_id("a", None) == made_up_id("a", "")
