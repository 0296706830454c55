from datetime import timedelta

import pytest

from connector.mapping.compile.ruleset import Ruleset, load_mappings
from connector.model.problem import ProblemsFound

HEAD = "on: strex.delivery_report\nrules:\n"
WRITE = '    do: [{upsert: Contact, key: {Key__c: "{msisdn}"}%s}]\n'
CHANGE = "on: sf.change\nfeed: {object: Contact, fields: [MobilePhone, Opt_Out__c]}\nrules:\n"


def rule(body: str, name: str = "one") -> str:
    return f"{HEAD}  - name: {name}\n{body}"


def command(body: str) -> str:
    return f"{CHANGE}  - name: one\n    do: [{{{body}}}]\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "on: strex.mesage\nrules: [{name: a, ignore: true}]",
            "1:5: `strex.mesage` is not a source of events (did you mean `strex.message`?)",
        ),
        ("on: [strex.message, strex.message]\nrules: [{name: a, ignore: true}]", "1:21: `strex.message` is here twice"),
        ("on: sf.change\nrules: [{name: a, ignore: true}]", "1:5: this does not say which object is watched"),
        (
            "on: [sf.change, strex.message]\nfeed: {object: C, fields: [F]}\nrules: [{name: a, ignore: true}]",
            "1:5: changes in a CRM and other events",
        ),
        (
            "on: strex.message\nfeed: {object: C, fields: [F]}\nrules: [{name: a, ignore: true}]",
            "2:1: `feed` is for changes in a CRM alone",
        ),
        ("on: strex.message\nrules: []", "2:8: `rules` needs at least 1"),
        (rule("    ignore: true\n    match: x\n"), "5:5: unknown key `match`"),
        (rule("    whem: {action: A}\n    ignore: true\n"), "4:5: unknown key `whem` (did you mean `when`?)"),
        (rule("    when: {}\n    ignore: true\n"), "4:11: `when` without a condition"),
        (
            rule("    when: {acton: A}\n    ignore: true\n"),
            "4:12: an event has no field `acton` (did you mean `action`?",
        ),
        (
            rule("    when: {action: null}\n    ignore: true\n"),
            "4:20: a value to compare with is missing (for blank values write {missing: true})",
        ),
        (rule('    when: {action: [A, ""]}\n    ignore: true\n'), "4:20: a value to compare with is missing"),
        (rule("    when: {action: {lik: A}}\n    ignore: true\n"), "4:21: unknown key `lik` (did you mean `like`?)"),
        (rule("    when: {action: {}}\n    ignore: true\n"), "4:20: a test that tests nothing"),
        (rule("    when: {price: {above: many}}\n    ignore: true\n"), "4:27: a number is expected here"),
        (
            rule("    when: {price: {missing: true, above: 5}}\n    ignore: true\n"),
            "4:19: what is missing meets no other test",
        ),
        (rule("    when: {action: {like: ''}}\n    ignore: true\n"), "4:27: a pattern is missing"),
        (rule(""), "3:5: the rule `one` does nothing (add `do:`, or `ignore: true`)"),
        (rule("    ignore: true\n" + WRITE % ""), "4:5: a rule ignores an event or does something"),
        (
            rule("    do: [{insert: Contact}]\n"),
            "4:10: this says nothing that is to be done (write one of upsert:, update:, command:, record:, post:, row:, event:)",
        ),
        (rule("    do: [{upsert: Contact}]\n"), "4:10: a record is named by `key`, by `match` or by `id`"),
        (
            rule('    do: [{upsert: Contact, key: {A__c: "{key}"}, id: "{key}"}]\n'),
            "4:10: a record is named by `key`, by `match` or by `id`",
        ),
        (rule('    do: [{upsert: Contact, key: {A__c: "{key}", B__c: "{key}"}}]\n'), "4:33: `key` takes at most 1"),
        (rule("    do: [{upsert: Contact, key: {A__c: {B__c: x}}}]\n"), "4:40: a parent record cannot stand here"),
        (rule("    do: [{upsert: Contact, key: {A__c: }}]\n"), "4:34: a key needs a value"),
        (
            rule('    do: [{upsert: "Con tact", key: {A__c: "{key}"}}]\n'),
            "4:19: this text does not have the expected form",
        ),
        (rule('    do: [{update: Contact, key: {A__c: "{key}"}, create: {B__c: 1}}]\n'), "4:50: unknown key `create`"),
        (
            rule('    do: [{upsert: Contact, id: "{key}", create: {B__c: 1}}]\n'),
            "4:50: a record that has an Id is not created",
        ),
        (rule(WRITE % ", set: {A__c: 1}, create: {A__c: 2}"), "4:80: `A__c` is in `set` too"),
        (rule(WRITE % ", set: {Key__c: 1}"), "4:61: the key field is written by `key`"),
        (rule(WRITE % ", crm: dynamics"), "4:60: `dynamics` is not a CRM (known: sf)"),
        (rule(WRITE % ", set: {A__c: }"), "4:66: `A__c` has no value (write null to empty the field"),
        (rule(WRITE % ', set: {A__c: "{msisdm}"}'), "4:67: an event has no field `msisdm` (did you mean `msisdn`?"),
        (rule(WRITE % ', set: {A__c: "{msisdn"}'), "4:67: a `{` in `{msisdn` is never closed"),
        (rule(WRITE % ", set: {A__c: {from: '{msisdn}'}}"), "4:74: `{msisdn}` is not a path (write it without braces"),
        (rule(WRITE % ", set: {A__c: {from: msisdm}}"), "4:74: an event has no field `msisdm`"),
        (rule(WRITE % ", set: {A__c: {from: [key, msisdm]}}"), "4:80: an event has no field `msisdm`"),
        (rule(WRITE % ", set: {A__c: {form: msisdn}}"), "4:68: `form` is not a transform (did you mean `from`?)"),
        (
            rule(WRITE % ", set: {A__c: {from: key, trunkate: 5}}"),
            "4:79: unknown key `trunkate` (did you mean `truncate`?)",
        ),
        (rule(WRITE % ", set: {A__c: {from: key, truncate: }}"), "4:88: `truncate` has no value"),
        (rule(WRITE % ", set: {A__c: {from: key, truncate: 0}}"), "4:89: `truncate` must be at least 1"),
        (
            rule(WRITE % ", set: {A__c: {from: key, case: uper}}"),
            "4:85: `uper` is not known here (did you mean `upper`?)",
        ),
        (rule(WRITE % ", set: {A__c: {from: key, otherwise: x}}"), "4:67: `otherwise` belongs to a `map`"),
        (rule(WRITE % ", set: {A__c: {default: x}}"), "4:67: `from` is missing here"),
        (rule(WRITE % ", set: {A__c: {from: key, date: {from: dd.QQ.yyyy}}}"), "4:85: `Q` means nothing in a date"),
        (
            rule(WRITE % ", set: {A__c: {from: key, date: {from: dd.mm.yyyy}}}"),
            "4:85: `mm` is minutes, and comes after HH (write dd.MM.yyyy)",
        ),
        (
            rule(WRITE % ", set: {A__c: {from: key, date: {to: 'dd.mm.yyyy HH:mm'}}}"),
            "4:85: `mm` is minutes, and comes after HH (write dd.MM.yyyy HH:mm)",
        ),
        (
            rule(WRITE % ", set: {A__c: {from: key, date: {from: 'dd.MM.yyyy HH:MM'}}}"),
            "4:85: `MM` is there twice (write dd.MM.yyyy HH:mm)",
        ),
        (
            rule(WRITE % ", set: {A__c: {from: key, date: {from: dd.MM.åååå}}}"),
            "4:85: `å` means nothing in a date (write dd.MM.yyyy)",
        ),
        (
            rule(WRITE % ", set: {A__c: {from: key, date: {timezone: Europe/Olso}}}"),
            "4:85: `Europe/Olso` is not a time zone",
        ),
        (rule(WRITE % ", set: {A__r: {B__c: 1, C__c: 2}}"), "4:67: a parent is named by one key field"),
        (
            rule(WRITE % ", set: {A__c: [1, 2]}"),
            "4:67: a text or a whole number or a number or true or false is expected here",
        ),
        (rule("    ignore: true\n", name=""), "3:10: a text is expected here"),
        (
            HEAD + "  - {name: a, ignore: true}\n  - {name: b, ignore: true}",
            "3:5: this rule has no `when:` and matches all events: `b` behind it is never reached (add a `when:` to it",
        ),
        (
            HEAD
            + "  - {name: a, when: {action: [A, B]}, ignore: true}\n  - {name: b, when: {action: b, keyword: K}, ignore: true}",
            "4:5: this rule is never reached: `a` before it matches all its events",
        ),
        (
            HEAD + "  - {name: a, when: {action: A}, ignore: true}\n  - {name: a, ignore: true}",
            "4:12: a rule in line 3 has this name",
        ),
        (
            command('command: halt, phone: "{record.MobilePhone}", to: active_subscriptions'),
            "5:20: `halt` is not a command",
        ),
        (
            command('command: stop, provider: strx, phone: "{msisdn}", to: active_subscriptions'),
            "5:36: `strx` is not a provider that takes commands (did you mean `strex`?)",
        ),
        (command('command: stop, phone: "{msisdn}"'), "5:10: this does not say which subscription"),
        (command('command: stop, phone: "{msisdn}", keyword: KATT'), "5:10: this does not say which subscription"),
        (
            command('command: stop, phone: "{msisdn}", to: active_subscriptions, keyword: KATT'),
            "5:45: `to` and a keyword name two targets",
        ),
        (
            command('command: stop, phone: "{msisdn}", to: active_subscriptions, price: 5'),
            "5:71: `stop` takes no price",
        ),
        (
            command('command: changesubscriberprice, phone: "{msisdn}", to: active_subscriptions'),
            "5:10: changesubscriberprice needs a price",
        ),
        (command("command: stop, to: active_subscriptions"), "5:10: `phone` is missing here"),
        (
            command('command: stop, phone: "{record.MobilPhone}", to: active_subscriptions'),
            "5:33: `MobilPhone` is not among the fields of the feed (add it to `feed: fields`; did you mean `MobilePhone`?)",
        ),
        (
            CHANGE + "  - {name: a, when: {record.Email: x}, ignore: true}",
            "4:22: `Email` is not among the fields of the feed (add it to `feed: fields`)",
        ),
        (
            "on: strex.message\nrules: [{name: a, ignore: true}]\ntests: [{name: t, event: {msisdn: 90000001}, expect: {}}]",
            "3:35: `msisdn` is not a phone number",
        ),
        (
            "on: strex.message\nrules: [{name: a, ignore: true}]\ntests: [{name: t, event: {occurred_at: 24.12.2026}, expect: {}}]",
            "3:40: `24.12.2026` is not a time (write it like 2026-01-31T12:00:00Z)",
        ),
        (
            "on: strex.message\nrules: [{name: a, ignore: true}]\ntests: [{name: t, event: {}, expect: {state: gone}}]",
            "3:46: `gone` is not known here",
        ),
    ],
)
def test_each_common_mistake_is_reported_with_its_place_and_cure(problems, text, problem):
    (found,) = problems(text)
    assert found.startswith(f"1.yaml:{problem}")


