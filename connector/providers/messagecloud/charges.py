"""Recurring charges by Send DOB and View Status, and what their answers mean for the money.

Source: "Strex Norway with One-click Subscriptions", "Send DOB API", "Status Codes" and "Error Codes". Send DOB takes no id of
ours. So only an answer in the documented form counts; after every other one the charge is in doubt, and it is never sent
again automatically.
"""

from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from connector.model.charge import Charge, ChargeAnswer, ChargeRules, Recurring, Verdict
from connector.model.event import Result
from connector.model.http import Http
from connector.model.outcome import Reason, Rejected, Retry
from connector.providers.messagecloud.oneclick import CURRENCY, Account, CallFailure, Transaction, send_dob, view_status
from connector.providers.messagecloud.settings import MessageCloudSettings, RecurringSettings

# Such a refusal is certain: nothing was charged. Error code 2, of the account, is among them.
REFUSED_BEFORE_CHARGING = frozenset({Reason.CREDENTIALS, Reason.RATE_LIMITED})


@dataclass(frozen=True, slots=True, kw_only=True)
class DobCharger:
    """Charges the donors of the offers (ports.py, Charger)."""

    provider: str
    account: Account
    rules: ChargeRules

    async def send(self, http: Http, charge: Charge) -> ChargeAnswer:
        """Call Send DOB once."""
        agreement = charge.agreement
        assert charge.amount is not None  # noqa: S101 - it was stored before the call.
        answer = await send_dob(
            http,
            self.account,
            agreement.service_id,
            tariff=int(charge.amount),
            short_number=agreement.short_number or "",
            to=agreement.phone,
        )
        if isinstance(answer, Transaction):
            return _answer(answer, charge)
        return _charge_failure(answer)

    async def ask(self, http: Http, charge: Charge) -> ChargeAnswer:
        """Call View Status. If the call fails, the charge stays pending, and its status is asked for again."""
        answer = await view_status(http, self.account, charge.agreement.service_id, charge.transaction_id or "")
        if not isinstance(answer, Transaction):
            return ChargeAnswer(
                verdict=Verdict.PENDING,
                transaction_id=charge.transaction_id,
                detail=_failure_text(answer),
                wait=answer.not_before if isinstance(answer, Retry) else None,
            )
        return _answer(answer, charge)


def _answer(transaction: Transaction, charge: Charge) -> ChargeAnswer:
    """What a status says about a charge. A status of another number or amount says nothing, so the charge is in doubt."""
    answer = ChargeAnswer(
        verdict=Verdict.PENDING,
        transaction_id=transaction.transaction_id,
        status=transaction.status,
        status_detail=transaction.status_detail,
        price=transaction.price,
    )
    if transaction.msisdn is not None and transaction.msisdn.e164 != charge.agreement.phone.e164:
        return ChargeAnswer(verdict=Verdict.IN_DOUBT, detail="the answer is about another number")
    if transaction.price is not None and transaction.price != charge.amount:
        detail = f"MessageCloud shows {transaction.price} {CURRENCY}, and {charge.amount} was to be charged"
        return replace(answer, verdict=Verdict.IN_DOUBT, detail=detail)
    if not transaction.meaning.final:
        return answer
    return replace(answer, verdict=Verdict.TAKEN if transaction.meaning.result is Result.OK else Verdict.FAILED)


def _charge_failure(failure: CallFailure) -> ChargeAnswer:
    """What a failed call says about a charge: it was certainly not sent, or it is in doubt.

    Errors 1 and 4 concern this charge; error 2 concerns the account, and so all charges.
    """
    detail = _failure_text(failure)
    if isinstance(failure, Rejected):
        return ChargeAnswer(verdict=Verdict.NOT_SENT, detail=detail, reason=failure.reason)
    never_reached = failure.reason is Reason.UNAVAILABLE and bool(failure.network) and not failure.in_doubt
    if never_reached or (failure.reason in REFUSED_BEFORE_CHARGING and not failure.in_doubt):
        return ChargeAnswer(
            verdict=Verdict.NOT_SENT,
            detail=detail,
            reason=failure.reason,
            concerns_all=True,
            wait=failure.not_before,
        )
    return ChargeAnswer(verdict=Verdict.IN_DOUBT, detail=f"the answer does not say whether it was taken: {detail}")


def _failure_text(failure: Retry | Rejected) -> str:
    return f"{failure.reason}: {failure.detail}" if failure.detail else str(failure.reason)


def charge_rules(settings: MessageCloudSettings) -> ChargeRules:
    """The rules of an account, from its settings."""
    ours = settings.charges
    return ChargeRules(
        enabled=ours.enabled,
        zone=ZoneInfo(ours.timezone),
        opens=time.fromisoformat(ours.hours.start),
        closes=time.fromisoformat(ours.hours.end),
        currency=CURRENCY,
        max_amount=Decimal(ours.max_amount),
        max_per_run=ours.max_charges_per_run,
        late=ours.late,
        ask_until=ours.ask_until,
        offers={
            one.service_id: _recurring(name, one.service_id, one.recurring)
            for name, one in settings.offers.items()
            if one.recurring is not None
        },
    )


def _recurring(offer: str, service_id: str, settings: RecurringSettings) -> Recurring:
    return Recurring(
        offer=offer,
        service_id=service_id,
        day=None if settings.day == "anniversary" else settings.day,
        amount=None if settings.amount == "from_subscription" else Decimal(settings.amount),
        retry={str(status): pauses for status, pauses in settings.retry.items()},
        stop_after=settings.stop_after,
    )
