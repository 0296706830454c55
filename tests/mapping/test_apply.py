import dataclasses
from decimal import Decimal

import pytest

from connector.mapping.apply import first_match, intents
from connector.mapping.language.paths import Reading, getter, parse_path
from connector.model.consent import Subscription
from connector.model.crm_traits import CrmTraits
from connector.model.event import Verdict
from connector.model.operation import Parent, RecordWrite, ServiceCommand
from connector.model.outcome import Reason
from connector.model.phone import Phone

DONOR = """
on: strex.delivery_report
rules:
  - name: donor opted in
    when: {action: [Subscribe, Signup]}
    do:
      - upsert: Contact
        key: {SMS_Key__c: "{msisdn}"}
        create:
          LastName: {from: lookup.lastName, default: Unknown}
          FirstName: {from: lookup.firstName}
        set:
          MobilePhone: "{msisdn}"
          Opt_Out__c: false
          Note__c: null
          Gift__c: {from: price, round: 2}
      - upsert: SMS_Event__c
        key: {Event_Key__c: "{key}"}
        when: {keyword: {missing: false}}
        set:
          Contact__r: {SMS_Key__c: "{msisdn}"}
          Who__r: {type: Contact, SMS_Key__c: "{properties.absent}"}
          Occurred_At__c: "{received_at}"
    consent: opt_in
  - name: known
    when: {action: AlreadyRegistered}
    ignore: true
"""
CHANGE = """
on: sf.change
feed: {object: Contact, fields: [MobilePhone, Opt_Out__c, Amount__c]}
rules:
  - name: opted out
    when: {record.Opt_Out__c: true}
    do: [{command: unsubscribe, provider: strex, phone: "{record.MobilePhone}", to: active_subscriptions%s}]
    consent: opt_out
  - name: other
    ignore: true
"""
REGION = "; `default_region` in the config makes numbers without one readable"
KATT = Subscription(provider="strex", short_number="2002", keyword="KATT")
HUND = Subscription(provider="strex", short_number="2002", keyword="HUND")
OUT = {"record": {"Id": "1", "MobilePhone": "+4798079008", "Opt_Out__c": True}, "changed": ("Opt_Out__c",)}


def test_a_rule_that_matches_leads_to_its_operations_in_order(ask):
    made = ask(DONOR, action="signup", price=Decimal("99.995"), keyword="KATT", lookup={"firstName": "Kari"})
    assert made.operations == (
        RecordWrite(
            sink="sf",
            object="Contact",
            key_field="SMS_Key__c",
            key="+4798079008",
            create={"LastName": "Unknown", "FirstName": "Kari"},
            set={"MobilePhone": "+4798079008", "Opt_Out__c": False, "Note__c": None, "Gift__c": 100},
            consent=("Opt_Out__c",),
            clears_flag=True,
            rule="1.yaml: donor opted in",
        ),
        RecordWrite(
            sink="sf",
            object="SMS_Event__c",
            key_field="Event_Key__c",
            key="e-1",
            set={
                "Contact__r": Parent("SMS_Key__c", "+4798079008"),
                "Occurred_At__c": "2026-01-02T03:04:05.678Z",
            },
            rule="1.yaml: donor opted in",
        ),
    )
    assert made.consent == {"opt_in": "1.yaml: donor opted in"}
    assert made.matched
    assert made.ignored_by is None


def test_fields_and_items_without_a_value_or_a_met_condition_are_left_out(ask):
    (contact,) = ask(DONOR, action="Subscribe").operations
    assert contact.create == {"LastName": "Unknown"}
    assert "Gift__c" not in contact.set


def test_a_missing_value_clears_the_field_only_with_when_empty_clear(ask):
    text = DONOR.replace("{from: price, round: 2}", "{from: price, round: 2, when_empty: clear}")
    assert ask(text, action="Subscribe").operations[0].set["Gift__c"] is None


def test_an_ignored_event_is_matched_and_an_event_without_a_rule_is_not(ask):
    ignored = ask(DONOR, action="AlreadyRegistered")
    assert (ignored.matched, ignored.ignored_by, ignored.operations) == (True, "1.yaml: known", ())
    unmatched = ask(DONOR, action="New")
    assert (unmatched.matched, unmatched.ignored_by, unmatched.operations) == (False, None, ())


