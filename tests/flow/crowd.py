"""A thousand donors who change their monthly amount nine times each: Strex's callbacks, and the CRM's expected content."""

from collections import Counter

PEOPLE, EACH, REPEATS = 1000, 9, 1000  # 9,000 events and 1,000 repeats are 10,000 callbacks
STEP = 10  # NOK by which the monthly amount of a person rises with each event


def number(person):
    return f"+4790000{person:03}"


def report(person, turn):
    """The donor's monthly amount has changed for the `turn`th time."""
    return {
        "transactionId": f"t-{person}-{turn}",
        "keywordId": "12345678",
        "price": turn * STEP,
        "sender": "2002",
        "recipient": number(person),
        "statusCode": "Ok",
        "detailedStatusCode": "Delivered",
        "properties": {"Keyword": "KATT", "SystemAction": "AlterPrice"},
    }


def arrivals(dice, of=PEOPLE):
    """(person, turn) in random order among people and in order for each; and one in ten once more, some time later."""
    people = [person for person in range(of) for _ in range(EACH)]
    dice.shuffle(people)
    turns = Counter()
    coming = []
    for place, person in enumerate(people):
        turns[person] += 1
        coming.append((float(place), person, turns[person]))
    coming += [
        (dice.uniform(place, len(people)), *event) for place, *event in dice.sample(coming, of * REPEATS // PEOPLE)
    ]
    return [event for _, *event in sorted(coming)]


async def in_effect_once(world, of=PEOPLE):
    """Every event has its record, on the contact of its person, and nothing was made twice."""
    made = {
        name: sum(one["action"] == "created" for one in await world.writes(name)) for name in ("contact", "sms_event")
    }
    events = await world.records("sms_event")
    assert made == {"contact": of, "sms_event": of * EACH}
    contacts = {one["id"]: one["sms_key"] for one in await world.records()}
    keys = {person: world.crm.key(number(person)) for person in range(of)}
    assert set(contacts.values()) == set(keys.values())
    assert Counter((contacts[one["donor_id"]], one["transaction"]) for one in events) == {
        (keys[person], f"t-{person}-{turn}"): 1 for person in range(of) for turn in range(1, EACH + 1)
    }


async def in_order(world, of=PEOPLE):
    """The amount of no contact was ever set back, and it is the last one now."""
    amounts = {}
    for write in await world.writes():
        if "amount" in write["fields"]:
            amounts.setdefault(write["id"], []).append(write["fields"]["amount"])
    assert Counter(each[-1] for each in amounts.values()) == {EACH * STEP: of}
    assert [each for each in amounts.values() if each != sorted(each)] == []


async def event_counts(world, admin_url):
    """What the metrics say: events by state, and how many ever came."""
    async with world.http.get(f"{admin_url}/metrics") as response:
        lines = [line.rsplit(" ", 1) for line in (await response.text()).splitlines()]
    states = {
        name.partition('"')[2].partition('"')[0]: int(float(value))
        for name, value in lines
        if name.startswith("connector_events{")
    }
    (received,) = [int(float(value)) for name, value in lines if name == "connector_events_received"]
    return {state: n for state, n in states.items() if n}, received
