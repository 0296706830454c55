"""The shipped package of fields, objects and permission sets: read from source format, zipped for the Metadata API.

Makes no calls to an org. Source: Salesforce DX Developer Guide, "Source Format"; Metadata API Developer Guide,
"File-Based Calls", "CustomObject", "CustomField", "PermissionSet".
"""

import copy
import io
import json
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

# The files are part of the program, and therefore trusted.
from xml.etree import ElementTree as ET

from connector.model.errors import ConnectorError

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
PLACES = (
    Path(__file__).parent.parent / "shipped",
    Path(__file__).parents[4] / "salesforce",
)  # in a wheel, in a checkout
PROJECT = "sfdx-project.json"
WHEN = (1980, 1, 1, 0, 0, 0)  # the earliest time in a zip file, so that the same parts give the same bytes
TRUE = "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPart:
    """A custom field."""

    object: str
    name: str
    type: str  # Metadata API type: Text, Checkbox, Lookup
    length: int | None
    external_id: bool
    unique: bool
    case_sensitive: bool
    element: ET.Element

    @property
    def full_name(self) -> str:
        """The name in package.xml."""
        return f"{self.object}.{self.name}"

    @property
    def shown_on(self) -> str:
        """The object on which the field is used: fields of tasks are defined on an object that has no records."""
        return "Task" if self.object == "Activity" else self.object

    @property
    def shown_as(self) -> str:
        """The name in mappings and field permissions."""
        return f"{self.shown_on}.{self.name}"

    def as_long_as(self, length: int) -> "FieldPart":
        """The same field, with a length of at least this many characters."""
        if self.length is None or length <= self.length:
            return self
        element = copy.deepcopy(self.element)
        for one in element.iter(_tag("length")):
            one.text = str(length)
        return replace(self, length=length, element=element)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """A permission set's rights on one object."""

    read: bool
    create: bool
    edit: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionSetPart:
    """A permission set."""

    name: str
    label: str
    fields: Mapping[str, bool]  # full name → whether it may also be edited
    objects: Mapping[str, Rights]
    element: ET.Element


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Parts that are deployed together."""

    version: str  # API version of the metadata
    objects: Mapping[str, ET.Element]  # custom objects, by name
    fields: tuple[FieldPart, ...]
    permission_sets: tuple[PermissionSetPart, ...]

    def only(self, names: Collection[str]) -> "Package":
        """The package with only the parts that have these full names."""
        return Package(
            version=self.version,
            objects={name: element for name, element in self.objects.items() if name in names},
            fields=tuple(one for one in self.fields if one.full_name in names),
            permission_sets=tuple(one for one in self.permission_sets if one.name in names),
        )

    def with_fields(self, fields: tuple[FieldPart, ...]) -> "Package":
        """The package with these fields instead."""
        return replace(self, fields=fields)

    def archive(self) -> bytes:
        """The zip file for deployment: one `.object` file per object with all its fields, and package.xml."""
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as file:
            for name, element in self._files():
                file.writestr(zipfile.ZipInfo(name, WHEN), _bytes(element))
        return held.getvalue()

    def _files(self) -> Iterator[tuple[str, ET.Element]]:
        yield "package.xml", self._manifest()
        for name in sorted({*self.objects, *(one.object for one in self.fields)}):
            whole = copy.deepcopy(self.objects.get(name, ET.Element(_tag("CustomObject"))))
            for one in self.fields:
                if one.object == name:
                    field = copy.deepcopy(one.element)
                    field.tag = _tag("fields")
                    whole.append(field)
            yield f"objects/{name}.object", whole
        for permission_set in self.permission_sets:
            yield f"permissionsets/{permission_set.name}.permissionset", permission_set.element

    def _manifest(self) -> ET.Element:
        root = ET.Element(_tag("Package"))
        kinds = {
            "CustomField": [one.full_name for one in self.fields],
            "CustomObject": list(self.objects),
            "PermissionSet": [one.name for one in self.permission_sets],
        }
        for kind, members in kinds.items():
            if members:
                types = ET.SubElement(root, _tag("types"))
                for member in sorted(members):
                    ET.SubElement(types, _tag("members")).text = member
                ET.SubElement(types, _tag("name")).text = kind
        ET.SubElement(root, _tag("version")).text = self.version
        return root


def shipped(used: Iterable[str] = (), places: Iterable[Path] = PLACES) -> Package:
    """The package that is part of the program.

    The default directory is always included. Other directories are included if they hold a field or object in `used`:
    full names, for example those that the mappings write.

    Raises:
        ConnectorError: the package is not found.
    """
    root = next((place for place in places if (place / PROJECT).is_file()), None)
    if root is None:
        raise ConnectorError(
            "the package for Salesforce is missing from this installation: install the connector again"
        )
    project = json.loads((root / PROJECT).read_text(encoding="utf-8"))
    wanted = set(used)
    version = project["sourceApiVersion"]
    parts = []
    for directory in project["packageDirectories"]:
        part = _read(root / directory["path"], version)
        if directory.get("default") or wanted & {*part.objects, *(one.shown_as for one in part.fields)}:
            parts.append(part)
    return Package(
        version=version,
        objects={name: element for part in parts for name, element in part.objects.items()},
        fields=tuple(field for part in parts for field in part.fields),
        permission_sets=tuple(one for part in parts for one in part.permission_sets),
    )


def _read(directory: Path, version: str) -> Package:
    objects = {}
    fields = []
    permission_sets = []
    for path in sorted(directory.rglob("*-meta.xml")):
        element = ET.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 - see the import.
        name, kind = path.name.split(".")[:2]
        if kind == "object-meta":
            objects[name] = element
        elif kind == "field-meta":
            fields.append(_field(path.parents[1].name, name, element))
        elif kind == "permissionset-meta":
            permission_sets.append(_permission_set(name, element))
    return Package(version=version, objects=objects, fields=tuple(fields), permission_sets=tuple(permission_sets))


def _field(object_name: str, name: str, element: ET.Element) -> FieldPart:
    length = _text(element, "length")
    return FieldPart(
        object=object_name,
        name=name,
        type=_text(element, "type"),
        length=int(length) if length else None,
        external_id=_text(element, "externalId") == TRUE,
        unique=_text(element, "unique") == TRUE,
        case_sensitive=_text(element, "caseSensitive") == TRUE,
        element=element,
    )


def _permission_set(name: str, element: ET.Element) -> PermissionSetPart:
    return PermissionSetPart(
        name=name,
        label=_text(element, "label"),
        fields={_text(one, "field"): _text(one, "editable") == TRUE for one in element.iter(_tag("fieldPermissions"))},
        objects={
            _text(one, "object"): Rights(
                read=_text(one, "allowRead") == TRUE,
                create=_text(one, "allowCreate") == TRUE,
                edit=_text(one, "allowEdit") == TRUE,
            )
            for one in element.iter(_tag("objectPermissions"))
        },
        element=element,
    )


def _text(element: ET.Element, name: str) -> str:
    return element.findtext(_tag(name), "")


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _bytes(element: ET.Element) -> bytes:
    text: bytes = ET.tostring(element, encoding="UTF-8", xml_declaration=True, default_namespace=NAMESPACE)
    return text
