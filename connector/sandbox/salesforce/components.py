"""Reads the components of a deployed zip file, as far as possible without the org.

Metadata API Developer Guide, "CustomField", "CustomObject", "PermissionSet", "package.xml". Problems have the Metadata
API's wording.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from connector.sandbox.salesforce.fields import Field, Kind
from connector.sandbox.salesforce.soap import METADATA, SoapError, parse, word

KINDS = {
    "Text": Kind.TEXT,
    "LongTextArea": Kind.LONG_TEXT,
    "Checkbox": Kind.BOOLEAN,
    "Currency": Kind.CURRENCY,
    "Date": Kind.DATE,
    "DateTime": Kind.DATETIME,
    "Email": Kind.EMAIL,
    "Phone": Kind.PHONE,
    "Lookup": Kind.REFERENCE,
}
NEEDED = {
    "Text": ("length",),
    "LongTextArea": ("length", "visibleLines"),
    "Checkbox": ("defaultValue",),
    "Currency": ("precision", "scale"),
    "Lookup": ("referenceTo", "relationshipName"),
}
OF_AN_OBJECT = ("label", "pluralLabel", "nameField", "deploymentStatus", "sharingModel")
LENGTHS = {Kind.PHONE: 40, Kind.EMAIL: 80, Kind.REFERENCE: 18}


class ComponentError(Exception):
    """A component cannot be deployed; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One part of a package."""

    kind: str  # CustomObject, CustomField, PermissionSet
    name: str
    file: str
    element: Element

    @property
    def object(self) -> str:
        """The object that it belongs to: fields of tasks are defined on the object Activity, which has no records."""
        name = self.name.partition(".")[0]
        return "Task" if name == "Activity" else name

    @property
    def shown_as(self) -> str:
        """The name used for reading and writing."""
        own = self.name.partition(".")[2]
        return f"{self.object}.{own}" if own else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a component, or the whole package, is rejected."""

    kind: str
    name: str
    file: str
    problem: str


def unpack(archive: bytes) -> tuple[list[Component], list[Failure]]:
    """The components that package.xml names, and the problems of the files."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            texts = {name: file.read(name) for name in file.namelist()}
    except zipfile.BadZipFile:
        return [], [Failure(kind="", name="", file="package.xml", problem="The zip file cannot be read")]
    if "package.xml" not in texts:
        return [], [Failure(kind="", name="", file="package.xml", problem="No package.xml found")]
    failures: list[Failure] = []
    held: dict[tuple[str, str], Component] = {}
    named: list[tuple[str, str]] = []
    for name, text in texts.items():
        try:
            element = parse(text)
        except SoapError as error:
            failures.append(Failure(kind="", name="", file=name, problem=error.message))
            continue
        if name == "package.xml":
            named = _named(element)
        else:
            held.update(_components(name, element))
    components = []
    for kind, name in named:
        if (kind, name) in held:
            components.append(held[kind, name])
        elif not failures:
            problem = (
                f"An object '{name}' of type {kind} was named in package.xml, but was not found in zipped directory"
            )
            failures.append(Failure(kind=kind, name=name, file="package.xml", problem=problem))
    return components, failures


def _named(manifest: Element) -> list[tuple[str, str]]:
    return [
        (word(types, "name"), (member.text or "").strip())
        for types in manifest.findall(f"{{{METADATA}}}types")
        for member in types.findall(f"{{{METADATA}}}members")
    ]


def _components(file: str, element: Element) -> Mapping[tuple[str, str], Component]:
    directory, _, base = file.partition("/")
    name = base.rpartition(".")[0]
    if directory == "permissionsets":
        return {("PermissionSet", name): Component(kind="PermissionSet", name=name, file=file, element=element)}
    if directory != "objects":
        return {}
    found = {("CustomObject", name): Component(kind="CustomObject", name=name, file=file, element=element)}
    for one in element.findall(f"{{{METADATA}}}fields"):
        full = f"{name}.{word(one, 'fullName')}"
        found["CustomField", full] = Component(kind="CustomField", name=full, file=file, element=one)
    return found


def check_object(component: Component) -> None:
    """Raise ComponentError if a custom object is incomplete."""
    if not component.name.endswith("__c"):
        raise ComponentError(f"{component.name} is a standard object: only its fields can be deployed here")
    for name in OF_AN_OBJECT:
        if component.element.find(f"{{{METADATA}}}{name}") is None:
            raise ComponentError(f"Must specify a non-empty {name} for the CustomObject")


def field(component: Component) -> Field:
    """A custom field. Raises ComponentError if it is invalid."""
    element, name = component.element, component.name.partition(".")[2]
    said = word(element, "type")
    kind = KINDS.get(said)
    if not name.endswith("__c"):
        raise ComponentError(f"The name of a custom field must end with __c: {name}")
    if kind is None:
        raise ComponentError(f"'{said}' is not a valid value for the enum 'FieldType'")
    for needed in ("label", *NEEDED.get(said, ())):
        if not word(element, needed):
            raise ComponentError(f"Must specify '{needed}' for a CustomField of type {said}")
    length = word(element, "length")
    targets = (word(element, "referenceTo"),) if kind is Kind.REFERENCE else ()
    return Field(
        name=name,
        kind=kind,
        length=int(length) if length.isdigit() else LENGTHS.get(kind, 0),
        unique=word(element, "unique") == "true",
        case_sensitive=word(element, "caseSensitive") == "true",
        external_id=word(element, "externalId") == "true",
        targets=targets,
        relationship=f"{name[:-3]}__r" if targets else None,
        default=word(element, "defaultValue") == "true" if kind is Kind.BOOLEAN else None,
    )
