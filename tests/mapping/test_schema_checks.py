"""Mappings checked against a CRM's object schemas."""

from dataclasses import replace

import pytest
from mapping.crm_schema import CONTACT, CRM, key

from connector.config.yaml_document import parse
from connector.mapping.compile.ruleset import compile_mappings
from connector.model.crm_schema import CrmSchema, FieldKind, FieldSchema, ObjectSchema
from connector.model.problem import ProblemsFound, Severity

HEAD = """\
on: strex.delivery_report
rules:
  - name: one
    consent: none
    do:
      - """


@pytest.fixture
def found(context):
    """The problems of one item of a `do:` or of a whole file, with `error: ` or `warning: ` before them."""

    def find(text, *, schemas=CRM):
        whole = text if text.startswith("on:") else HEAD + text.strip().replace("\n", "\n        ") + "\n"
        within = replace(context, schemas={"sf": schemas} if schemas else {}, sources={**context.sources})
        try:
            problems = compile_mappings([parse(whole, "f.yaml")], within).warnings
        except ProblemsFound as refused:
            problems = refused.problems
        return [f"{one.severity}: {one}" for one in problems]

    return find


def contact(*, key="SMS_Key__c", create="LastName: Unknown", word="upsert", **fields):
    """An item of which one part is of interest."""
    written = ", ".join(f"{name}: {value}" for name, value in fields.items())
    made = f"create: {{{create}}}\n" if create else ""
    return f'{word}: Contact\nkey: {{{key}: "{{msisdn}}"}}\n{made}set: {{{written}}}'


def only(found):
    (one,) = found
    return one


def test_a_mapping_that_fits_the_org_has_no_problem(found):
    text = contact(
        FirstName="{from: lookup.firstName, truncate: 40}",
        MobilePhone='"{msisdn}"',
        Opt_Out__c="false",
        Opt_Out_At__c="{from: [occurred_at, received_at]}",
        Amount__c="{from: price, round: 2}",
        Interest__c="{from: properties.x, map: {1: Children, 2: climate}, otherwise: Climate}",
        Topics__c="A;B",
        Birthdate='"2026-01-31"',
        Description='"{text}"',
        Account='{Account_Key__c: "{service_id}"}',
    )
    assert found(text) == []


def test_without_a_schema_nothing_is_checked(found):
    assert found(contact(Nonsense__c="x"), schemas=None) == []
    assert found(contact(Nonsense__c="x"), schemas=CrmSchema(crm="sf")) != []


def test_an_unknown_object_is_reported_with_its_position(found):
    one = only(found('upsert: Contakt\nkey: {SMS_Key__c: "{msisdn}"}'))
    assert one.startswith("error: f.yaml:6:17: `Contakt` is not a known object of sf (did you mean `Contact`? If not: ")
    assert "connector schema pull" in one


def test_an_unknown_field_is_reported_with_its_position(found):
    one = only(found(contact(FristName="x")))
    assert one.startswith("error: f.yaml:9:15: `Contact` has no field `FristName` (did you mean `FirstName`? If not, ")
    assert "create it in the CRM" in only(found(contact(Qqqqqq__c="x")))


def test_names_are_found_without_regard_to_case(found):
    assert found(contact(firstname="x", create="lastname: x", key="sms_key__c")) == []


@pytest.mark.parametrize(
    ("fields", "emitted"),
    [
        ({"Opt_Out__c": "maybe"}, "`Contact.Opt_Out__c` takes true or false, and `maybe` is none"),
        ({"Opt_Out__c": "1"}, "`Contact.Opt_Out__c` takes true or false, and `1` is none"),
        ({"Amount__c": "many"}, "`Contact.Amount__c` takes a number, and `many` is none"),
        ({"Amount__c": '"12,5"'}, "`Contact.Amount__c` takes a number, and `12,5` is none"),
        ({"Amount__c": "true"}, "`Contact.Amount__c` takes a number, and `true` is none"),
        ({"Birthdate": "31.01.2026"}, "`Contact.Birthdate` takes a date, and `31.01.2026` is none"),
        ({"Opt_Out_At__c": "2026-01-31"}, "`Contact.Opt_Out_At__c` takes a date with a time, and `2026-01-31` is none"),
        ({"FirstName": "12"}, "`Contact.FirstName` takes a text, and `12` goes out as a number"),
        ({"FirstName": "true"}, "`Contact.FirstName` takes a text, and `true` goes out as true or false"),
        ({"FirstName": "x" * 41}, "`Contact.FirstName` holds 40 characters, and this has 41"),
        ({"Interest__c": "Childrn"}, "`Childrn` is not among the values of `Contact.Interest__c`"),
        ({"Topics__c": "A;C"}, "`C` is not among the values of `Contact.Topics__c`"),
        ({"Opt_Out_At__c": "{from: occurred_at, date: {to: date}}"}, "takes a date with a time, and is given a date"),
        ({"Birthdate": '"{price}"'}, "`Contact.Birthdate` takes a date, and is given a number"),
        ({"Amount__c": '"{received_at}"'}, "`Contact.Amount__c` takes a number, and is given a date with a time"),
        ({"Opt_Out__c": "{from: text, extract: amount}"}, "takes true or false, and is given a number"),
    ],
)
def test_a_value_that_the_field_does_not_take_is_refused(found, fields, emitted):
    one = only(found(contact(**fields)))
    assert one.startswith("error: f.yaml:9:")
    assert emitted in one


