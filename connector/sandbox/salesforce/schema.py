"""The objects of one org, as they are just now: an administrator may add to them. What a new org has is told in org.py."""

from collections.abc import Iterable

from connector.sandbox.salesforce.fields import SObject


class Schema:
    """The objects by name and by the prefix of their ids; an object that changes is put anew as a whole."""

    def __init__(self, objects: Iterable[SObject]) -> None:
        self.objects: dict[str, SObject] = {}
        self._any_case: dict[str, SObject] = {}
        self._by_prefix: dict[str, SObject] = {}
        self.changes = 0
        for known in objects:
            self.put(known)

    def put(self, known: SObject) -> None:
        """Add an object, or take this for what it is from now on."""
        self.objects[known.name] = known
        self._any_case[known.name.lower()] = known
        self._by_prefix[known.prefix] = known
        self.changes += 1

    def hide(self, known: SObject) -> None:
        """Show an object to nobody any more."""
        del self.objects[known.name], self._any_case[known.name.lower()], self._by_prefix[known.prefix]
        self.changes += 1

    def find(self, name: str) -> SObject | None:
        """The object of that name, without regard to case."""
        return self.objects.get(name) or self._any_case.get(name.lower())

    def of_id(self, record: str) -> SObject | None:
        """The object whose ids begin as this one does."""
        return self._by_prefix.get(record[:3])
