"""Strex Connect's scenes: joining, giving and leaving by SMS, leaving in Salesforce, and the example of the document."""

from connector.cli.demo.theatre import Theatre

KARI, OLA, DOCUMENT = "+4790000001", "+4790000002", "+4798079008"
PEOPLE = {
    KARI: {"firstName": "Kari", "lastName": "Ås"},
    OLA: {"firstName": "Ola", "lastName": "Bø"},
    DOCUMENT: {"firstName": "Nina", "lastName": "Dahl"},
}
CHARGES = 2
# The block that the Strex document prints, as its page shows it: no JSON, and without an envelope.
BARE_BLOCK = (
    'Properties: { "ServiceType": "Subscription", "ServiceId": "d2455b83-f471-4f8e-9332-2387b23adbhd", '
    '"Keyword": "MYKEYWORD", "SystemAction": "Unsubscribe", "myproperty": "custom value" }'
)


def prepare(theatre: Theatre) -> None:
    """Who lives in the number register, and who is in Salesforce already."""
    theatre.stage.call(f"{theatre.stage.strex}/_sandbox/config", {"people": PEOPLE}, method="PUT")
    theatre.person(FirstName="Ola", LastName="Bø", SMS_Key__c=OLA, MobilePhone=OLA)


def play(theatre: Theatre) -> None:
    """All of them."""
    _joining(theatre)
    _giving(theatre)
    _leaving(theatre)
    _leaving_in_salesforce(theatre)
    _the_document(theatre)


def _joining(theatre: Theatre) -> None:
    theatre.scene("Kari texts KATT and HUND to 2002, Ola texts KATT")
    for number, text in ((KARI, "KATT"), (KARI, "HUND"), (OLA, "KATT")):
        theatre.phone(number, text)
    theatre.settled()
    theatre.promise(
        "Kari became a contact, with the name that the number lookup gave", theatre.contact(KARI)["LastName"] == "Ås"
    )
    theatre.promise(
        "Ola's contact was found, not doubled",
        [one["MobilePhone"] for one in theatre.contacts()].count(OLA) == 1,
    )


def _giving(theatre: Theatre) -> None:
    theatre.scene("Strex charges Kari 100 kr and Ola 100 kr; Ola's operator takes it back")
    # The stand-in makes the charge and then takes it back, where it is asked for a reversal.
    for number, status in ((KARI, "Ok"), (OLA, "Reversed")):
        theatre.strex("charge", phone=number, keyword="KATT", status=status)
    theatre.settled()
    gifts = [one["StageName"] for one in theatre.records("Opportunity")]
    theatre.promise("one gift is booked as won, the reversed one as lost", set(gifts) == {"Closed Won", "Closed Lost"})
    theatre.promise("and each charge is one Opportunity", len(gifts) == CHARGES)


def _leaving(theatre: Theatre) -> None:
    theatre.scene("Kari texts KATT STOPP")
    theatre.phone(KARI, "KATT STOPP")
    theatre.settled()
    theatre.promise(
        "her other subscription runs on, and the flag is not set", not theatre.contact(KARI)["SMS_Opt_Out__c"]
    )
    theatre.scene("Kari texts HUND STOPP")
    theatre.phone(KARI, "HUND STOPP")
    theatre.settled()
    theatre.promise("now she is opted out in Salesforce", bool(theatre.contact(KARI)["SMS_Opt_Out__c"]))
    theatre.promise("and Strex, where it came from, was sent nothing", theatre.commands() == [])


def _leaving_in_salesforce(theatre: Theatre) -> None:
    theatre.scene("An administrator ticks the opt-out box on Ola's contact")
    theatre.person(Id=theatre.contact(OLA)["Id"], SMS_Opt_Out__c=True)
    theatre.stage.until(theatre.commands, "the service command")
    theatre.quiet()
    sent = [(one["action"], one["phone"], one["keyword"]) for one in theatre.commands()]
    theatre.promise("Strex was sent one service command", sent == [("unsubscribe", OLA, "KATT")])
    ola = [one for one in theatre.stage.call(f"{theatre.stage.strex}/_sandbox/subscribers") if one["phone"] == OLA]
    theatre.promise("Ola's subscription has ended there", [one["active"] for one in ola] == [False])


def _the_document(theatre: Theatre) -> None:
    theatre.scene("The example of the Strex document, once in its envelope and once bare")
    theatre.strex("action", action="Unsubscribe", phone=DOCUMENT, keyword="MYKEYWORD", status="Ok")
    theatre.strex("emit", kind="dlr", raw=BARE_BLOCK)
    theatre.settled()
    theatre.promise("the donor of the example is opted out", bool(theatre.contact(DOCUMENT)["SMS_Opt_Out__c"]))
    theatre.promise(
        "the bare block is kept as unreadable, and was answered 200", theatre.states().get("unreadable") == 1
    )