def in_currencies(*money):
    """The contact of an org with several currencies."""
    fields = (
        *(replace(one, money=one.name in money) for one in CONTACT.fields),
        FieldSchema(
            name="CurrencyIsoCode", kind=FieldKind.CHOICE, choices=("NOK", "DKK"), createable=True, updateable=True
        ),
    )
    known = ObjectSchema(name="Contact", fields=fields, currency_field="CurrencyIsoCode")
    return CrmSchema(crm="sf", objects=(known,))


def test_an_amount_without_its_currency_is_a_warning_in_an_org_with_several(found):
    amount = {"Amount__c": '"{price}"'}
    assert found(contact(**amount)) == found(contact(**amount), schemas=in_currencies()) == []
    (emitted,) = found(contact(**amount), schemas=in_currencies("Amount__c"))
    assert emitted.startswith("warning: ")
    assert "`Contact.Amount__c` is an amount without its currency" in emitted
    assert 'add `CurrencyIsoCode: "{currency}"`' in emitted
    assert found(contact(**amount, CurrencyIsoCode='"{currency}"'), schemas=in_currencies("Amount__c")) == []
    assert (
        found(contact(create="LastName: x, currencyisocode: NOK", **amount), schemas=in_currencies("Amount__c")) == []
    )


@pytest.mark.parametrize("given", ['"{price}"', '"{service_command}"', "{from: text, extract: amount}"])
@pytest.mark.parametrize("name", ["FirstName", "Description", "Salutation"])
def test_a_number_or_flag_may_be_given_to_a_text_field(found, name, given):
    assert found(contact(**{name: given})) == []


@pytest.mark.parametrize("schemas", [{"sf": CRM}, {}], ids=["known", "unknown"])
@pytest.mark.parametrize(
    ("value", "as_text"),
    [(7, "7"), (12.5, "12.5"), (True, "true"), (12345678901234567890123, "12345678901234567890123")],
)
def test_a_text_field_is_given_text_if_its_type_is_known(ask, context, schemas, value, as_text):
    fields = '{FirstName: "{properties.x}", Salutation: {from: properties.x}, Amount__c: "{properties.x}"}'
    text = f'{HEAD}{{upsert: Contact, key: {{SMS_Key__c: "{{msisdn}}"}}, create: {{LastName: x}}, set: {fields}}}'
    (write,) = ask(text, context=replace(context, schemas=schemas), properties={"x": value}).operations
    plain = as_text if value == 12345678901234567890123 else value
    assert write.set["FirstName"] == write.set["Salutation"] == (as_text if schemas else plain)
    assert write.set["Amount__c"] == plain


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"Interest__c": "{from: action, map: {a: Children, b: Childrn}}"}, "f.yaml:9:"),
        ({"Interest__c": "{from: action, map: {a: Children}, otherwise: Childrn}"}, "f.yaml:9:"),
        ({"Interest__c": "{from: action, default: Childrn}"}, "f.yaml:9:"),
    ],
)
def test_the_values_of_a_map_and_a_default_are_checked_too(found, fields, place):
    one = only(found(contact(**fields)))
    assert one.startswith(f"error: {place}")
    assert "did you mean `Children`?" in one


def test_transforms_are_applied_to_a_default_before_it_is_checked(found):
    assert found(contact(FirstName=f"{{from: action, default: {'x' * 50}, truncate: 40}}")) == []
    assert "this has 43" in only(found(contact(FirstName=f"{{from: action, default: {'x' * 40}, prefix: abc}}")))
    assert found(contact(Birthdate="{from: action, default: 31.01.2026, date: {from: dd.MM.yyyy}}")) == []


