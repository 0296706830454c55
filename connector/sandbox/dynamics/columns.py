"""Makes the columns of a table, one function for each type. No logic."""

from typing import Any

from connector.sandbox.dynamics.tables import Column, Relationship


def text(name: str, length: int, **more: Any) -> Column:
    """A line of text."""
    return Column(name=name.lower(), schema_name=name, kind="String", length=length, **more)


def memo(name: str, length: int = 2000, **more: Any) -> Column:
    """Text of several lines."""
    return Column(name=name.lower(), schema_name=name, kind="Memo", length=length, format="TextArea", **more)


def flag(name: str, *, default: bool = False, **more: Any) -> Column:
    """Yes or no."""
    return Column(name=name.lower(), schema_name=name, kind="Boolean", default=default, **more)


def moment(name: str, **more: Any) -> Column:
    """A point in time."""
    return Column(name=name.lower(), schema_name=name, kind="DateTime", **{"format": "DateAndTime", **more})


def day(name: str, **more: Any) -> Column:
    """A day."""
    return moment(name, format="DateOnly", **more)


def money(name: str, **more: Any) -> Column:
    """An amount."""
    return Column(name=name.lower(), schema_name=name, kind="Money", least=0, most=1_000_000_000, **more)


def whole(name: str, least: int = 0, most: int = 2_147_483_647, **more: Any) -> Column:
    """A whole number."""
    return Column(name=name.lower(), schema_name=name, kind="Integer", least=least, most=most, **more)


def choice(name: str, options: dict[int, str], **more: Any) -> Column:
    """A choice."""
    return Column(name=name.lower(), schema_name=name, kind="Picklist", options=options, **more)


def lookup(name: str, *targets: str, **more: Any) -> Column:
    """A reference to another record."""
    return Column(name=name.lower(), schema_name=name, kind="Lookup", targets=targets, **more)


def relation(column: str, navigation: str, target: str) -> Relationship:
    """How a lookup is written for one type of target."""
    return Relationship(schema_name=f"{target}_{navigation}", column=column, navigation=navigation, target=target)