def test_a_missing_key_stops_the_whole_event(ask):
    made = ask(DONOR, action="Subscribe", msisdn=None, keyword="KATT")
    assert made.problem == (
        Reason.MISSING_KEY,
        "1.yaml: donor opted in: upsert Contact: SMS_Key__c has no value ({msisdn})",
    )
    assert made.operations == ()
    assert made.consent == {"opt_in": "1.yaml: donor opted in"}


def test_an_operation_without_a_key_may_be_skipped(ask):
    text = DONOR.replace('key: {SMS_Key__c: "{msisdn}"}', 'key: {SMS_Key__c: "{msisdn}"}\n        if_missing: skip')
    made = ask(text, action="Subscribe", msisdn=None, keyword="KATT")
    assert made.problem is None
    assert [operation.object for operation in made.operations] == ["SMS_Event__c"]


def test_a_value_that_cannot_be_made_is_left_out_with_a_note(ask):
    text = DONOR.replace("{from: price, round: 2}", "{from: properties.secret, round: 2, when_empty: clear}")
    made = ask(text, action="Subscribe", properties={"secret": "hunter2"}, lookup={"firstName": "Kari"})
    (contact,) = made.operations
    assert contact.set == {"MobilePhone": "+4798079008", "Opt_Out__c": False, "Note__c": None}
    assert contact.create == {"LastName": "Unknown", "FirstName": "Kari"}
    assert made.problem is None
    assert [str(note) for note in made.left_out] == [
        "1.yaml: donor opted in: upsert Contact: Gift__c was left out: a number was expected"
    ]


def test_a_parent_that_cannot_be_named_is_left_out_with_a_note(ask):
    text = DONOR.replace('Contact__r: {SMS_Key__c: "{msisdn}"}', "Contact__r: {K__c: {from: keyword, phone: e164}}")
    made = ask(text, action="Subscribe", keyword="KATT")
    assert "Contact__r" not in made.operations[1].set
    assert [note.field for note in made.left_out] == ["Contact__r"]


@pytest.mark.parametrize(
    ("secret", "why"), [("hunter2", "a number was expected"), (None, "has no value, and it is required")]
)
def test_a_required_value_that_cannot_be_made_stops_its_write_but_not_the_consent_fields(ask, secret, why):
    text = DONOR.replace("{from: price, round: 2}", "{from: properties.secret, round: 2, required: true}")
    made = ask(text, action="Subscribe", properties={"secret": secret})
    assert made.problem is not None
    assert made.problem[0] is Reason.BAD_VALUE
    assert made.problem[1].startswith("1.yaml: donor opted in: upsert Contact: Gift__c")
    assert made.problem[1].endswith(why)
    assert made.operations == ()
    (alone,) = made.possible
    assert (alone.set, alone.consent, alone.clears_flag) == ({"Opt_Out__c": False}, ("Opt_Out__c",), True)
    assert alone.create == {"LastName": "Unknown", "MobilePhone": "+4798079008", "Note__c": None}
    assert alone.consent_only


def test_a_required_parent_that_cannot_be_named_stops_its_write(ask):
    text = DONOR.replace(
        'Contact__r: {SMS_Key__c: "{msisdn}"}', "Contact__r: {SMS_Key__c: {from: properties.who, required: true}}"
    )
    made = ask(text, action="Subscribe", keyword="KATT")
    assert made.problem == (
        Reason.BAD_VALUE,
        "1.yaml: donor opted in: upsert SMS_Event__c: Contact__r.SMS_Key__c has no value, and it is required",
    )
    assert [one.object for one in made.possible] == ["Contact"]


def test_an_opt_out_flag_that_cannot_be_made_stops_the_event(ask):
    text = DONOR.replace("Opt_Out__c: false", "Opt_Out__c: {from: properties.when, date: {to: date}}")
    made = ask(text, action="Subscribe", properties={"when": "yesterday"})
    assert made.problem == (
        Reason.BAD_VALUE,
        "1.yaml: donor opted in: upsert Contact: Opt_Out__c: a date was expected",
    )
    assert made.possible == ()


def test_a_record_can_be_named_by_its_id_and_is_then_never_created(ask):
    (write,) = ask(
        'on: strex.delivery_report\nrules:\n  - {name: a, do: [{upsert: Contact, id: "{properties.SfContactId}", set: {A__c: 1}}]}',
        properties={"SfContactId": "003000000000001AAA"},
    ).operations
    assert (write.key_field, write.key, write.may_create) == ("Id", "003000000000001AAA", False)


