"""Two files with the same rules, ignored files, and values that no phone, email or Id field can hold."""

import pytest
from mapping.crm_schema import CRM

from connector.mapping.compile.context import Context
from connector.mapping.compile.ruleset import load_mappings

WRITES = 'on: strex.delivery_report\nrules: [{name: a, do: [{upsert: C, key: {K__c: "{key}"}, set: {A__c: x}}]}]\n'
WAY_BACK = """on: sf.change
feed: {object: Contact, fields: [Opt_Out__c, MobilePhone]}
rules:
  - name: NAME
    when: {record.Opt_Out__c: true}
    do: [{command: unsubscribe, phone: "{record.MobilePhone}", to: active_subscriptions}]
    consent: opt_out
"""


def test_a_copied_file_that_only_writes_is_a_warning(compiled):
    (warning,) = compiled(WRITES, WRITES).warnings
    assert str(warning).startswith("2.yaml:2:1: the rules are those of 1.yaml: everything is written twice")
    assert "remove one of the two" in warning.hint
    assert compiled(WRITES, WRITES.replace("A__c: x", "A__c: y")).warnings == ()
    assert compiled(WRITES, WRITES.replace("delivery_report", "message")).warnings == ()


def test_a_command_that_two_files_send_for_one_event_is_an_error(problems):
    (found,) = problems(WAY_BACK.replace("NAME", "one"), WAY_BACK.replace("NAME", "two"))
    assert found.startswith("2.yaml:6:10: 1.yaml:6 sends this command too, so that one event sends it twice")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("object: Contact", "object: Lead"),
        ("{record.Opt_Out__c: true}", "{record.Opt_Out__c: false}"),
        ("command: unsubscribe", "command: stop"),
    ],
)
def test_two_files_may_send_different_commands_or_for_different_events(compiled, old, new):
    assert compiled(WAY_BACK, WAY_BACK.replace(old, new))


@pytest.fixture
def unread(tmp_path, context):
    def warnings(*names):
        (tmp_path / "a.yaml").write_text(WRITES)
        for name in names:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("x")
        return [(one.code, str(one)) for one in load_mappings(tmp_path, context).warnings]

    return warnings


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("strex.yaml.txt", "strex.yaml"),
        ("strex.YAML", "strex.yaml"),
        ("strex.yaml~", "strex.yaml"),
        ("strex.yml.bak", "strex.yml"),
        ("strex.json", "strex.yaml"),
        ("strex.txt", "strex.yaml"),
    ],
)
def test_a_file_that_is_not_read_is_named(unread, name, meant):
    assert unread(name) == [
        (
            "unread-file",
            f"{name}: this file is not read: a mapping ends in .yaml (rename it to {meant}, or take it out of the folder)",
        )
    ]


def test_for_a_backup_copy_of_an_editor_the_cure_is_to_remove_it(unread):
    ((_, text),) = unread("a.yaml~")
    assert text.endswith("(take it out of the folder)")


def test_a_subfolder_with_mappings_is_reported_except_the_shipped_sets(unread):
    assert [text for _, text in unread("old/b.yaml", "more/c.yaml", "npsp/d.yaml", "pictures/logo.png")] == [
        "old: the files in this folder are not read (move those that are meant to be used out of it)"
    ]


def test_notes_and_hidden_files_are_not_reported(unread):
    assert unread("README.md", "README", ".a.yaml.swp", ".gitkeep") == []


# What phone, e-mail and Id fields can hold.


@pytest.fixture
def emitted(compiled):
    def problems(field, value):
        rules = compiled(
            "on: strex.message\nrules:\n  - name: a\n    do:\n"
            f'      - {{update: Contact, key: {{SMS_Key__c: "{{key}}"}}, set: {{{field}: {value}}}}}\n',
            context=Context(sources=["strex.message"], crms=("sf",)),
        )
        return [str(one) for one in rules.misfits({"sf": CRM})]

    return problems


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        (
            "MobilePhone",
            '"$ {msisdn}"',
            "`Contact.MobilePhone` takes a phone number, and `$` cannot be a part of one (write",
        ),
        ("MobilePhone", "unknown", "cannot be a part of one"),
        ("MobilePhone", '"{keyword}"', "and `keyword` is none"),
        ("Email", "donor at example.org", "`Contact.Email` takes an e-mail address"),
        ("Email", "example.org", "and `example.org` is none"),
        ("Email", '"{msisdn}"', "and `msisdn` is none"),
        (
            "AccountId",
            '"Acme Inc."',
            "`Contact.AccountId` takes the Id of a record, and `Acme Inc.` cannot be a part of one",
        ),
        ("AccountId", '"{msisdn}"', "and `msisdn` is none"),
    ],
)
def test_a_constant_that_can_never_be_valid_is_an_error(emitted, field, value, problem):
    (found,) = emitted(field, value)
    assert problem in found


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("MobilePhone", '"{msisdn}"'),
        ("MobilePhone", '"+47 {properties.number?} (0) ext. 5"'),
        ("MobilePhone", "null"),
        ("MobilePhone", "{from: text, extract: number}"),
        ("Email", "{from: properties.email, truncate: 80}"),
        ("Email", '"{properties.name}@example.org"'),
        ("Email", "nobody@example.org"),
        ("AccountId", '"{properties.SfAccountId}"'),
        ("AccountId", "001000000000001AAA"),
        ("LastName", '"$ {msisdn}"'),
    ],
)
def test_a_constant_that_may_be_valid_is_accepted(emitted, field, value):
    assert emitted(field, value) == []
