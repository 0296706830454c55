"""The current objects of one org, which an administrator may extend. org.py defines those of a new org."""

from collections.abc import Iterable

from connector.sandbox.salesforce.fields import SObject


class Schema:
    """The objects by name and by id prefix; a changed object is replaced as a whole."""

    def __init__(self, objects: Iterable[SObject]) -> None:
        self.objects: dict[str, SObject] = {}
        self._any_case: dict[str, SObject] = {}
        self._by_prefix: dict[str, SObject] = {}
        self.changes = 0
        for sobject in objects:
            self.put(sobject)

    def put(self, sobject: SObject) -> None:
        """Add or replace an object."""
        self.objects[sobject.name] = sobject
        self._any_case[sobject.name.lower()] = sobject
        self._by_prefix[sobject.prefix] = sobject
        self.changes += 1

    def hide(self, sobject: SObject) -> None:
        """Hide an object from everybody."""
        del self.objects[sobject.name], self._any_case[sobject.name.lower()], self._by_prefix[sobject.prefix]
        self.changes += 1

    def find(self, name: str) -> SObject | None:
        """The object of that name, ignoring letter case."""
        return self.objects.get(name) or self._any_case.get(name.lower())

    def of_id(self, record: str) -> SObject | None:
        """The object whose id prefix this id has."""
        return self._by_prefix.get(record[:3])