def test_an_id_is_written_in_the_form_of_the_crm(ask, context):
    text = 'on: strex.delivery_report\nrules:\n  - {name: a, do: [{update: Contact, id: "{properties.Id}", set: {A__c: 1}}]}'
    upper = dataclasses.replace(context, traits={"sf": CrmTraits(full_id=str.upper)})
    for known, key in ((context, "6f-b2"), (upper, "6F-B2")):
        (write,) = ask(text, context=known, properties={"Id": "6f-b2"}).operations
        assert write.key == key


def test_an_update_never_creates(ask):
    (write,) = ask(
        'on: strex.delivery_report\nrules:\n  - {name: a, do: [{update: Contact, key: {K__c: "{key}"}, set: {A__c: 1}}]}'
    ).operations
    assert not write.may_create


@pytest.mark.parametrize(("value", "clears"), [("true", False), ("false", True), ("null", True), ('"TRUE"', False)])
def test_a_write_that_sets_the_flag_to_another_value_clears_the_opt_out(ask, value, clears):
    text = DONOR.replace("Opt_Out__c: false", f"OPT_OUT__c: {value}, Opt_Out_At__c: x".replace(", ", "\n          "))
    (write,) = ask(text, action="Subscribe").operations
    assert write.consent == ("Opt_Out__c", "Opt_Out_At__c")  # as the config spells them
    assert write.clears_flag is clears


def test_a_condition_can_ask_for_the_consent_decision(ask):
    text = DONOR.replace(
        "when: {action: [Subscribe, Signup]}", "when: {consent.remaining: 0, consent.verdict: opt_out}"
    )
    assert ask(text, consent={"remaining": 0, "verdict": "opt_out", "scope": ""}).matched
    assert not ask(text, consent={"remaining": 1, "verdict": "opt_out", "scope": ""}).matched


def test_each_file_for_the_event_is_applied_and_the_first_rule_of_each_verdict_is_kept(compiled, event):
    head = "on: strex.delivery_report\nrules:\n"
    rules = compiled(
        head + '  - {name: a, do: [{upsert: A, key: {K__c: "{key}"}}], consent: opt_in}',
        head + "  - {name: b, ignore: true, consent: opt_in}",
        head + '  - {name: c, do: [{upsert: C, key: {K__c: "{key}"}}], consent: opt_out}',
        "on: strex.message\nrules: [{name: d, ignore: true}]",
    )
    made = intents(event(), rules, consent={}, active=lambda _: ())
    assert [operation.object for operation in made.operations] == ["A", "C"]
    assert made.consent == {"opt_in": "1.yaml: a", "opt_out": "3.yaml: c"}
    assert made.ignored_by == "2.yaml: b"


def test_a_command_goes_to_every_active_subscription(ask):
    made = ask(CHANGE % "", active=[(KATT, True), (HUND, False)], verdict=Verdict.OPT_OUT, **OUT)
    assert made.operations == tuple(
        ServiceCommand(
            sink="strex",
            action="unsubscribe",
            phone=Phone("+4798079008"),
            short_number="2002",
            keyword=keyword,
            known_active=known,
            rule="1.yaml: opted out",
        )
        for keyword, known in (("KATT", True), ("HUND", False))
    )


def test_a_command_without_subscriptions_is_not_made(ask):
    made = ask(CHANGE % "", **OUT)
    assert (made.matched, made.operations, made.problem) == (True, (), None)


def test_a_subscription_that_cannot_be_named_waits_for_a_person(ask):
    made = ask(CHANGE % "", active=[(KATT, True), (Subscription(provider="strex", keyword_id="1"), True)], **OUT)
    assert made.problem is not None
    assert made.problem[0] is Reason.NEEDS_PERSON
    assert made.operations == ()


def test_a_rule_with_changed_fields_applies_only_if_one_of_them_changed(ask):
    made = ask(CHANGE % "", active=[(KATT, True)], tracing=True, **{**OUT, "changed": ("Amount__c",)})
    assert made.ignored_by == "1.yaml: other"
    assert made.trace[0].why == "none of the fields that it looks at changed"
    assert ask(CHANGE % "", active=[(KATT, True)], **{**OUT, "changed": ("OPT_OUT__C",)}).operations


