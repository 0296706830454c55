"""Differences between two schemas, and which of them affect writes."""

from dataclasses import replace

import pytest

from connector.checks.schema_diff import changes
from connector.checks.schema_drift import narrowing
from connector.crm.crm import Needs
from connector.model.crm_schema import CrmSchema, FieldKind, FieldSchema, ObjectSchema

FIELD = FieldSchema(
    name="A__c",
    label="A",
    length=40,
    createable=True,
    updateable=True,
    choices=("x", "y"),
    relationship="Who",
    parents=("Contact",),
)


def schema(*fields, name="Contact"):
    return CrmSchema(crm="salesforce", objects=(ObjectSchema(name=name, fields=fields),))


def test_equal_schemas_have_no_changes():
    assert changes(schema(FIELD), schema(FIELD)) == []


@pytest.mark.parametrize(
    ("now", "text", "narrows"),
    [
        ({"length": 20}, "holds 20 characters, and held 40", True),
        ({"length": 80}, "holds 80 characters, and held 40", False),
        ({"kind": FieldKind.NUMBER}, "is of the kind number, and was text", True),
        ({"choices": ("x",), "restricted": True}, "has lost value y", True),
        ({"choices": ("x",)}, "has lost value y", False),
        ({"choices": ("x", "y", "z")}, "has the new value z", False),
        ({"choices": ("y", "x")}, "has its values in another order", False),
        ({"restricted": True}, "now takes only values of its list", True),
        ({"updateable": False}, "can be changed no longer", True),
        ({"createable": False}, "can be set on a new record no longer", True),
        ({"unique": True}, "is unique now", True),
        ({"external_id": True}, "is an external ID now", True),
        ({"required": True}, "is needed by new records now", True),
        ({"parents": ("Lead",)}, "points to Lead as Who", True),
        ({"parents": ("Contact", "Lead")}, "points to Contact, Lead as Who", False),
        ({"label": "B"}, "is labelled B, and was A", False),
    ],
)
def test_each_change_is_described_and_says_whether_writes_may_fail(now, text, narrows):
    first = changes(schema(FIELD), schema(replace(FIELD, **now)))[0]
    assert (first.text, first.narrows) == (f"Contact.A__c {text}", narrows)
    assert len(changes(schema(replace(FIELD, **now)), schema(FIELD))) >= 1


def test_added_and_removed_objects_and_fields_are_described():
    other = replace(FIELD, name="B__c")
    assert [one.text for one in changes(schema(FIELD), schema(other))] == [
        "Contact.A__c is gone, or hidden",
        "Contact.B__c is new",
    ]
    assert [one.text for one in changes(schema(FIELD), schema(FIELD, name="Lead"))] == [
        "Contact is no longer here",
        "Lead is new here, with 1 fields",
    ]
    assert [one.text for one in changes(None, schema(FIELD))] == ["Contact is new here, with 1 fields"]


def test_only_changes_of_used_fields_can_make_writes_fail():
    found = changes(schema(FIELD, replace(FIELD, name="B__c")), schema())
    assert len(found) == 2
    needs = [Needs(object="contact", written=("a__C",))]
    assert [one.field for one in narrowing(found, needs)] == ["A__c"]
    assert narrowing(found, [Needs(object="Lead", written=("A__c",))]) == []
    assert narrowing(changes(schema(FIELD), CrmSchema(crm="salesforce")), needs) != []
    assert narrowing(changes(schema(), schema(FIELD)), needs) == []