@pytest.mark.parametrize(
    ("field", "value", "warned"),
    [
        ("Gift_Key__c", '"{transaction_id}"', True),
        ("Gift_Key__c", '"{subscription_id}-{key}"', True),
        ("Gift_Key__c", "{from: transaction_id, prefix: g}", True),
        # Words may be written in capitals or not, and a number has no letters.
        ("Gift_Key__c", "{from: transaction_id, case: lower}", False),
        ("Gift_Key__c", '"{keyword}-{transaction_id}"', False),
        ("Gift_Key__c", '"{msisdn}"', False),
        ("Exact_Gift_Key__c", '"{transaction_id}"', False),
        ("SMS_Key__c", '"{transaction_id}"', False),  # the lock does not tell
    ],
)
def test_an_id_of_the_sender_needs_a_case_sensitive_key(found, field, value, warned):
    gifts = (key("Gift_Key__c", case_sensitive=False), key("Exact_Gift_Key__c", case_sensitive=True))
    schema = CrmSchema(crm="sf", objects=(ObjectSchema(name="Contact", fields=(*CONTACT.fields, *gifts)),))
    text = contact(key=field).replace('"{msisdn}"', value)
    assert [one.partition("`")[0] for one in found(text, schemas=schema)] == (
        ["warning: f.yaml:7:15: "] if warned else []
    )


def test_a_value_outside_an_open_list_is_a_warning(found):
    assert only(found(contact(Salutation="Sir"))).startswith("warning: f.yaml:9:")


@pytest.mark.parametrize(
    "value",
    [
        '"{text}"',
        '"{properties.name}"',
        '"He wrote: {text}"',
        "{from: [keyword, text]}",
        "{from: text, part: first}",
        "{from: text, truncate: 41}",
        "{from: text, truncate: 38, prefix: abc}",
        '{from: action, default: "{text}"}',
    ],
)
def test_a_free_text_that_may_not_fit_is_a_warning(found, value):
    one = only(found(contact(FirstName=value)))
    assert one.startswith("warning: f.yaml:9:")
    assert "truncate: 40" in one


@pytest.mark.parametrize(
    "value",
    [
        '"{keyword}"',
        '"Dear {lookup.firstName}"',
        "{from: text, truncate: 40}",
        "{from: text, extract: email}",
        "{from: properties.n, phone: e164}",
        "{from: properties.x, map: {a: b}}",
        "{from: text, truncate: 37, prefix: abc}",
    ],
)
def test_a_text_that_is_always_short_enough_is_no_warning(found, value):
    assert found(contact(FirstName=value)) == []


def test_a_field_that_is_not_writable_here_is_reported_with_where_it_is(found):
    assert "`Contact.Name` cannot be written: it is read-only" in only(found(contact(Name="x")))
    assert "move it to `create:`" in only(found(contact(Origin__c="x")))
    assert found(contact(create="LastName: x, Origin__c: x")) == []
    assert "a new record cannot be given it" in only(found(contact(Later__c="x")))
    assert found(contact(word="update", create="", Later__c="x")) == []


@pytest.mark.parametrize(
    ("key", "emitted"),
    [
        ("FirstName", ["`Contact.FirstName` is not an external ID", "`Contact.FirstName` is not unique"]),
        ("Email", ["`Contact.Email` is not unique"]),
        ("Nonsense__c", ["`Contact` has no field `Nonsense__c`"]),
        ("Id", ["`Id` is the record's own Id"]),
    ],
)
def test_a_key_must_be_a_unique_external_id(found, key, emitted):
    lines = found(contact(key=key))
    assert len(lines) == len(emitted)
    for line, words in zip(lines, emitted, strict=True):
        assert line.startswith("error: f.yaml:7:15: ")
        assert words in line


def test_a_key_is_never_truncated(found):
    assert found('upsert: Contact\nkey: {SMS_Key__c: "{properties.guid}"}\ncreate: {LastName: x}') == []


def test_the_key_of_an_upsert_must_be_writable_on_new_records(found):
    by_number = 'update: Contact\nkey: {Number__c: "{properties.n}"}\nset: {FirstName: x}'
    assert found(by_number) == []
    one = only(found(by_number.replace("update", "upsert") + "\ncreate: {LastName: x}"))
    assert "`Contact.Number__c` cannot be written: a new record cannot be given it" in one


def test_a_key_must_be_a_text(found):
    lines = found('upsert: Task\nkey: {Number__c: "{msisdn}"}\ncreate: {Contact__r: {SMS_Key__c: "{msisdn}"}}')
    assert any("`Task.Number__c` is of the kind number" in line for line in lines)