@pytest.mark.parametrize(
    ("phone", "problem"),
    [
        (
            None,
            (Reason.MISSING_KEY, "1.yaml: opted out: command unsubscribe: phone has no value ({record.MobilePhone})"),
        ),
        (
            " ",
            (Reason.MISSING_KEY, "1.yaml: opted out: command unsubscribe: phone has no value ({record.MobilePhone})"),
        ),
        (
            "98079008",
            (
                Reason.BAD_VALUE,
                "1.yaml: opted out: command unsubscribe: phone: a phone number with its country code was expected"
                + REGION,
            ),
        ),
    ],
)
def test_a_command_without_a_number_waits_for_a_person(ask, phone, problem):
    fields = {**OUT, "msisdn": None, "record": {**OUT["record"], "MobilePhone": phone}}
    assert ask(CHANGE % "", active=[(KATT, True)], **fields).problem == problem


def test_a_command_without_a_number_may_be_skipped(ask):
    fields = {**OUT, "msisdn": None, "record": {"Id": "1", "Opt_Out__c": True}}
    made = ask(CHANGE % ", if_missing: skip", active=[(KATT, True)], **fields)
    assert (made.matched, made.operations, made.problem) == (True, (), None)


@pytest.mark.parametrize("written", ["+47 (0) 900 00 204", "980 79 008 (mobil)", None, "+4790000009"])
@pytest.mark.parametrize("phone", ['"{record.MobilePhone}"', '"{msisdn}"'])
def test_a_command_for_the_person_of_the_event_goes_to_the_number_of_the_event(ask, written, phone):
    text = CHANGE.replace('"{record.MobilePhone}"', phone) % ", if_missing: skip"
    made = ask(text, active=[(KATT, True)], **{**OUT, "record": {**OUT["record"], "MobilePhone": written}})
    assert [one.phone for one in made.operations] == [Phone("+4798079008")]


def test_a_command_with_another_phone_field_goes_to_the_number_in_it(ask):
    text = CHANGE.replace("record.MobilePhone", "record.HomePhone").replace("[MobilePhone", "[HomePhone") % ""
    made = ask(text, active=[(KATT, True)], **{**OUT, "record": {**OUT["record"], "HomePhone": "+47 900 00 009"}})
    assert [one.phone for one in made.operations] == [Phone("+4790000009")]


def test_a_command_to_an_ambiguous_phone_number_waits_for_a_person(ask):
    fields = {**OUT, "msisdn": None, "number_is_unclear": True}
    made = ask(CHANGE % ", if_missing: skip", active=[(KATT, True)], **fields)
    assert made.problem is not None
    assert made.problem[0] is Reason.NEEDS_PERSON
    assert made.operations == ()


def test_a_command_may_name_its_subscription_and_price(ask):
    text = (
        "on: strex.delivery_report\nrules:\n  - name: a\n    do: [{command: changesubscriberprice, phone: '{msisdn}', "
        "short_number: 2002, keyword: '{keyword}', price: '{properties.price}'}]"
    )
    (command,) = ask(text, active=[(KATT, True)], keyword="katt", properties={"price": "250,50"}).operations
    assert (command.short_number, command.keyword, command.price, command.known_active) == ("2002", "katt", 250.5, True)
    (command,) = ask(text, active=[(HUND, True)], keyword="katt", properties={"price": 250}).operations
    assert (command.price, command.known_active) == (250, False)
    assert ask(text, keyword="katt").problem[0] is Reason.MISSING_KEY
    assert ask(text, properties={"price": 1}).problem[0] is Reason.MISSING_KEY
    assert ask(text, keyword="katt", properties={"price": "dear"}).problem[0] is Reason.BAD_VALUE


def test_a_trace_is_made_only_when_asked_for_and_says_where_values_come_from(ask):
    assert ask(DONOR, action="AlreadyRegistered").trace == ()
    first, second = ask(DONOR, action="AlreadyRegistered", tracing=True).trace
    assert (first.rule, first.matched, first.line) == ("donor opted in", False, 4)
    assert first.why == "action is AlreadyRegistered, the rule wants Subscribe or Signup"
    assert (second.rule, second.matched) == ("known", True)
    (only,) = ask(DONOR, action="Signup", tracing=True).trace
    contact, record = only.operations
    assert [(value.field, value.source, value.value) for value in contact.values] == [
        ("SMS_Key__c", "{msisdn}", "+4798079008"),
        ("LastName", "lookup.lastName (default)", "Unknown"),
        ("FirstName", "lookup.firstName", None),
        ("MobilePhone", "{msisdn}", "+4798079008"),
        ("Opt_Out__c", "false", False),
        ("Note__c", "null", None),
        ("Gift__c", "price (round)", None),
    ]
    assert record.skipped == "keyword is missing"


