"""The demo's processes: the sandboxes and the daemon, in a temporary directory, on free ports of the loopback address."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from connector.model.errors import ConnectorError

HERE = "127.0.0.1"
KEY = "demo-key"  # of every provider
TIMEOUT = 60.0  # seconds: a busy machine starts three interpreters slowly
LOOK = 0.05  # seconds between two checks
EVERY = "every: 1s"  # the feed's interval in the demo; the shipped mapping polls twice a minute
SHIPPED = Path(__file__).parents[3] / "mappings"

CONFIG = """\
# The demo's config, made again at each start. See config.example.yaml for a real one.
store: {{path: connector.db, ballast: 1MiB, free_space_floor: 1MiB}}
listen: {{port: {port}}}
admin: {{port: {admin}}}
logs: {{format: text}}
mappings: mappings
timezone: Europe/Oslo
default_region: "NO"
providers:
{providers}
sinks:
{sinks}
crm:
  salesforce:
    url: "{salesforce}"
    sign_in: {{client_id: sandbox, client_secret: {{file: salesforce-secret}}}}
    consent_fields:
      Contact: {{flag: SMS_Opt_Out__c, phone: MobilePhone, along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]}}
"""

DOCUMENT = (
    '{"transactionId": "by-hand-1", "sender": "2002", "recipient": "+4798079008", "statusCode": "Ok", '
    '"detailedStatusCode": "Delivered", "properties": {"ServiceType": "Subscription", '
    '"ServiceId": "d2455b83-f471-4f8e-9332-2387b23adbhd", "Keyword": "MYKEYWORD", "SystemAction": "Unsubscribe", '
    '"SubscriberTransactionId": "28738980-328d-488f-a8ed-3570200500a1", "ServiceSubType": "Donation", '
    '"AccountId": 4828, "myproperty": "custom value"}}'
)


class DemoFailed(ConnectorError):  # noqa: N818 - named after what happened.
    """The demo failed."""


def do_nothing(_: Any) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSetup:
    """What one part of the demo adds to the config, and the sandboxes that it needs."""

    mappings: Sequence[str] = ()  # optional ones, which users copy
    providers: str = ""  # of the config; {name} is the address of a sandbox
    sinks: str = ""
    start: Callable[["Environment"], None] = do_nothing  # its sandboxes, before the daemon
    connect: Callable[["Environment"], None] = do_nothing  # its sandboxes to the daemon
    sent: Callable[["Environment"], None] = do_nothing  # returns when its sandboxes have sent what they had to


class Environment:
    """Starts the demo's processes, and ends them."""

    def __init__(self, directory: Path, parts: Sequence[PartSetup]) -> None:
        self.directory = directory.resolve()
        self.parts = parts
        self.sandboxes: dict[str, str] = {}  # their addresses
        self.hooks = self.admin = ""
        self.secret = secrets.token_urlsafe(16)
        self._undo = ExitStack()

    @property
    def salesforce(self) -> str:
        """The address of the org."""
        return self.sandboxes["salesforce"]

    def __enter__(self) -> Self:
        with self._undo:
            self._prepare()
            self.sandbox("salesforce", "--data", str(self.directory / "salesforce.db"))
            for part in self.parts:
                part.start(self)
            self._daemon()
            for part in self.parts:
                part.connect(self)
            # Keep the processes only if all have started; an earlier exit ends them.
            self._undo = self._undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def _prepare(self) -> None:
        if not SHIPPED.is_dir():
            raise DemoFailed("the demo needs the shipped mappings: run it from a clone of the project")
        marker = self.directory / "this-is-scratch"
        if self.directory.exists() and any(self.directory.iterdir()) and not marker.exists():
            raise DemoFailed(f"{self.directory} is not empty: name an empty --directory")
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        marker.touch()
        shutil.copytree(SHIPPED, self.directory / "mappings", ignore=shutil.ignore_patterns("more"))
        for name in (name for part in self.parts for name in part.mappings):
            shutil.copy(SHIPPED / "more" / f"{name}.yaml", self.directory / "mappings")
        for path in (self.directory / "mappings").glob("*.yaml"):
            path.write_text(path.read_text(encoding="utf-8").replace("every: 30s", EVERY), encoding="utf-8")
        words = {"hook-secret": self.secret, "provider-key": KEY, "salesforce-secret": "sandbox"}
        for name, word in words.items():
            self.keep_secret(name, word)

    def keep_secret(self, name: str, word: str) -> None:
        """Write a secret into a file, for the config to name."""
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(word, encoding="utf-8")

    def sandbox(self, kind: str, *options: str, name: str = "") -> str:
        """Start a sandbox; returns its address. `name` is its name here, where two of a kind run."""
        name = name or kind
        process = self._start(name, "-m", "connector", "sandbox", kind, "--port", "0", *options)
        assert process.stdout is not None  # noqa: S101 - requested two lines above.
        line = process.stdout.readline()
        if "listening on " not in line:
            raise DemoFailed(f"the {name} sandbox did not start: see {self.directory}/{name}.log")
        self.sandboxes[name] = line.rpartition(" ")[2].strip()
        return self.sandboxes[name]

    def control(self, sandbox: str, what: str, body: Any = None, method: str | None = None) -> Any:
        """Call the control interface of a sandbox."""
        return self.call(f"{self.sandboxes[sandbox]}/_sandbox/{what}", body, method)

    def _daemon(self) -> None:
        port, admin = free_ports(2)
        config = self.directory / "config.yaml"
        added = {
            name: "".join(getattr(part, name) for part in self.parts).format(**self.sandboxes).rstrip()
            for name in ("providers", "sinks")
        }
        config.write_text(CONFIG.format(port=port, admin=admin, salesforce=self.salesforce, **added), encoding="utf-8")
        self.hooks, self.admin = f"http://{HERE}:{port}/hooks", f"http://{HERE}:{admin}"
        self.daemon(config, self.admin)

    def daemon(self, config: Path, admin: str, *, name: str = "connector") -> None:
        """Start a daemon, and wait until it is ready; `admin` is the address of its admin listener."""
        process = self._start(name, "-m", "connector", "--config", str(config), "run")

        def is_ready() -> bool:
            if process.poll() is not None:
                raise DemoFailed(f"the daemon did not start: see {self.directory}/{name}.log")
            return self._answers(f"{admin}/readyz")

        self.until(is_ready, "the daemon to be ready")

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        log: IO[str] = self._undo.enter_context((self.directory / f"{name}.log").open("w", encoding="utf-8"))
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own modules.
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=self.directory,
            env=os.environ,
        )
        self._undo.callback(_end, process)
        return process

    @staticmethod
    def _answers(url: str) -> bool:
        try:
            with urlopen(url, timeout=5) as answer:  # noqa: S310 - a loopback address.
                return bool(answer.status == 200)  # noqa: PLR2004 - OK.
        except (URLError, OSError):
            return False

    def call(self, url: str, body: Any = None, method: str | None = None) -> Any:
        """Call one of our processes; returns its JSON. Raises DemoFailed."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(url, data=data, method=method, headers={"Content-Type": "application/json"})  # noqa: S310 - loopback.
        try:
            with urlopen(request, timeout=30) as answer:  # noqa: S310 - the same.
                text = answer.read()
        except HTTPError as error:
            raise DemoFailed(f"{url.partition('?')[0]} answered {error.code}: {error.read().decode()[:200]}") from None
        except (URLError, OSError) as error:
            raise DemoFailed(f"a process of the demo has ended ({error}): see the logs in {self.directory}") from None
        return json.loads(text) if text[:1] in {b"{", b"["} else text.decode()

    def ask(self, command: str, **payload: Any) -> Any:
        """Send a command to the daemon's admin listener."""
        token = (self.directory / "admin-token").read_text(encoding="ascii").strip()
        request = Request(  # noqa: S310 - loopback.
            f"{self.admin}/admin/{command}",
            data=json.dumps(payload).encode(),
            headers={"Authorization": f"Bearer {token}"},
        )
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - the same.
            return json.loads(answer.read())

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until the condition is true; returns its value. Raises DemoFailed at the timeout."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if answer := condition():
                return answer
            time.sleep(LOOK)
        raise DemoFailed(f"waited {TIMEOUT:.0f} seconds for {what}: see the logs in {self.directory}")

    def wait(self, say: Callable[[list[str]], None]) -> None:
        """Explain how to try things by hand, and wait for Ctrl-C."""
        strex = self.sandboxes["strex"]
        say(
            [
                "Everything is still running. Open the console in a browser (the link works once, for five minutes):",
                f"{self.ask('console_login', user='demo')['url']}",
                "",
                "Or try, in another terminal:",
                "",
                "# a phone sends KATT to 2002",
                f'curl -s {strex}/_sandbox/phone -d \'{{"from": "+4790000042", "to": "2002", "text": "KATT"}}\'',
                "# the contacts in Salesforce",
                f"curl -s {self.salesforce}/_sandbox/records/Contact",
                "# what Strex was told",
                f"curl -s {strex}/_sandbox/commands",
                "# everything about that number, in plain words",
                f".venv/bin/connector --config {self.directory}/config.yaml explain +4790000042",
                "# a callback by hand: the example of the Strex document",
                f"curl -i {self.hooks}/strex/dlr/{self.secret} -d '{DOCUMENT}'",
                "",
                "Ctrl-C ends it.",
            ]
        )
        try:
            signal.pause()
        except KeyboardInterrupt:
            say(["", "Ended."])


def free_ports(count: int) -> list[int]:
    """Free ports. All are opened together, so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HERE, 0))
        return [one.getsockname()[1] for one in sockets]


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
