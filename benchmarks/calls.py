"""API calls for a backlog of 1,000 events, each of which writes a contact and an event record; counted by the sandbox.

`python benchmarks/calls.py [--events 1000]`. See README.md.
"""

import argparse
import asyncio
import shutil
import tempfile
from pathlib import Path

from deliver import TIMEOUT, EventCounts, ask, fill
from scene import ROOT, daemon, sandbox, wait_until, write_config

PLAIN = """
on: [strex.message, strex.delivery_report]
rules:
  - name: an opt-out
    when: {verdict: opt_out}
    do:
      - upsert: Contact
        key: {SMS_Key__c: "{msisdn}"}
        set: {LastName: Unknown, SMS_Opt_Out__c: true}
    consent: opt_out
  - name: a contact and an event record
    do:
      - upsert: Contact
        key: {SMS_Key__c: "{msisdn}"}
        set: {LastName: Unknown, MobilePhone: "{msisdn}"}
      - upsert: SMS_Event__c
        key: {Event_Key__c: "{key}"}
        set: {Contact__r: {SMS_Key__c: "{msisdn}"}, Action__c: "{action}"}
"""


RECORDS = {"salesforce": ("Contact", "SMS_Event__c"), "dynamics": ("contact", "crmc_smsevent")}


def count(name: str, mappings: Path, events: int, people: int, crm: str = "salesforce") -> None:
    with tempfile.TemporaryDirectory() as base, sandbox(crm) as org:
        config = write_config(Path(base), url=org.url, mappings=mappings, crm=crm)
        asyncio.run(fill(config, events, people, plan=True))
        counts = EventCounts(config)
        with daemon(config):
            wait_until(lambda: not counts.count("pending", "delivering"), seconds=TIMEOUT)
        described = ask(org.url)
        contacts, rows = (described["records"][one] for one in RECORDS[crm])
        print(
            f"{name:28} {described['api_calls']} API calls for {counts.count('delivered'):,} events: "
            f"{contacts:,} contacts and {rows:,} event records; {described['requests']}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1000)
    options = parser.parse_args()
    count("with create:", ROOT / "mappings", options.events, options.events)
    count("with create:, five a person", ROOT / "mappings", options.events, options.events // 5)
    with tempfile.TemporaryDirectory() as plain:
        (Path(plain) / "plain.yaml").write_text(PLAIN)
        shutil.copy(ROOT / "mappings" / "salesforce-to-strex.yaml", plain)
        count("without create:", Path(plain), options.events, options.events)
    dynamics = ROOT / "mappings" / "dynamics" / "plain"
    count("Dynamics 365", dynamics, options.events, options.events, "dynamics")
    count("Dynamics 365, five a person", dynamics, options.events, options.events // 5, "dynamics")


if __name__ == "__main__":
    main()
