"""The lock file: a CRM's schema as text, and back."""

import pytest

from connector.config.schema_lock import lock_path, lock_text, parse_lock, read_lock
from connector.model.crm_schema import CrmSchema, FieldKind, FieldSchema, ObjectSchema
from connector.model.problem import ProblemsFound

FIELD = FieldSchema(
    name="Interest__c",
    label="Intérêt",
    kind=FieldKind.CHOICE,
    length=255,
    choices=("Børn", "Climate"),
    restricted=True,
    createable=True,
    updateable=True,
    required=True,
    unique=True,
    external_id=True,
    id_lookup=True,
    money=True,
    relationship="Who",
    parents=("Contact", "Lead"),
)
PLAIN = FieldSchema(name="A")
SCHEMA = CrmSchema(
    crm="salesforce",
    objects=(
        ObjectSchema(name="Task", fields=(FIELD, PLAIN), currency_field="CurrencyIsoCode"),
        ObjectSchema(name="Contact", label="Person"),
    ),
)
TEXT = lock_text(SCHEMA)


def test_a_written_schema_lock_is_read_unchanged():
    read = parse_lock(TEXT.encode(), "salesforce", "x")
    assert read.object("contact") == SCHEMA.objects[1]
    assert read.object("TASK").field("interest__C") == FIELD
    assert read.object("Task").currency_field == "CurrencyIsoCode"
    assert read.object("Task").field("A") == PLAIN
    assert lock_text(read) == TEXT


def test_a_schema_lock_has_one_order_and_one_line_for_each_field():
    turned = CrmSchema(
        crm="salesforce",
        objects=(SCHEMA.objects[1], ObjectSchema(name="Task", fields=(PLAIN, FIELD), currency_field="CurrencyIsoCode")),
    )
    assert lock_text(turned) == TEXT
    assert '        "A": {"kind": "text"},\n' in TEXT
    (line,) = [line for line in TEXT.splitlines() if '"Interest__c"' in line]
    assert "Børn" in line
    assert "do not edit" in TEXT


def test_a_missing_schema_lock_is_no_problem(tmp_path):
    assert read_lock(lock_path(tmp_path, "salesforce"), "salesforce") is None
    lock_path(tmp_path, "salesforce").write_text(TEXT, encoding="utf-8")
    assert read_lock(tmp_path / "salesforce.lock.json", "salesforce") is not None


@pytest.mark.parametrize(
    ("raw", "emitted"),
    [
        (b"", "f.json:1:1: this is not a schema lock"),
        (b"\xff\xfe", "this is not a schema lock"),
        (b"[]", "this is not a schema lock"),
        (b"{}", "version"),
        (b"[" * 100_000, "this is not a schema lock"),
        (b"<<<<<<< HEAD\n" + TEXT.encode(), "f.json:1:1: "),
        (TEXT.encode()[:-30], "this is not a schema lock"),
        (TEXT.replace('"version": 1', '"version": 2').encode(), "another version of the connector"),
        (TEXT.replace('"kind": "choice"', '"kind": "choise"').encode(), "objects.Task.fields.Interest__c.kind"),
        (TEXT.replace('"unique": true', '"uniqe": true').encode(), "objects.Task.fields.Interest__c.uniqe"),
        (TEXT.replace('"length": 255', '"length": "255"').encode(), "objects.Task.fields.Interest__c.length"),
        (
            TEXT.replace('"crm": "salesforce"', '"crm": "other"').encode(),
            "the schema of `other`, and not of `salesforce`",
        ),
    ],
)
def test_a_broken_schema_lock_is_a_problem_with_the_cure(raw, emitted):
    with pytest.raises(ProblemsFound) as caught:
        parse_lock(raw, "salesforce", "f.json")
    (problem,) = caught.value.problems
    assert emitted in str(problem)
    assert "connector schema pull" in problem.hint


def test_a_directory_in_the_place_of_a_schema_lock_is_a_problem(tmp_path):
    lock_path(tmp_path, "salesforce").mkdir()
    with pytest.raises(ProblemsFound):
        read_lock(lock_path(tmp_path, "salesforce"), "salesforce")