def test_required_fields_of_a_new_record_must_be_set(found):
    one = only(found(contact(create="FirstName: x")))
    assert one.startswith("error: f.yaml:6:17: a new `Contact` needs `LastName`")
    assert found(contact(word="update", create="", FirstName="x")) == []
    assert found('upsert: Contact\nid: "{properties.id}"\nset: {FirstName: x}') == []
    assert "needs `Contact__c`" in only(found('upsert: Task\nkey: {SMS_Key__c: "{key}"}'))
    assert found('upsert: Task\nkey: {SMS_Key__c: "{key}"}\nset: {Contact__r: {SMS_Key__c: "{msisdn}"}}') == []
    assert found('upsert: Task\nkey: {SMS_Key__c: "{key}"}\nset: {Contact__c: "{properties.id}"}') == []


def test_the_fields_that_a_match_searches_must_exist_and_a_found_record_needs_no_required_fields(found):
    text = 'upsert: Contact\nkey: {{SMS_Key__c: "{{msisdn}}"}}\nmatch: {{phone: [{}], none: {}}}\nset: {{FirstName: x}}'
    assert found(text.format("MobilePhone", "skip")) == []
    assert "a new `Contact` needs `LastName`" in only(found(text.format("MobilePhone", "create")))
    one = only(found(text.format("MobilePhone, MobilPhone", "skip")))
    assert one.startswith("error: f.yaml:8:38: `Contact` has no field `MobilPhone` (did you mean `MobilePhone`?")


def test_the_key_of_a_match_must_be_writable_on_existing_records(found):
    fixed = replace(CONTACT, fields=tuple(replace(one, updateable=one.name != "SMS_Key__c") for one in CONTACT.fields))
    text = 'update: Contact\nkey: {SMS_Key__c: "{msisdn}"}\nmatch: {phone: [MobilePhone]}\nset: {FirstName: x}'
    one = only(found(text, schemas=CrmSchema(crm="sf", objects=(fixed,))))
    assert "`Contact.SMS_Key__c` cannot be written: the record that is found cannot be given it" in one


def task(value):
    return f'upsert: Task\nkey: {{SMS_Key__c: "{{key}}"}}\ncreate: {{Contact__c: x}}\nset: {value}'


@pytest.mark.parametrize(
    ("value", "emitted"),
    [
        ('{Contact__c: {SMS_Key__c: "{msisdn}"}}', "name it by its relationship: `Contact__r`"),
        ('{Contact__r: "{msisdn}"}', "`Task.Contact__r` is a relationship"),
        ('{Subject: {SMS_Key__c: "{msisdn}"}}', "`Task.Subject` takes no parent"),
        ('{Who: {SMS_Key__c: "{msisdn}"}}', "add `type:`, one of Contact, Lead"),
        ('{Who: {type: Contakt, SMS_Key__c: "{msisdn}"}}', "did you mean `Contact`?"),
        ('{Who: {type: Lead, SMS_Key__c: "{msisdn}"}}', "`Lead` is not a known object of sf"),
        ('{Contact__r: {SMS_Ky__c: "{msisdn}"}}', "`Contact` has no field `SMS_Ky__c` (did you mean `SMS_Key__c`?"),
        ('{Contact__r: {LastName: "{msisdn}"}}', "`Contact.LastName` is not an external ID, so that no parent"),
        ('{Whoo: {type: Contact, SMS_Key__c: "{msisdn}"}}', "did you mean `Who`?"),
    ],
)
def test_a_parent_is_named_by_its_relationship_type_and_key(found, value, emitted):
    lines = [line for line in found(task(value)) if "set-twice" not in line]
    assert any(emitted in line and line.startswith("error: f.yaml:") for line in lines), lines


@pytest.mark.parametrize(
    "value",
    [
        '{Who: {type: Contact, SMS_Key__c: "{msisdn}"}}',
        '{Contact__r: {SMS_Key__c: "{msisdn}"}}',
        '{Contact__r: {Email: "{lookup.email}"}}',
        '{Who: {type: contact, Id: "{properties.id}"}}',
        "{Contact__r: null}",
    ],
)
def test_an_existing_parent_is_accepted(found, value):
    assert found(task(value)) == []


def test_the_object_and_fields_of_a_feed_must_exist(found):
    feed = "on: sf.change\nfeed: {object: Contact, fields: [MobilePhone, Opt_Outt__c]}\nrules: [{name: x, consent: none}]\n"
    one = only(found(feed))
    assert one.startswith("error: f.yaml:2:47: `Contact` has no field `Opt_Outt__c` (did you mean `Opt_Out__c`?")
    assert "`Lead` is not a known object of sf" in only(found(feed.replace("Contact", "Lead")))


