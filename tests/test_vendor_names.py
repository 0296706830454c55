"""What a provider or a CRM costs outside its own folders: the lines that name it, counted."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "connector"
REGISTRY_LINES = 1  # the name of its folder


def lines_that_name(vendor: str) -> dict[str, int]:
    """Lines by file, without the vendor's folders and its part of the demo."""
    own = (f"providers/{vendor}/", f"crm/{vendor}/", f"sandbox/{vendor}/", f"cli/demo/{vendor}.py")
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        here = path.relative_to(ROOT).as_posix()
        lines = [line for line in path.read_text().splitlines() if vendor in line.casefold()]
        if lines and not here.startswith(own):
            found[here] = len(lines)
    return found


@pytest.mark.parametrize(
    ("vendor", "comments"),
    [
        ("dynamics", {"cli/demo/two_crms.py": 20}),
        ("twilio", {"consent/opt_out_table.py": 2}),  # where the words of the table come from
        ("sumotext", {"providers/form_endpoint.py": 1}),
        ("onlinefundraising", {"ports.py": 1}),
        ("messagecloud", {"admin/charges.py": 1, "providers/form_endpoint.py": 1}),
    ],
)
def test_only_the_registry_and_comments_name_a_vendor(vendor, comments):
    assert lines_that_name(vendor) == {"registry.py": REGISTRY_LINES} | comments


def test_a_vendor_that_is_named_is_found():
    assert lines_that_name("strex")["registry.py"] == REGISTRY_LINES
    assert lines_that_name("salesforce").keys() > {"registry.py"}
