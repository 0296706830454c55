"""OnlineFundraising's scenes: a gift by SMS, and a stop."""

from connector.cli.demo.theatre import Theatre

METTE = "+4790000003"


def prepare(theatre: Theatre) -> None:
    """The keyword is there."""
    keyword = {"channel": "1217", "keyword": "tifo", "active": True}
    theatre.stage.call(f"{theatre.stage.onlinefundraising}/_sandbox/keywords", [keyword], method="PUT")


def play(theatre: Theatre) -> None:
    """All of them."""
    theatre.scene("Mette texts TIFO 100 to 1217, and later TIFO STOP")
    for text in ("TIFO 100", "TIFO STOP"):
        body = {"from": METTE, "to": "1217", "text": text}
        theatre.stage.call(f"{theatre.stage.onlinefundraising}/_sandbox/phone", body)
        theatre.settled()
    texts = [one["Text__c"] for one in theatre.records("SMS_Event__c") if one["Provider__c"] == "onlinefundraising"]
    theatre.promise("both messages are kept on her contact", texts == ["TIFO 100", "TIFO STOP"])
    theatre.promise("and she is opted out", bool(theatre.contact(METTE)["SMS_Opt_Out__c"]))
