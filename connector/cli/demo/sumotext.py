"""Sumotext's scenes: the callbacks of its document, with its numbers."""

from connector.cli.demo.theatre import Theatre

NUMBER, BILL = "2125551212", "+12125551212"
FORM = {"country": "USA", "shortcode": "84700", "key": "SOMEKEY", "mobile": NUMBER, "carrierId": "VERIZONUS"}
POLL = {"mobile": NUMBER, "carrier": "VERIZONUS", "shortcode": "84700", "key": "FB1", "reply": "A", "label": "Tampa"}


def prepare(_: Theatre) -> None:
    """Nothing is there before."""


def play(theatre: Theatre) -> None:
    """All of them."""
    theatre.scene("Bill in the USA fills in a Sumotext form, and votes A (Tampa) in a poll")
    _send(theatre, "crm", FORM | {"Name": "Bill Gray", "DOB": "1/1/2000", "Zip": "10024"})
    _send(theatre, "poll", POLL)
    theatre.settled()
    bill = next(one for one in theatre.records("Contact") if one["SMS_Key__c"] == BILL)
    born = (bill["LastName"], bill["Birthdate"]) == ("Gray", "2000-01-01")
    theatre.promise("ten digits became a number of the USA, and 1/1/2000 a date", born)
    votes = [(one["SMS_Reply__c"], one["SMS_Label__c"]) for one in theatre.records("CampaignMember")]
    theatre.promise("his vote is a campaign member", votes == [("A", "Tampa")])
    theatre.scene("Sumotext posts the same vote again")
    _send(theatre, "poll", POLL)
    theatre.settled()
    theatre.promise("it counts once", len(theatre.records("CampaignMember")) == 1)


def _send(theatre: Theatre, kind: str, fields: dict[str, str]) -> None:
    theatre.stage.call(f"{theatre.stage.sumotext}/_sandbox/send", {"kind": kind, "fields": fields})