def test_a_watched_field_that_is_calculated_is_a_warning_because_its_changes_are_not_seen(found):
    calculated = CrmSchema(
        crm="sf", objects=(replace(CONTACT, fields=(FieldSchema(name="Total__c", calculated=True),)),)
    )
    feed = "on: sf.change\nfeed: {object: Contact, fields: [Total__c]}\nrules: [{name: x, consent: none}]\n"
    one = only(found(feed, schemas=calculated))
    assert one.startswith("warning: f.yaml:2:")
    assert "`Contact.Total__c` is calculated, and its changes are not seen" in one


@pytest.mark.parametrize(
    ("condition", "emitted"),
    [
        ("record.Interest__c: Childrn", "`Contact.Interest__c` is never `Childrn`, so that this is true of no record"),
        ("record.Interest__c: [Children, Childrn]", "did you mean `Children`?"),
        ("any: [{record.Interest__c: Childrn}]", "is never `Childrn`"),
        ("not: {record.Interest__c: Childrn}", "is never `Childrn`"),
        ("record.Opt_Out__c: yes", "`Contact.Opt_Out__c` is never `yes`"),
    ],
)
def test_a_condition_that_no_record_can_meet_is_a_warning(found, condition, emitted):
    feed = "on: sf.change\nfeed: {object: Contact, fields: [Interest__c, Opt_Out__c, Amount__c]}\n"
    one = only(found(f"{feed}rules:\n  - name: x\n    consent: none\n    when: {{{condition}}}\n"))
    assert one.startswith("warning: f.yaml:6:")
    assert emitted in one


@pytest.mark.parametrize(
    "condition",
    [
        "record.Interest__c: children",
        "record.Opt_Out__c: true",
        "record.Opt_Out__c: {missing: true}",
        "record.Amount__c: 5",
    ],
)
def test_a_condition_that_a_record_can_meet_is_accepted(found, condition):
    feed = "on: sf.change\nfeed: {object: Contact, fields: [Interest__c, Opt_Out__c, Amount__c]}\n"
    assert found(f"{feed}rules:\n  - name: x\n    consent: none\n    when: {{{condition}}}\n") == []


def test_compiled_rules_can_be_checked_against_another_schema(context):
    rules = compile_mappings([parse(HEAD + contact(FirstName="x").replace("\n", "\n        "), "f.yaml")], context)
    assert rules.misfits({"sf": CRM}) == []
    contact_now = replace(CRM.objects[0], fields=tuple(f for f in CRM.objects[0].fields if f.name != "FirstName"))
    (problem,) = rules.misfits({"sf": CrmSchema(crm="sf", objects=(contact_now,))})
    assert (problem.code, problem.position.line, problem.severity) == ("no-such-field", 9, Severity.ERROR)
    assert rules.misfits({}) == []


def test_each_item_is_checked_against_the_schema_of_its_own_crm(context):
    two = replace(context, crms=("sf", "other"), schemas={"sf": CRM})
    body = contact(FristName="x").replace("\n", "\n        ")
    other = compile_mappings([parse(f"{HEAD}{body}\n        crm: other", "f.yaml")], two)
    assert other.warnings == ()
    with pytest.raises(ProblemsFound) as caught:
        compile_mappings([parse(f"{HEAD}{body}\n        crm: sf", "f.yaml")], two)
    assert [one.code for one in caught.value.problems] == ["no-such-field"]


def test_a_key_may_be_the_id_field_and_a_lookup_may_have_the_name_of_its_relationship(found):
    gift = ObjectSchema(
        name="gift",
        fields=(
            FieldSchema(name="giftid", kind=FieldKind.ID, createable=True, unique=True, external_id=True),
            FieldSchema(
                name="donor",
                kind=FieldKind.REFERENCE,
                relationship="donor",
                parents=("Contact",),
                createable=True,
                updateable=True,
            ),
        ),
    )
    text = 'upsert: gift\nkey: {giftid: "{transaction_id}"}\nset: {donor: {SMS_Key__c: "{msisdn}"}}'
    assert found(text, schemas=CrmSchema(crm="sf", objects=(CONTACT, gift))) == []
    fixed = replace(gift, fields=(FieldSchema(name="giftid", kind=FieldKind.ID), gift.fields[1]))
    assert "record's own Id" in only(found(text, schemas=CrmSchema(crm="sf", objects=(CONTACT, fixed))))