def test_tracing_changes_nothing_else(ask):
    for fields in ({"action": "Signup", "keyword": "K"}, {"action": "New"}, {"action": "Signup", "msisdn": None}):
        plain, traced = ask(DONOR, **fields), ask(DONOR, tracing=True, **fields)
        assert (plain.operations, plain.problem, plain.consent) == (traced.operations, traced.problem, traced.consent)


def test_a_truncated_empty_text_is_missing_and_a_number_is_truncated_as_text(ask):
    wanted = ask(
        """
        on: strex.delivery_report
        rules:
          - name: a
            do:
              - upsert: Contact
                key: {K__c: "{key}"}
                set:
                  Blank__c: {from: status, truncate: 2}
                  Whole__c: {from: keyword, truncate: 2}
                  Number__c: {from: currency, default: 1234, truncate: 2}
                  Price__c: {from: price, truncate: 2}
                  Text__c: {from: currency, default: "{price}", truncate: 3}
        """,
        status="   abc",
        keyword="KATT",
        price=Decimal("12.50"),
    )
    assert wanted.operations[0].set == {"Whole__c": "KA", "Number__c": "12", "Price__c": "12", "Text__c": "12."}


def test_a_key_is_written_with_composed_letters_for_a_record_and_for_its_parent(ask):
    poll = """
on: strex.delivery_report
rules:
  - name: vote
    do:
      - upsert: CampaignMember
        key: {SMS_Key__c: "{keyword}-{msisdn}"}
        set: {"Campaign__r": {SMS_Key__c: "{keyword}"}}
"""
    for keyword in ("F\u00c5", "FA\u030a"):
        (write,) = ask(poll, keyword=keyword).operations
        assert write.key.startswith("F\u00c5-+")
        assert write.set["Campaign__r"] == Parent("SMS_Key__c", "F\u00c5")


BY_ACTION = """
on: strex.delivery_report
rules:
  - {name: both, when: {action: [Subscribe, signup], keyword: KATT}, ignore: true}
  - {name: any action, when: {keyword: HUND}, ignore: true}
  - {name: one of two, when: {any: [{action: Subscribe}, {text: ja}]}, ignore: true}
  - {name: another, when: {not: {action: Signup}, text: nei}, ignore: true}
  - {name: without one, when: {action: {missing: true}}, ignore: true}
  - {name: alike, when: {action: {like: "Sub*"}}, ignore: true}
  - {name: the rest, ignore: true}
"""


@pytest.mark.parametrize("action", [None, " ", "Subscribe", "SIGNUP", "Recurring"])
@pytest.mark.parametrize("keyword", [None, "KATT", "HUND"])
@pytest.mark.parametrize("text", [None, "ja", "nei"])
def test_the_index_by_action_finds_the_first_matching_rule(compiled, event, action, keyword, text):
    """Rules that wait for another action are not asked, and that must change nothing."""
    (file,) = compiled(BY_ACTION).files
    reading = Reading(event(action=action, keyword=keyword, text=text), {})
    expected = next(rule for rule in file.rules if rule.when is None or rule.when.holds(reading))
    assert first_match(file, reading, None) is expected
    assert expected in file.rules_for(reading.event)


def test_rules_with_another_action_are_not_evaluated(compiled, event):
    (file,) = compiled(BY_ACTION).files
    asked = [rule.name for rule in file.rules_for(event(action="Recurring"))]
    assert asked == ["any action", "one of two", "another", "without one", "alike", "the rest"]


@pytest.mark.parametrize(
    ("properties", "value"),
    [
        ({"Myproperty": "a"}, "a"),
        ({"MYPROPERTY": "first", "myProperty": "second"}, "first"),
        ({"MYPROPERTY": "other", "myproperty": "itself"}, "itself"),
        ({"notmyproperty": "a", "x": "myproperty"}, None),
        ({"my": "a", "property": "b"}, None),
        ({}, None),
    ],
)
def test_a_property_is_found_without_regard_to_case(event, properties, value):
    assert getter(parse_path("properties.myproperty"))(Reading(event(properties=properties), {})) == value


def test_a_property_is_found_with_composed_and_decomposed_letters(event):
    reading = Reading(event(properties={"A\u030arsak": "a"}), {})
    assert getter(parse_path('properties["årsak"]'))(reading) == "a"
