"""A forward of Strex Connect as an event: MasterMOForward and MasterDLRForward. Who may send one is decided in doors.py."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from connector.consent.stopwords import STOP_WORDS, read_stop
from connector.model.consent import Scope
from connector.model.event import Event, Result, Verdict, event_key
from connector.providers.strex.actions import ACTIONS, REVERSAL, meaning
from connector.providers.strex.envelope import as_flag, as_phone, as_price, as_time, open_forward
from connector.providers.strex.settings import REGION

CURRENCY = "NOK"  # the DeliveryReport model has no currency: Strex bills in Norway


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Reads the forwards of one configured provider."""

    provider: str
    keywords: Mapping[str, str] = field(default_factory=dict)  # the configured ones, by their casefolded form
    stop_words: Collection[str] = STOP_WORDS
    region: str = REGION  # of numbers without their country code

    def message(self, body: bytes, received_at: datetime) -> Event:
        """The event of a MasterMOForward; raises Unreadable.

        The provider's own verdict (`isStopMessage`) goes before ours; ours is asked only whether the whole text is a stop.
        """
        forward = open_forward(body)
        transaction = forward.transaction_id
        text = forward.text("content")
        keyword = forward.system("Keyword")
        keyword_id = forward.text("keywordId")
        action = forward.system("SystemAction")
        stopped, named = self._stop(text, keyword=keyword, keyword_id=keyword_id)
        if as_flag(forward.members.get("isStopMessage")) or _opts_out(action):
            stopped = True
        return Event(
            key=event_key(self.provider, "mo", transaction),
            provider=self.provider,
            shape="message",
            received_at=received_at,
            verdict=Verdict.OPT_OUT if stopped else Verdict.NONE,
            action=action,
            msisdn=as_phone(forward.members.get("sender"), self.region),
            keyword=keyword or named,
            keyword_id=keyword_id,
            service_id=forward.system("ServiceId"),
            short_number=forward.text("recipient"),
            text=text,
            result=Result.OK,
            final=True,
            transaction_id=transaction,
            subscription_id=forward.system("SubscriberTransactionId"),
            occurred_at=as_time(forward.members.get("created")),
            service_command=forward.by_command,
            properties=forward.properties,
            lookup=forward.lookup,
        )

    def delivery_report(self, body: bytes, received_at: datetime) -> Event:
        """The event of a MasterDLRForward; raises Unreadable. The subscriber is the recipient, the short number the sender."""
        forward = open_forward(body)
        transaction = forward.transaction_id
        action = forward.system("SystemAction")
        status = forward.text("statusCode")
        detail = forward.text("detailedStatusCode")
        verdict, result, final = meaning(action, status, transaction_id=transaction)
        price = as_price(forward.members.get("price"))
        return Event(
            key=event_key(self.provider, "dlr", transaction, status or "", detail or ""),
            provider=self.provider,
            shape="delivery_report",
            received_at=received_at,
            verdict=verdict,
            action=action,
            msisdn=as_phone(forward.members.get("recipient"), self.region),
            keyword=forward.system("Keyword"),
            keyword_id=forward.text("keywordId"),
            service_id=forward.system("ServiceId"),
            short_number=forward.text("sender"),
            price=price,
            currency=CURRENCY if price is not None else None,
            status=status,
            status_detail=detail,
            result=result,
            final=final,
            # A reversal is about the transaction that it takes back: both are one gift in the CRM.
            transaction_id=transaction.removeprefix(REVERSAL) if result is Result.REVERSED else transaction,
            subscription_id=forward.system("SubscriberTransactionId"),
            occurred_at=as_time(forward.members.get("received")),
            service_command=forward.by_command,
            properties=forward.properties,
            lookup=forward.lookup,
        )

    def _stop(self, text: str | None, *, keyword: str | None, keyword_id: str | None) -> tuple[bool, str | None]:
        """Whether the text is a stop, and the configured keyword that it names.

        `WORD STOP` counts only where the word is known to be a keyword, from the config or because Strex matched the message
        to one: `don't stop` is no opt-out.
        """
        stop = read_stop(text, words=self.stop_words)
        if stop is None:
            return False, None
        if stop.scope is not Scope.SUBSCRIPTION or stop.keyword is None:
            return True, None
        if stop.keyword in self.keywords:
            return True, self.keywords[stop.keyword]
        return keyword_id is not None or (keyword is not None and keyword.casefold() == stop.keyword), None


def _opts_out(action: str | None) -> bool:
    known = ACTIONS.get(action.casefold()) if action else None
    return known is not None and known.verdict is Verdict.OPT_OUT
