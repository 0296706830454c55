"""One spelling for each object and field of a CRM, however the config and the files write it.

CRMs ignore letter case in names. What is stored by a name does not: the shadow of a record, and which key names it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from connector.mapping.compile.context import Context
from connector.mapping.compile.fields import FieldValue
from connector.mapping.compile.items import CompiledItem, WriteItem
from connector.mapping.language.rules import FeedSettings
from connector.model.operation import MATCHED_BY


class Spelling:
    """Knows the first spelling of each name: the one of `consent_fields:`, else of a feed, else of a write."""

    def __init__(
        self, context: Context, feeds: Iterable[tuple[str, FeedSettings]], items: Iterable[CompiledItem]
    ) -> None:
        """`feeds`: the CRM and the settings of each feed."""
        self._objects: dict[tuple[str, str], str] = {}
        self._fields: dict[tuple[str, str, str], str] = {}
        for crm, objects in context.consent_fields.items():
            for name, consent in objects.items():
                self._learn(crm, name, filter(None, (*consent.all, consent.phone, consent.country)))
        for crm, feed in feeds:
            self._learn(crm, feed.object, feed.fields)
        for item in items:
            if isinstance(item, WriteItem):
                keys = () if item.key_field is None else (item.key_field,)
                self._learn(item.sink, item.object, (*keys, *(one.name for one in (*item.set, *item.create))))

    def _learn(self, crm: str, name: str, fields: Iterable[str]) -> None:
        self._objects.setdefault((crm, name.casefold()), name)
        for field in fields:
            self._fields.setdefault((crm, name.casefold(), field.casefold()), field)

    def object(self, crm: str, name: str) -> str:
        """The spelling of an object."""
        return self._objects.get((crm, name.casefold()), name)

    def fields(self, crm: str, name: str, fields: Iterable[str]) -> tuple[str, ...]:
        """The spellings of fields of an object."""
        return tuple(self._fields.get((crm, name.casefold(), field.casefold()), field) for field in fields)

    def item(self, item: CompiledItem) -> CompiledItem:
        """The item, with the names of a write in their one spelling."""
        return self._write(item) if isinstance(item, WriteItem) else item

    def _write(self, item: WriteItem) -> WriteItem:
        crm, name, match = item.sink, item.object, item.match
        if match is not None:
            match = match.model_copy(update={"phone": list(self.fields(crm, name, match.phone))})
        key = item.key
        if item.key_field is not None:
            (key,) = self._named(crm, name, (key,))
        elif match is not None and key.name.startswith(MATCHED_BY):
            key = key._replace(name=MATCHED_BY + ",".join(match.phone))
        return replace(
            item,
            object=self.object(crm, name),
            key=key,
            set=self._named(crm, name, item.set),
            create=self._named(crm, name, item.create),
            consent=frozenset(self.fields(crm, name, item.consent)),
            flag=None if item.flag is None else self.fields(crm, name, (item.flag,))[0],
            match=match,
        )

    def _named(self, crm: str, name: str, values: Sequence[FieldValue]) -> tuple[FieldValue, ...]:
        spelled = self.fields(crm, name, (one.name for one in values))
        return tuple(one._replace(name=field) for one, field in zip(values, spelled, strict=True))
