import os

import pytest

from connector.config.secrets import SecretMissing, SecretRef, oddities, resolve
from connector.config.validation import load
from connector.config.yaml_document import parse
from connector.model.problem import ProblemsFound


def private(path, data: bytes, mode: int = 0o600):
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("data", [b"s3cret", b"s3cret\n", b"s3cret\r\n", b"\xef\xbb\xbfs3cret\r\n"])
def test_a_file_gives_its_secret_without_one_newline(tmp_path, data):
    private(tmp_path / "key", data)
    assert resolve(SecretRef(file="key"), tmp_path).get_secret_value() == "s3cret"


def test_only_one_newline_is_taken_off(tmp_path):
    private(tmp_path / "key", b"-----END-----\n\n")
    assert resolve(SecretRef(file="key"), tmp_path).get_secret_value() == "-----END-----\n"


def test_a_credential_is_read_from_the_directory_that_systemd_names(tmp_path):
    # systemd shows the group bits of an access list on its own files.
    private(tmp_path / "sf-key", b"s3cret\n", 0o440)
    made = resolve(SecretRef(credential="sf-key"), tmp_path / "elsewhere", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert made.get_secret_value() == "s3cret"


def test_an_environment_variable_is_read(tmp_path):
    assert resolve(SecretRef(env="KEY"), tmp_path, {"KEY": "s3cret"}).get_secret_value() == "s3cret"


def test_the_value_of_a_secret_is_in_no_repr_or_message(tmp_path):
    assert "s3cret" not in repr(resolve(SecretRef(env="KEY"), tmp_path, {"KEY": "s3cret"}))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_file_that_others_can_read_is_refused(tmp_path, mode):
    private(tmp_path / "key", b"s3cret", mode)
    with pytest.raises(SecretMissing, match="chmod 600"):
        resolve(SecretRef(file="key"), tmp_path)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "No such file"),
        (lambda path: private(path, b""), "is empty"),
        (lambda path: private(path, b"\n"), "is empty"),
        (lambda path: private(path, b"\xff\xfe"), "UTF-8"),
        (lambda path: private(path, b"x" * 70_000), "larger than 64 KiB"),
        (lambda path: path.mkdir(), "not a file"),
        (lambda path: os.mkfifo(path, 0o600), "not a file"),
    ],
)
def test_a_file_that_cannot_be_a_secret_is_refused_with_a_cure(tmp_path, make, words):
    make(tmp_path / "key")
    with pytest.raises(SecretMissing, match=words):
        resolve(SecretRef(file="key"), tmp_path)


def test_a_missing_credential_or_variable_says_what_to_do(tmp_path):
    with pytest.raises(SecretMissing, match="LoadCredential=sf-key"):
        resolve(SecretRef(credential="sf-key"), tmp_path, {})
    with pytest.raises(SecretMissing, match="set it for the service"):
        resolve(SecretRef(env="KEY"), tmp_path, {})


@pytest.mark.parametrize(
    "text",
    ["{}", "{file: a, env: B}", "{credential: ../../etc/passwd}", "{credential: ..}", "{value: s3cret}", "s3cret"],
)
def test_a_secret_is_named_by_exactly_one_place_and_never_inline(text):
    with pytest.raises(ProblemsFound) as caught:
        load(parse(text, "f.yaml"), SecretRef)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (" s3cret", "begins or ends with a blank"),
        ("s3cret\t", "begins or ends with a blank"),
        ('"s3cret"', "has quotes around it"),
        ("\u201ds3cret\u201d", "has quotes around it"),
        ("s3cret\nof last year", "has several lines"),
    ],
)
def test_quotes_blanks_and_line_breaks_around_a_secret_are_reported(secret, words):
    (oddity,) = oddities(secret, in_path=False)
    assert words in oddity
    assert "s3cret" not in oddity


@pytest.mark.parametrize("secret", ["s3cret", "a b", "blåbær", "-----BEGIN PRIVATE KEY-----\nabc\n-----END-----\n"])
def test_a_normal_secret_has_no_oddity(secret):
    assert oddities(secret, in_path=False) == []


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("abc/def/abc/def/abc", "cannot be a part of an address"),
        ("blåbærsyltetøy og kaffe", "cannot be a part of an address"),
        ("katt", "can be guessed"),
    ],
)
def test_a_secret_in_an_address_needs_letters_that_an_address_can_have_and_enough_of_them(secret, words):
    (oddity,) = oddities(secret, in_path=True)
    assert words in oddity
    assert oddities("0123456789abcdef", in_path=True) == []