def test_the_problems_of_all_files_are_reported_at_once(tmp_path, context):
    texts = {
        "a.yaml": rule(""),
        "b.yaml": "on: strex.message\nrules: [{name: a, whem: 1, do: 5}]",
        "c.yaml": "on: {msisdn}",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ProblemsFound) as caught:
        load_mappings(tmp_path, context)
    assert [(problem.file, problem.code) for problem in caught.value.problems] == [
        ("a.yaml", "no-effect"),
        ("b.yaml", "unknown-key"),
        ("b.yaml", "wrong-type"),
        ("c.yaml", "unquoted-template"),
    ]


def test_an_operation_must_name_its_crm_if_there_are_several(problems, compiled, context):
    two = type(context)(sources=context.sources, crms=("sf", "dynamics"))
    assert problems(rule(WRITE % ""), context=two) == [
        "1.yaml:4:10: this does not say for which CRM (add `crm:` with one of dynamics, sf)"
    ]
    rules = compiled(rule(WRITE % ", crm: dynamics"), context=two)
    assert rules.files[0].rules[0].items[0].sink == "dynamics"


def test_a_consent_field_in_a_rule_without_consent_is_a_warning(compiled):
    (warning,) = compiled(rule(WRITE % ", set: {opt_out__c: true}")).warnings
    assert str(warning).startswith("1.yaml:4:61: `opt_out__c` is a consent field")
    assert not compiled(rule(WRITE % ", set: {Opt_Out__c: true}" + "    consent: opt_out\n")).warnings


