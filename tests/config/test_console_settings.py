from typing import Literal

import pytest

from connector.config.console_settings import Role
from connector.config.passwords import NOBODY, is_password, is_password_hash, password_hash
from connector.config.settings import config_model
from connector.config.validation import Strict, load
from connector.config.yaml_document import parse
from connector.model.problem import ProblemsFound


class Plain(Strict):
    type: Literal["plain"] = "plain"


CONFIG = config_model(Plain, Plain, Plain)
REST = "providers: {plain: {}}\ncrm: {plain: {}}\n"


def console_of(text):
    return load(parse(f"{text}\n{REST}", "c.yaml"), CONFIG).console


@pytest.mark.parametrize(
    ("text", "words", "cure"),
    [
        ("console: {users: {kari: {role: admin}}}", "kari cannot sign in", "connector console password"),
        (
            "console: {users: {kari: {password_hash: secret}}}",
            "not the hash of a password",
            "connector console password",
        ),
        ("console: {users: {kari: {role: boss}}}", "boss", "viewer"),
        ("console: {users: {'ka ri': {}}}", "ka ri", ""),
        (
            "console: {public_url: 'https://a.example/console'}",
            "not an address without a path",
            "https://connector.example",
        ),
        ("console: {public_url: connector.example.org}", "not an address", "https://connector.example.org"),
        ("console: {hosts: ['https://a.example']}", "", ""),
        ("console: {proxy_header: X-User}", "no proxy is trusted", "listen: trusted_proxies"),
        ("console: {proxy_header: 'X User'}", "", ""),
        ("console: {url: 'https://a.example'}", "url", "public_url"),
    ],
)
def test_invalid_settings_are_reported_with_a_cure(text, words, cure):
    with pytest.raises(ProblemsFound) as caught:
        console_of(text)
    said = str(caught.value)
    assert words in said
    assert cure in said


def test_people_behind_a_proxy_need_no_password():
    made = console_of(
        "listen: {trusted_proxies: [127.0.0.1]}\nconsole: {proxy_header: X-User, users: {kari: {role: operator}}}"
    )
    assert made.users["kari"].role is Role.OPERATOR
    assert console_of("").users == {}


@pytest.mark.parametrize(
    ("role", "may"),
    [(Role.VIEWER, [True, False, False]), (Role.OPERATOR, [True, True, False]), (Role.ADMIN, [True, True, True])],
)
def test_each_role_includes_the_rights_of_the_roles_before_it(role, may):
    assert [role.may(needed) for needed in Role] == may


def test_only_the_password_itself_has_its_hash_and_no_two_hashes_are_equal():
    one, other = password_hash("blåbærsyltetøy"), password_hash("blåbærsyltetøy")
    assert one != other
    assert is_password("blåbærsyltetøy", one)
    assert not is_password("blabarsyltetoy", one)
    assert "syltet" not in one


@pytest.mark.parametrize("cut", [slice(0, -4), slice(7, None), slice(0, 0)])
def test_a_truncated_password_hash_is_refused(cut):
    whole = password_hash("correct horse", bytes(16))
    assert is_password_hash(whole)
    assert not is_password_hash(whole[cut])


@pytest.mark.parametrize(
    "text", ["bcrypt:1:2:3:a:b", "scrypt:1024:8:1:AAAA:AAAA", NOBODY.replace("A=", "?="), "scrypt"]
)
def test_a_password_hash_of_another_kind_is_refused(text):
    assert not is_password_hash(text)


def test_the_hash_for_unknown_users_is_well_formed():
    assert is_password_hash(NOBODY)
