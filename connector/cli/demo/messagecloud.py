"""MessageCloud's scenes: a subscription on the web, which is believed when View Status says so, and its end."""

from connector.cli.demo.theatre import Theatre

NORA = "+4790000004"


def prepare(_: Theatre) -> None:
    """Nothing is there before."""


def play(theatre: Theatre) -> None:
    """All of them."""
    stage = theatre.stage
    theatre.scene("Nora follows the link to TIGER on the charity's web site, and completes the one-click window")
    stage.call(f"{stage.hooks}/messagecloud/subscribe/tiger")
    (window,) = stage.call(f"{stage.messagecloud}/_sandbox/transactions")
    begun = [one["SMS_Key__c"] for one in theatre.records("Contact")]
    theatre.promise("as long as nothing is known of her, nothing is written", NORA not in begun)
    body = {"transaction_id": window["transaction_id"], "phone": NORA}
    stage.call(stage.call(f"{stage.messagecloud}/_sandbox/window", body)["redirect"])
    theatre.settled()
    gifts = [one["Amount"] for one in theatre.records("Opportunity") if _is(one, window["transaction_id"])]
    theatre.promise("MessageCloud was asked, and her first payment is in Salesforce", gifts == [100])
    theatre.scene("She texts STOP TIGER")
    stage.call(f"{stage.messagecloud}/_sandbox/phone", {"from": NORA, "text": "STOP TIGER"})
    theatre.settled()
    theatre.promise("she is opted out, and will not be charged again", bool(theatre.contact(NORA)["SMS_Opt_Out__c"]))


def _is(gift: dict[str, object], transaction_id: str) -> bool:
    return gift["SMS_Transaction__c"] == transaction_id