def test_a_rule_with_conditions_on_other_fields_can_be_reached(compiled):
    compiled(
        CHANGE
        + "  - {name: a, when: {record.Opt_Out__c: true}, ignore: true}\n"
        + "  - {name: b, when: {record.Opt_Out__c: true, record.MobilePhone: {missing: false}}, ignore: true}\n"
    )


def test_feeds_are_the_union_of_what_all_files_watch(compiled):
    rules = compiled(
        "on: sf.change\nfeed: {object: Contact, fields: [MobilePhone, A__c], every: 10s}\nrules: [{name: a, ignore: true}]",
        "on: sf.change\nfeed: {object: contact, fields: [B__c, a__c], every: 5m}\nrules: [{name: a, ignore: true}]",
        "on: sf.change\nfeed: {object: Lead, fields: [C__c]}\nrules: [{name: a, ignore: true}]",
        rule(WRITE % ""),
    )
    contact = rules.feeds["sf"]["Contact"]
    assert contact.fields == ("MobilePhone", "A__c", "B__c")
    assert contact.key_fields == ("Key__c",)
    assert contact.every == timedelta(seconds=10)
    assert rules.feeds["sf"]["Lead"].key_fields == ()


def test_names_of_a_crm_are_spelt_as_in_the_config_or_first_file(compiled):
    rules = compiled(
        "on: sf.change\nfeed: {object: contact, fields: [mobilephone, A__c]}\nrules: [{name: a, ignore: true}]",
        rule(
            '    do: [{upsert: CONTACT, key: {Key__c: "{msisdn}"}, set: {OPT_OUT__C: true, a__c: x}}]\n    consent: opt_out\n'
        ),
        rule('    do: [{update: Contact, key: {key__c: "{msisdn}"}, set: {B__c: x}}]\n'),
    )
    ((name, feed),) = rules.feeds["sf"].items()
    assert (name, feed.fields, feed.key_fields) == ("Contact", ("MobilePhone", "A__c"), ("Key__c",))
    first, second = [item for file in rules.files[1:] for one in file.rules for item in one.items]
    assert (first.object, [one.name for one in first.set]) == ("Contact", ["Opt_Out__c", "A__c"])
    assert (first.flag, first.consent) == ("Opt_Out__c", {"Opt_Out__c"})
    assert (second.object, second.key_field) == ("Contact", "Key__c")


