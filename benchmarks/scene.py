"""What the benchmarks share: a config, callbacks, and a process of its own for everything that is measured."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
SECRETS = {
    "HOOK_SECRET": "hook-secret",
    "STREX_KEY": "sandbox-key",
    "SF_SECRET": "sandbox",
    "DYNAMICS_SECRET": "sandbox",
}
OTHERS = ("sumotext", "onlinefundraising", "messagecloud")
NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens
START_TIME = 60.0  # seconds that a process may take to say where it listens

CONFIG = """
store: {{path: connector.db, ballast: 1MiB, free_space_floor: 1MiB}}
listen: {{port: 0}}
admin: {{port: 0}}
mappings: {mappings}
timezone: Europe/Oslo
default_region: "NO"
providers:
  strex:
    path_secrets: [{{env: HOOK_SECRET}}]
    api: {{url: {nowhere}, key: {{env: STREX_KEY}}}}
    subscriptions: [{{short_number: "2002", keyword: KATT}}]
{others}
crm:
{crm}
"""
CRMS = {
    "salesforce": """  salesforce:
    url: {url}
    sign_in: {{client_id: sandbox, client_secret: {{env: SF_SECRET}}}}
    consent_fields:
      Contact: {{flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]}}
""",
    "dynamics": """  dynamics:
    url: {url}
    sign_in: {{tenant: sandbox, client_id: sandbox, client_secret: {{env: DYNAMICS_SECRET}}}}
    consent_fields:
      contact: {{flag: crmc_smsoptout, phone: mobilephone, along: [crmc_smsoptoutat, crmc_smsoptoutsource]}}
""",
}

# MasterDLRForward of a new monthly amount, of the length that was measured at Strex: about 740 bytes. The shipped mappings write a
# contact and an event record for it.
REPORT = (
    b'{"transactionId":"%08x-7baf-4869-b083-%012d","correlationId":null,"sessionId":"d5e2f1a0-55e1-4a0a-9a57-8ac0ca7c8a11",'
    b'"keywordId":"12345678","price":250.0,"sender":"2002","recipient":"%s","operatorId":"no.telenor","statusCode":"Ok",'
    b'"detailedStatusCode":"Delivered","statusDescription":"Message delivered to the handset","delivered":true,"billed":true,'
    b'"smscTransactionId":"16976c7448d","smscMessageParts":1,"received":"2026-01-02T03:04:05.1234567+00:00","properties":'
    b'{"ServiceType":"Subscription","ServiceId":"d2455b83-f471-4f8e-9332-2387b23adbhd","Keyword":"KATT","SystemAction":'
    b'"AlterPrice","SubscriberTransactionId":"28738980-328d-488f-a8ed-3570200500a1","ServiceSubType":"Donation","AccountId":4828,'
    b'"myproperty":"custom value"}}'
)


def number(person: int) -> str:
    """A number that is longer than any in Norway, so that it is nobody's."""
    return f"+4790000{person:06}"


def scattered(serial: int) -> int:
    """Eight hex digits that do not grow: a provider's ids come in no order, and an index of them is costlier than a sorted one."""
    return serial * 2654435761 & 0xFFFFFFFF


def report(serial: int, person: int) -> bytes:
    """The body of a delivery report with a transaction of its own."""
    return REPORT % (scattered(serial), serial, number(person).encode())


def write_config(base: Path, *, url: str = NOWHERE, mappings: Path | None = None, crm: str = "salesforce") -> Path:
    """A config in `base`, where the database will be too. Without `mappings` the shipped ones of all providers are followed."""
    others = ""
    if mappings is None and crm == "dynamics":
        mappings = ROOT / "mappings" / "dynamics" / "plain"
    elif mappings is None:
        others = "\n".join(f"  {name}: {{path_secrets: [{{env: HOOK_SECRET}}]}}" for name in OTHERS)
        mappings = base / "mappings"
        shutil.copytree(ROOT / "mappings", mappings, ignore=shutil.ignore_patterns("more", "dynamics"))
        for provider in OTHERS:
            shutil.copy(ROOT / "mappings" / "more" / f"{provider}.yaml", mappings)
    path = base / "config.yaml"
    text = CRMS[crm].format(url=url)
    path.write_text(CONFIG.format(mappings=mappings, crm=text, nowhere=NOWHERE, others=others))
    return path


@contextmanager
def running(*command: str) -> Iterator["Running"]:
    """A Python process that tells on its first line where it listens; ended by SIGTERM."""
    # The log is written, as a service's is, and thrown away.
    log = None if "BENCH_LOG" in os.environ else subprocess.DEVNULL
    environment = {**os.environ, **SECRETS}
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=log, env=environment, cwd=ROOT, text=True
    ) as process:
        try:
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"{command[0]} did not start; with BENCH_LOG=1 it says why")
            yield Running(process, line.split()[-1])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_TIME)


class Running:
    """A process and where it listens."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self.url = url
        self._proc = Path(f"/proc/{process.pid}")

    def peak_memory(self) -> float:
        """MiB, resident, since its start."""
        status = (self._proc / "status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def cpu(self) -> float:
        """Seconds that it has worked."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def daemon(config: Path, *hold: str) -> "contextmanager[Running]":
    """The daemon as it runs as a service, but for the loops that are held back."""
    return running(str(HERE / "daemon.py"), str(config), *hold)


def sandbox(name: str = "salesforce") -> "contextmanager[Running]":
    """A sandbox on a free port."""
    return running("-m", "connector", "sandbox", name, "--port", "0")


def wait_until(condition, *, seconds: float, look: float = 0.02) -> float:
    """Look until it is so; the seconds that it took."""
    began = time.perf_counter()
    while not condition():
        if time.perf_counter() - began > seconds:
            raise SystemExit(f"still not so after {seconds:.0f} seconds; with BENCH_LOG=1 the daemon says why")
        time.sleep(look)
    return time.perf_counter() - began
