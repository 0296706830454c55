"""What an administrator deploys to the org, and which users can see it.

For the API, a field that nobody may see does not exist. It is kept here, and added to the schema when a permission set
that shows it is assigned to the integration user.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from connector.sandbox.salesforce import org
from connector.sandbox.salesforce.components import Component, ComponentError, Failure, check_object, field
from connector.sandbox.salesforce.database import Database
from connector.sandbox.salesforce.drafts import Author
from connector.sandbox.salesforce.fields import Field, SObject
from connector.sandbox.salesforce.soap import METADATA, word
from connector.sandbox.salesforce.values import as_moment
from connector.sandbox.salesforce.writing import Writer

# Write permission on one requires read permission on the other.
DEPENDS = {"Contact": "Account", "Opportunity": "Account"}
ASSIGNED = """
SELECT f."Field", max(f."PermissionsEdit") FROM "FieldPermissions" f
JOIN "PermissionSetAssignment" a ON a."PermissionSetId" = f."ParentId" AND a."IsDeleted" = 0
WHERE f."IsDeleted" = 0 AND f."PermissionsRead" = 1 AND a."AssigneeId" = ? GROUP BY f."Field"
"""
SEEN = """
SELECT o."SobjectType" FROM "ObjectPermissions" o
JOIN "PermissionSetAssignment" a ON a."PermissionSetId" = o."ParentId" AND a."IsDeleted" = 0
WHERE o."IsDeleted" = 0 AND o."PermissionsRead" = 1 AND a."AssigneeId" = ?
"""


class Administration:
    """Checks components against the org, and deploys them."""

    def __init__(self, database: Database, writer: Writer, clock: Callable[[], float]) -> None:
        self._database = database
        self._writer = writer
        self._clock = clock
        self._unseen: dict[str, dict[str, Field]] = {}
        self._unseen_objects: dict[str, SObject] = {}
        self._prefixes = 0

    def check(self, components: Sequence[Component]) -> list[Failure]:
        """The components that cannot be deployed, one failure each."""
        coming = {component.shown_as for component in components if component.kind != "PermissionSet"}
        failures = []
        for component in components:
            try:
                self._check(component, coming)
            except ComponentError as error:
                failures.append(
                    Failure(kind=component.kind, name=component.name, file=component.file, problem=str(error))
                )
        return failures

    def deploy(self, components: Sequence[Component]) -> None:
        """Deploy checked components; the caller holds the transaction."""
        for component in components:
            if component.kind == "PermissionSet":
                self._allow(component)
            elif component.kind == "CustomObject" and self._object(component.name) is None:
                self._prefixes += 1
                self._unseen_objects[component.name] = org.sobject(
                    component.name, f"a{self._prefixes:02X}", org.text("Name", 80, formula="""printf('%06d', "row")""")
                )
            elif component.kind == "CustomField":
                self._put_field(component.object, field(component))
        self.reveal()

    def reveal(self) -> None:
        """Show the integration user what its permission sets now allow."""
        run = self._database.connection.execute
        for (name,) in run(SEEN, (org.INTEGRATION_USER,)).fetchall():
            if name in self._unseen_objects:
                self._database.put(self._unseen_objects.pop(name))
        for full, editable in run(ASSIGNED, (org.INTEGRATION_USER,)).fetchall():
            name, _, own = full.partition(".")
            sobject = self._database.schema.find(name)
            if sobject is not None and own in self._unseen.get(name, {}):
                shown = self._unseen[name].pop(own)
                self._database.put(replace(sobject, fields=(*sobject.fields, replace(shown, read_only=not editable))))

    def _check(self, component: Component, coming: set[str]) -> None:
        if component.kind == "CustomObject":
            check_object(component)
        elif component.kind == "CustomField":
            self._check_field(component, coming)
        elif component.kind == "PermissionSet":
            self._check_rights(component, coming)
        else:
            raise ComponentError(f"Unknown type name '{component.kind}' specified in package.xml")

    def _check_field(self, component: Component, coming: set[str]) -> None:
        new = field(component)
        name = component.object
        if self._object(name) is None and name not in coming:
            raise ComponentError(f"Entity Enumeration Or ID: bad value for restricted picklist field: {name}")
        for target in new.targets:
            if self._object(target) is None and target not in coming:
                raise ComponentError(f"referenceTo value of '{target}' does not resolve to a valid sObject type")
        old = self._field(component.shown_as)
        if old is not None and old.kind is not new.kind:
            raise ComponentError(f"Cannot update a field from a {old.kind.name.title()} to a {new.kind.name.title()}")

    def _check_rights(self, component: Component, coming: set[str]) -> None:
        readable = set()
        for one in component.element.findall(f"{{{METADATA}}}objectPermissions"):
            name = word(one, "object")
            if self._object(name) is None and name not in coming:
                raise ComponentError(f"In field: field - no CustomObject named {name} found")
            if word(one, "allowRead") == "true":
                readable.add(name)
        for name, other in DEPENDS.items():
            if name in readable and other not in readable:
                raise ComponentError(f"Permission Read {name} depends on permission(s): Read {other}")
        for one in component.element.findall(f"{{{METADATA}}}fieldPermissions"):
            full = word(one, "field")
            sobject = self._field(full)
            if sobject is None and full not in coming:
                raise ComponentError(f"In field: field - no CustomField named {full} found")
            if sobject is not None and sobject.required:
                raise ComponentError(f"You cannot deploy to a required field: {full}")

    def _object(self, name: str) -> SObject | None:
        return self._database.schema.find(name) or self._unseen_objects.get(name)

    def _field(self, full: str) -> Field | None:
        name, _, own = full.partition(".")
        sobject = self._database.schema.find(name)
        return (sobject.find(own) if sobject else None) or self._unseen.get(name, {}).get(own)

    def _put_field(self, name: str, new: Field) -> None:
        sobject = self._database.schema.find(name)
        old = sobject.find(new.name) if sobject else None
        if sobject is None or old is None:
            self._unseen.setdefault(name, {})[new.name] = new
            return
        changed = replace(new, read_only=old.read_only)
        self._database.put(replace(sobject, fields=tuple(changed if one is old else one for one in sobject.fields)))

    def _allow(self, component: Component) -> None:
        """Permission sets are records too; deploying one again replaces all its permissions."""
        now = self._clock()
        author = Author(user=org.PERSON_USER, time=now, stamp=as_moment(now))
        objects = self._database.schema.objects
        run = self._database.connection.execute
        found = run('SELECT "Id" FROM "PermissionSet" WHERE "Name" = ?', (component.name,)).fetchone()
        if found:
            (parent,) = found
            for name in ("FieldPermissions", "ObjectPermissions"):
                old = run(f'SELECT "Id" FROM "{name}" WHERE "ParentId" = ? AND "IsDeleted" = 0', (parent,))  # noqa: S608 - the name is ours
                self._writer.delete(objects[name], [row[0] for row in old.fetchall()], author)
        else:
            record = {"Name": component.name, "Label": word(component.element, "label")}
            parent = self._writer.insert(objects["PermissionSet"], [record], author)[0].id
        fields = [
            {
                "ParentId": parent,
                "SobjectType": word(one, "field").partition(".")[0],
                "Field": word(one, "field"),
                "PermissionsRead": word(one, "readable") == "true",
                "PermissionsEdit": word(one, "editable") == "true",
            }
            for one in component.element.findall(f"{{{METADATA}}}fieldPermissions")
        ]
        rights = [
            {
                "ParentId": parent,
                "SobjectType": word(one, "object"),
                "PermissionsRead": word(one, "allowRead") == "true",
                "PermissionsCreate": word(one, "allowCreate") == "true",
                "PermissionsEdit": word(one, "allowEdit") == "true",
            }
            for one in component.element.findall(f"{{{METADATA}}}objectPermissions")
        ]
        self._writer.insert(objects["FieldPermissions"], fields, author)
        self._writer.insert(objects["ObjectPermissions"], rights, author)
