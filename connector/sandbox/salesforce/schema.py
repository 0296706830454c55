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
        for known in objects:
            self.put(known)

    def put(self, known: SObject) -> None:
        """Add or replace an object."""
        self.objects[known.name] = known
        self._any_case[known.name.lower()] = known
        self._by_prefix[known.prefix] = known
        self.changes += 1

    def hide(self, known: SObject) -> None:
        """Hide an object from everybody."""
        del self.objects[known.name], self._any_case[known.name.lower()], self._by_prefix[known.prefix]
        self.changes += 1

    def find(self, name: str) -> SObject | None:
        """The object of that name, ignoring letter case."""
        return self.objects.get(name) or self._any_case.get(name.lower())

    def of_id(self, record: str) -> SObject | None:
        """The object whose id prefix this id has."""
        return self._by_prefix.get(record[:3])
