from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.config.yaml_document import parse
from connector.mapping.apply import intents
from connector.mapping.compile.context import Context
from connector.mapping.compile.items import KnownSubscription
from connector.mapping.compile.ruleset import Ruleset, compile_mappings
from connector.model.consent_fields import ConsentFields
from connector.model.event import Event
from connector.model.phone import Phone
from connector.model.plan import Intents
from connector.model.problem import ProblemsFound

FLAG = ConsentFields(object="Contact", flag="Opt_Out__c", phone="MobilePhone", along=("Opt_Out_At__c",))
NO_CONSENT = {"remaining": 0, "verdict": "none", "scope": ""}


@pytest.fixture
def context() -> Context:
    return Context(
        sources={"strex.delivery_report": False, "strex.message": False, "sf.change": False},
        crms=("sf",),
        commands={"strex": frozenset({"stop", "unsubscribe", "changesubscriberprice"})},
        consent_fields={"sf": {"Contact": FLAG}},
    )


@pytest.fixture
def compiled(context) -> Callable[..., Ruleset]:
    """Compiles the texts of mapping files."""

    def make(*texts: str, context: Context = context) -> Ruleset:
        return compile_mappings([parse(text, f"{number}.yaml") for number, text in enumerate(texts, 1)], context)

    return make


@pytest.fixture
def problems(compiled) -> Callable[..., list[str]]:
    """The problems of mapping files; each must have a code and, if it is an error, the tests see its cure."""

    def find(*texts: str, **options: Any) -> list[str]:
        with pytest.raises(ProblemsFound) as caught:
            compiled(*texts, **options)
        return [str(problem) for problem in caught.value.problems]

    return find


@pytest.fixture
def event() -> Callable[..., Event]:
    """An event of strex.delivery_report; with `record`, a change of the CRM `sf`."""

    def make(**fields: Any) -> Event:
        change = {"provider": "sf", "shape": "change", "object": "Contact"} if "record" in fields else {}
        return Event(
            **{
                "key": "e-1",
                "provider": "strex",
                "shape": "delivery_report",
                "received_at": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
                "msisdn": Phone("+4798079008"),
                **change,
                **fields,
            }
        )

    return make


@pytest.fixture
def ask(compiled, event) -> Callable[..., Intents]:
    """What one mapping file wants for an event of these fields."""

    def apply(
        text: str, *, tracing: bool = False, consent=NO_CONSENT, active=(), context=None, **fields: Any
    ) -> Intents:
        rules = compiled(text) if context is None else compiled(text, context=context)
        candidates = [KnownSubscription(*one) for one in active]
        return intents(event(**fields), rules, consent=consent, active=lambda _provider: candidates, tracing=tracing)

    return apply
