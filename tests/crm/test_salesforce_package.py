"""The package that is deployed: it holds what the shipped mappings need, and nothing more; and it is packed as the org wants it."""

import io
import json
import shutil
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from connector.adapters import load_config, mapping_context
from connector.control.needs import needs
from connector.crm.salesforce.package import NAMESPACE, PLACES, shipped
from connector.mapping.compile import load_mappings
from connector.model.errors import ConnectorError

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


def names(need):
    fields = {*need.key_fields, *need.written, *need.read}
    return {f"{need.object}.{name.removesuffix('__r') + '__c' if name.endswith('__r') else name}" for name in fields}


def test_it_has_the_custom_fields_and_objects_of_the_shipped_mappings_and_nothing_more(needed):
    package = shipped()
    assert {one.full_name for one in package.fields} == {
        name for need in needed for name in names(need) if name.endswith("__c")
    }
    assert set(package.objects) == {need.object for need in needed if need.object.endswith("__c")}


def test_its_permission_set_allows_what_they_need_and_nothing_more(needed):
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


def test_keys_are_unique_external_ids(needed):
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


def test_the_same_parts_make_the_same_bytes():
    assert shipped().archive() == shipped().archive()


def test_a_part_is_packed_alone():
    alone = shipped().only({"Contact.SMS_Key__c"})
    with zipfile.ZipFile(io.BytesIO(alone.archive())) as file:
        assert file.namelist() == ["package.xml", "objects/Contact.object"]


def test_a_field_never_gets_shorter():
    field = next(one for one in shipped().fields if one.name == "SMS_Keywords__c")
    assert field.as_long_as(80) is field
    longer = field.as_long_as(300)
    assert longer.length == 300
    assert longer.element.findtext(f"{{{NAMESPACE}}}length") == "300"
    assert field.element.findtext(f"{{{NAMESPACE}}}length") == "255"


def test_another_directory_is_taken_where_the_mappings_use_it(tmp_path):
    root = tmp_path / "salesforce"
    shutil.copytree(PLACES[1], root)
    more = root / "more" / "main/default/objects/Campaign/fields/SMS_Key__c.field-meta.xml"
    more.parent.mkdir(parents=True)
    shutil.copy(root / "force-app/main/default/objects/Contact/fields/SMS_Key__c.field-meta.xml", more)
    project = json.loads((root / "sfdx-project.json").read_text())
    project["packageDirectories"].append({"path": "more"})
    (root / "sfdx-project.json").write_text(json.dumps(project))
    assert "Campaign.SMS_Key__c" not in {one.full_name for one in shipped(["Contact.SMS_Key__c"], [root]).fields}
    assert "Campaign.SMS_Key__c" in {one.full_name for one in shipped(["Campaign.SMS_Key__c"], [root]).fields}


def test_an_installation_without_it_says_so(tmp_path):
    with pytest.raises(ConnectorError, match="install the connector anew"):
        shipped(places=[tmp_path])


def test_a_wheel_has_it():
    project = (ROOT / "pyproject.toml").read_text()
    assert f'"salesforce" = "{PLACES[0].relative_to(ROOT)}"' in project