def test_the_fields_of_a_match_are_spelt_as_elsewhere(compiled):
    (file,) = compiled(rule("    do: [{update: contact, match: {phone: [MOBILEPHONE]}, set: {A__c: x}}]\n")).files
    (item,) = file.rules[0].items
    assert (item.object, item.key.name, item.match.phone) == ("Contact", "match:MobilePhone", ["MobilePhone"])


def test_the_key_field_of_the_watched_object_can_be_read(compiled):
    compiled(CHANGE + "  - {name: a, when: {record.Key__c: x, record.Id: y}, ignore: true}\n", rule(WRITE % ""))


def test_only_files_for_the_shape_and_the_object_are_applied(compiled, event):
    rules = compiled(
        rule("    ignore: true\n"),
        CHANGE + "  - {name: a, ignore: true}",
        "on: sf.change\nfeed: {object: Lead, fields: [F]}\nrules: [{name: a, ignore: true}]",
    )
    assert [file.name for file in rules.files_for(event())] == ["1.yaml"]
    assert [file.name for file in rules.files_for(event(record={"Id": "1"}))] == ["2.yaml"]
    assert rules.files_for(event(shape="message")) == ()
    assert rules.sources == {"strex.delivery_report", "sf.change"}
    assert [file.name for file in rules.only("2.yaml").files] == ["2.yaml"]
    assert not rules.only("2.yaml").files_for(event())


def loaded(directory, context) -> Ruleset:
    return load_mappings(directory, context)


def test_a_directory_is_loaded_by_name_and_its_version_depends_on_its_text(tmp_path, context):
    (tmp_path / "b.yaml").write_text(rule("    ignore: true\n"))
    (tmp_path / "a.yml").write_text(rule("    ignore: true\n"))
    (tmp_path / ".hidden.yaml").write_text("nonsense")
    (tmp_path / "notes.txt").write_text("nonsense")
    first = loaded(tmp_path, context)
    assert [file.name for file in first.files] == ["a.yml", "b.yaml"]
    assert loaded(tmp_path, context).version == first.version
    (tmp_path / "b.yaml").write_text(rule("    ignore: true\n") + "# other\n")
    assert loaded(tmp_path, context).version != first.version


def test_files_that_cannot_be_read_are_reported_with_all_other_problems(tmp_path, context):
    (tmp_path / "a.yaml").mkdir()
    (tmp_path / "b.yaml").write_bytes(b"\xff")
    (tmp_path / "c.yaml").write_text(rule(""))
    (tmp_path / "d.yaml").write_text("")
    with pytest.raises(ProblemsFound) as caught:
        loaded(tmp_path, context)
    assert [problem.code for problem in caught.value.problems] == [
        "unreadable-file",
        "encoding",
        "no-effect",
        "empty-file",
    ]


def test_a_missing_directory_is_a_problem(tmp_path, context):
    with pytest.raises(ProblemsFound, match="cannot be read"):
        loaded(tmp_path / "none", context)


@pytest.mark.parametrize(
    ("to", "emitted"),
    [("active_subscriptions", ["price-to-several"]), ("only_subscription", [])],
)
def test_one_price_for_every_subscription_is_a_warning(compiled, to, emitted):
    text = command(f'command: changesubscriberprice, phone: "{{msisdn}}", price: 5, to: {to}')
    assert [one.code for one in compiled(text).warnings] == emitted
