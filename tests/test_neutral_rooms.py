"""No neutral folder knows a vendor: a CRM's specifics are in its folder, and reach others as CrmTraits."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "connector"
NEUTRAL = ("model", "pipeline", "delivery", "consent", "mapping", "store", "admin", "checks", "web", "telemetry")
MODULES = ("ports", "application", "daemon", "worker", "scheduler", "process", "current_mappings",
           "crm/crm", "config/validation_errors")  # fmt: skip
VENDOR = re.compile(r"""(?i:salesforce|dynamics|dataverse)|(["'])Id\1|__[cr]\b""")
# Lines that show a person what to write. A mapping names the fields of one CRM, and an example must be one that works.
EXAMPLES = {
    "mapping/checks/matches.py": "External_Id__c",
    "mapping/checks/addresses.py": "Key__c",
    "mapping/language/rules.py": "External_Id__c",
    "mapping/compile/fields.py": "SMS_Key__c",
}
# The one place of the connector's own word for a record's id, which mappings and stored events use for every CRM.
ALLOWED = {("model/operation.py", 'ID_FIELD = "Id"')}


def vendors_in(path: Path) -> list[str]:
    """The lines of a neutral file in which a vendor is named."""
    here = path.relative_to(ROOT).as_posix()
    found = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        said = line.replace(EXAMPLES[here], "") if here in EXAMPLES else line
        if VENDOR.search(said) and (here, line.strip()) not in ALLOWED:
            found.append(f"{here}:{number}: {line.strip()}")
    return found


def test_no_neutral_room_knows_a_vendor():
    files = [path for room in NEUTRAL for path in sorted((ROOT / room).rglob("*.py"))]
    files += [ROOT / f"{name}.py" for name in MODULES]
    assert [line for path in files for line in vendors_in(path)] == []


def test_every_allowed_example_is_still_shown():
    assert [name for name, shown in EXAMPLES.items() if shown not in (ROOT / name).read_text()] == []


@pytest.mark.parametrize(
    "line",
    ['record.get("Id")', "record['Id']", 'name.endswith("__r")', "# as SalesForce does", "A__c: 1", "in Dataverse"],
)
def test_a_vendor_is_found(line):
    assert VENDOR.search(line)


@pytest.mark.parametrize(
    "line", ["key.__class__ is str", "__call__(self)", 'ID = "id"', "ID_FIELD", '"Idle"', "__repr__"]
)
def test_words_that_resemble_a_vendor_name_are_allowed(line):
    assert not VENDOR.search(line)
