"""The deployed package: it has exactly what the shipped mappings need, zipped in the form that the org requires."""

import io
import shutil
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from example_config import with_sinks

from connector.checks.crm_requirements import needs
from connector.crm.salesforce.setup.package import NAMESPACE, PLACES, shipped
from connector.mapping.compile.ruleset import load_mappings
from connector.model.errors import ConnectorError
from connector.registry import PROVIDERS, load_config, mapping_context

ROOT = Path(__file__).parents[2]
# Of standard objects: what everybody sees who sees the record. Required fields and the parts of a name have no field permissions.
ALWAYS_SEEN = {
    "Contact.FirstName",
    "Contact.LastName",
    "Opportunity.CloseDate",
    "Opportunity.Name",
    "Opportunity.StageName",
}
DEPENDENCIES = {"Account"}  # read access to contacts and opportunities cannot be given without it


@pytest.fixture
def needed():
    context = mapping_context(load_config(ROOT / "config.example.yaml"))
    return needs(load_mappings(ROOT / "mappings", context))["salesforce"]


@pytest.fixture
def more(tmp_path):
    """What all shipped files need together."""
    kinds = (settings.model_fields["type"].default for settings in PROVIDERS)
    others = "".join(f"  {kind}: {{path_secrets: [{{env: SECRET}}]}}\n" for kind in kinds if kind != "strex")
    config = tmp_path / "config.yaml"
    config.write_text(with_sinks().replace("\nproviders:\n", f"\nproviders:\n{others}"))
    shutil.copytree(ROOT / "mappings", tmp_path / "mappings")
    for path in (ROOT / "mappings" / "more").glob("*.yaml"):
        shutil.copy(path, tmp_path / "mappings")
    return needs(load_mappings(tmp_path / "mappings", mapping_context(load_config(config))))["salesforce"]


def names(need):
    fields = {*need.key_fields, *need.written, *need.read}
    return {f"{need.object}.{name.removesuffix('__r') + '__c' if name.endswith('__r') else name}" for name in fields}


def test_the_package_has_exactly_the_custom_fields_and_objects_of_the_shipped_mappings(needed):
    package = shipped()
    assert {one.full_name for one in package.fields} == {
        name for need in needed for name in names(need) if name.endswith("__c")
    }
    assert set(package.objects) == {need.object for need in needed if need.object.endswith("__c")}


def test_the_package_has_the_custom_fields_of_optional_mappings(more):
    used = {name for need in more for name in names(need)}
    package = shipped(used)
    assert {one.shown_as for one in package.fields} == {name for name in used if name.endswith("__c")}
    _, allowed, charges = sorted(package.permission_sets, key=lambda one: one.name)
    assert (allowed.name, charges.name) == ("CRM_Connector_Campaigns", "CRM_Connector_Charges")
    assert {*allowed.fields, *charges.fields} == {one.shown_as for one in package.fields} - {
        one.shown_as for one in shipped().fields
    }
    assert {name: (rights.create, rights.edit) for name, rights in allowed.objects.items()} == {
        "Campaign": (True, True)
    }


def test_the_permission_set_allows_exactly_what_the_mappings_need(needed):
    (allowed,) = shipped().permission_sets
    assert set(allowed.fields) == {name for need in needed for name in names(need)} - ALWAYS_SEEN
    written = {name for need in needed for name in names(need) if name.partition(".")[2] in _written(need)}
    assert {name for name, edit in allowed.fields.items() if edit} == written - ALWAYS_SEEN
    assert set(allowed.objects) == {need.object for need in needed} | DEPENDENCIES
    for name, rights in allowed.objects.items():
        own = name not in DEPENDENCIES
        assert (rights.read, rights.create, rights.edit) == (True, own, own), name
    refused = ("allowDelete", "modifyAllRecords", "viewAllRecords")
    assert {one.text for one in allowed.element.iter() if one.tag.removeprefix(f"{{{NAMESPACE}}}") in refused} == {
        "false"
    }


def _written(need):
    return {name.removesuffix("__r") + "__c" if name.endswith("__r") else name for name in need.written} | {
        *need.key_fields
    }


def test_keys_of_the_package_are_unique_external_ids(needed):
    fields = {one.full_name: one for one in shipped().fields}
    for need in needed:
        for key in need.key_fields:
            field = fields[f"{need.object}.{key}"]
            assert (field.external_id, field.unique, field.type) == (True, True, "Text")
    assert sum(one.unique for one in fields.values()) == len([key for need in needed for key in need.key_fields])


def test_fields_of_one_object_are_merged_into_one_file():
    package = shipped()
    with zipfile.ZipFile(io.BytesIO(package.archive())) as file:
        assert file.namelist() == [
            "package.xml",
            "objects/Contact.object",
            "objects/Opportunity.object",
            "objects/SMS_Event__c.object",
            "permissionsets/CRM_Connector.permissionset",
        ]
        event = ET.fromstring(file.read("objects/SMS_Event__c.object"))
        manifest = ET.fromstring(file.read("package.xml"))
    assert event.tag == f"{{{NAMESPACE}}}CustomObject"
    assert event.findtext(f"{{{NAMESPACE}}}sharingModel") == "Read"
    own = {one.name for one in package.fields if one.object == "SMS_Event__c"}
    assert {one.findtext(f"{{{NAMESPACE}}}fullName") for one in event.iter(f"{{{NAMESPACE}}}fields")} == own
    members = {one.text for one in manifest.iter(f"{{{NAMESPACE}}}members")}
    assert members == {one.full_name for one in package.fields} | {"SMS_Event__c", "CRM_Connector"}


def test_the_same_parts_make_the_same_archive():
    assert shipped().archive() == shipped().archive()


def test_a_single_field_can_be_packed():
    alone = shipped().only({"Contact.SMS_Key__c"})
    with zipfile.ZipFile(io.BytesIO(alone.archive())) as file:
        assert file.namelist() == ["package.xml", "objects/Contact.object"]


def test_a_field_is_never_shortened():
    field = next(one for one in shipped().fields if one.name == "SMS_Keywords__c")
    assert field.as_long_as(80) is field
    longer = field.as_long_as(300)
    assert longer.length == 300
    assert longer.element.findtext(f"{{{NAMESPACE}}}length") == "300"
    assert field.element.findtext(f"{{{NAMESPACE}}}length") == "255"


def test_an_optional_directory_is_included_if_the_mappings_use_it():
    assert "Campaign.SMS_Key__c" not in {one.full_name for one in shipped(["Contact.SMS_Key__c"]).fields}
    assert "Campaign.SMS_Key__c" in {one.full_name for one in shipped(["Task.SMS_Key__c"]).fields}


def test_an_installation_without_the_package_is_an_error(tmp_path):
    with pytest.raises(ConnectorError, match="install the connector again"):
        shipped(places=[tmp_path])


def test_the_wheel_contains_the_package():
    project = (ROOT / "pyproject.toml").read_text()
    assert f'"salesforce" = "{PLACES[0].relative_to(ROOT)}"' in project
