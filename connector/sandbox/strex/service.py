"""The subscription service: what texts, web sign-ups, charges and service commands do, and what is forwarded for them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connector.sandbox.refused import RefusedError
from connector.sandbox.strex import text_requests
from connector.sandbox.strex.envelopes import (
    SALESFORCE_PROPERTIES,
    Draft,
    Status,
    message,
    report,
    reversed_charge,
    service_properties,
    status_of,
)
from connector.sandbox.strex.keywords import SHORT_NUMBER, Keyword, find
from connector.sandbox.strex.settings import Mark, Settings
from connector.sandbox.strex.subscribers import Subscribers
from connector.sandbox.strex.text_requests import Aim

OK = status_of("Ok")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A service command; `price` is in NOK and only used by `changesubscriberprice`."""

    phone: str
    short_number: str
    keyword: str
    action: str
    price: float | None = None


class Service:
    """The services of one account: its settings, its subscribers, its charges."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.subscribers = Subscribers()
        self.lookups: list[str] = []  # the numbers that were looked up, in order
        self._charges: dict[str, Draft] = {}
        self._clock = clock

    def clear(self) -> None:
        """Delete subscribers, charges and look-ups; the settings are kept."""
        self.subscribers.clear()
        self.lookups.clear()
        self._charges.clear()

    def keyword(self, name: str, short_number: str = SHORT_NUMBER) -> Keyword:
        """The keyword of this name or alias.

        Raises:
            RefusedError: there is none.
        """
        if (keyword := find(self.settings.keywords, short_number, name)) is None:
            known = ", ".join(each.name for each in self.settings.keywords if each.short_number == short_number)
            raise RefusedError(f"there is no keyword {name!r} on {short_number}; its keywords are {known or 'none'}")
        return keyword

    def text(self, *, phone: str, short_number: str, text: str) -> list[Draft]:
        """A phone sends a text; the message is forwarded first, then the reports of its effects."""
        enabled = [each for each in self.settings.keywords if each.enabled]
        request = text_requests.read(text, lambda word: find(enabled, short_number, word))
        forwarded = message(
            self.settings,
            phone=phone,
            short_number=short_number,
            text=text,
            keyword=request.keyword,
            stop=request.is_stop,
            now=self._clock(),
        )
        return [forwarded, *self._carry_out(request, phone, short_number)]

    def sign_up(self, *, phone: str, keyword: Keyword, price: float | None) -> list[Draft]:
        """A person registers on the service's web page."""
        return self._join("Signup", phone, keyword, price)

    def charge(
        self, *, phone: str, keyword: Keyword, status: Status, price: float | None, transaction_id: str | None
    ) -> list[Draft]:
        """The monthly charge gets this status; `Reversed` first makes the charge, unless it exists."""
        made = self._charges.get(transaction_id) if transaction_id else None
        reversal = status.code == "Reversed"
        drafts: list[Draft] = []
        if made is None or not reversal:
            subscriber = self.subscribers.get(phone, keyword)
            made = self._report(
                "Recurring",
                phone,
                keyword,
                status=OK if reversal else status,
                price=price if price is not None else (subscriber or keyword).price,
                charged=True,
                transaction_id=transaction_id,
            )
            self._charges[made.body["transactionId"]] = made
            drafts.append(made)
        if reversal:
            drafts.append(reversed_charge(made, status, now=self._clock()))
        return drafts

    def report_action(
        self,
        *,
        action: str,
        phone: str,
        keyword: Keyword | None,
        status: Status,
        price: float | None,
        transaction_id: str | None,
        properties: Mapping[str, Any],
    ) -> list[Draft]:
        """The report of any SystemAction, with the given properties replacing its own; changes no subscriber."""
        if keyword is None:
            own: Mapping[str, Any] = {**SALESFORCE_PROPERTIES, "SystemAction": action}
        else:
            own = self._properties(action, phone, keyword)
        return [
            report(
                self.settings,
                phone=phone,
                short_number=keyword.short_number if keyword else SHORT_NUMBER,
                keyword=keyword,
                properties={**own, **properties},
                status=status,
                price=price,
                charged=action == "Recurring",
                transaction_id=transaction_id,
                now=self._clock(),
            )
        ]

    def command(self, command: Command) -> tuple[int, list[Draft]]:
        """Run a service command: returns the status from the document's section "Service commands", and the forwards."""
        keyword = find(self.settings.keywords, command.short_number, command.keyword)
        subscriber = self.subscribers.get(command.phone, keyword) if keyword else None
        if command.action != "stop" and subscriber is None:
            return 404, []
        if command.action != "stop" and subscriber is not None and not subscriber.active:
            return 204, []
        if subscriber is not None and subscriber.active:
            if command.price is not None:
                self.subscribers.reprice(subscriber, command.price)
            else:
                self.subscribers.leave(subscriber)
        if keyword is None or not self.settings.confirm:
            return 200, []
        action = "Unsubscribe" if command.price is None else "AlterPrice"
        return 200, [self._report(action, command.phone, keyword, price=command.price, marked=True)]

    def _carry_out(self, request: text_requests.TextRequest, phone: str, short_number: str) -> list[Draft]:
        match request.aim:
            case Aim.LEAVE_ALL:
                there = [each for each in self.settings.keywords if each.short_number == short_number]
                return [draft for each in there for draft in self._leave(phone, each)]
            case Aim.LEAVE if request.keyword:
                return self._leave(phone, request.keyword)
            case Aim.JOIN if request.keyword:
                return self._join("Subscribe", phone, request.keyword, None)
            case Aim.PRICE if request.keyword:
                return self._reprice(phone, request.keyword, request.price)
            case _:
                return []

    def _join(self, action: str, phone: str, keyword: Keyword, price: float | None) -> list[Draft]:
        subscriber = self.subscribers.get(phone, keyword)
        if subscriber and subscriber.active:
            return [self._report("AlreadyRegistered", phone, keyword)]
        self.subscribers.join(phone, keyword, price)
        return [self._report(action, phone, keyword)]

    def _leave(self, phone: str, keyword: Keyword) -> list[Draft]:
        subscriber = self.subscribers.get(phone, keyword)
        if subscriber is None or not subscriber.active:
            return []
        self.subscribers.leave(subscriber)
        return [self._report("Unsubscribe", phone, keyword)]

    def _reprice(self, phone: str, keyword: Keyword, price: float | None) -> list[Draft]:
        if price is None:
            return [self._report("AlterPriceInvalid", phone, keyword)]
        subscriber = self.subscribers.get(phone, keyword)
        if subscriber is None or not subscriber.active:
            return self._join("Subscribe", phone, keyword, price)
        self.subscribers.reprice(subscriber, price)
        # The document does not say where the new price is; the envelope's price is our assumption.
        return [self._report("AlterPrice", phone, keyword, price=price)]

    def _properties(self, action: str, phone: str, keyword: Keyword) -> dict[str, Any]:
        subscriber = self.subscribers.get(phone, keyword)
        return service_properties(
            self.settings, keyword, action, subscriber.subscriber_transaction_id if subscriber else None
        )

    def _report(
        self,
        action: str,
        phone: str,
        keyword: Keyword,
        *,
        status: Status = OK,
        price: float | None = None,
        charged: bool = False,
        transaction_id: str | None = None,
        marked: bool = False,
    ) -> Draft:
        properties = self._properties(action, phone, keyword)
        if marked and self.settings.mark is Mark.KEY:
            properties["ServiceCommand"] = True
        if marked and self.settings.mark is Mark.VALUE:
            properties["Origin"] = "ServiceCommand"
        return report(
            self.settings,
            phone=phone,
            short_number=keyword.short_number,
            keyword=keyword,
            properties=properties,
            status=status,
            price=price,
            charged=charged,
            transaction_id=transaction_id,
            now=self._clock(),
        )
