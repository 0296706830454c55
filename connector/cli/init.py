"""`connector init`: asks what is needed, and writes config, secrets, mappings and the unit's drop-in."""

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from connector.cli.exit_codes import Misused
from connector.cli.render import Paper, answer, as_json
from connector.cli.setup import Setup

SYSTEM = Path("/etc/connector")
STATE = "/var/lib/connector/connector.db"
DROP_IN = Path("/etc/systemd/system/connector.service.d/credentials.conf")
SHIPPED = Path(__file__).parent / "shipped_mappings"  # in an installed package; else the repository's
PROVIDERS = ("strex", "sumotext", "onlinefundraising", "messagecloud")
REGIONS = {"strex": "NO", "sumotext": "US", "onlinefundraising": "DK", "messagecloud": "NO"}
ZONES = {"NO": "Europe/Oslo", "DK": "Europe/Copenhagen", "SE": "Europe/Stockholm", "US": "America/New_York"}
# Provider → the shipped files that a new installation uses.
FILES: Mapping[str, Sequence[str]] = {
    "strex": (
        "strex-subscription.yaml",
        "strex-messages.yaml",
        "strex-stops.yaml",
        "strex-log.yaml",
        "salesforce-to-strex.yaml",
    ),
    "sumotext": ("more/sumotext.yaml", "more/salesforce-to-sumotext.yaml"),
    "onlinefundraising": ("more/onlinefundraising.yaml",),
    "messagecloud": ("more/messagecloud.yaml", "more/salesforce-to-messagecloud.yaml"),
}
# Providers without commands: an opt-out that is made in the CRM can be sent to none of them.
NO_COMMANDS = frozenset({"onlinefundraising"})


@dataclass(slots=True)
class Answers:
    """What the administrator says."""

    providers: list[str]
    keywords: list[tuple[str, str]]  # short number, keyword
    org: str
    client_id: str
    region: str
    public_url: str
    secrets: dict[str, str] = field(default_factory=dict)  # name → value; blank: to be written by hand


@click.command()
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option(
    "--provider", "providers", multiple=True, type=click.Choice(PROVIDERS), help="May be given several times."
)
@click.option(
    "--keyword", "keywords", multiple=True, help="SHORT_NUMBER/KEYWORD, such as 2002/KATT; may be given several times."
)
@click.option("--org", help="The address of the Salesforce org: https://acme.my.salesforce.com.")
@click.option("--client-id", help="The consumer key of the External Client App.")
@click.option("--region", help="The country of numbers without a country code, such as NO.")
@click.option(
    "--public-url", help="The address under which providers reach the connector, such as https://sms.example.org."
)
@click.option(
    "--secret", "given", multiple=True, help="NAME=FILE: take the secret from this file, such as strex-api-key=key.txt."
)
@click.option(
    "--yes", is_flag=True, help="Ask nothing: what is not given has its default, or is left for you to write."
)
@as_json
def init(directory: Path | None, *, yes: bool, as_json: bool, given: Sequence[str], **options: Any) -> None:
    """Write a config, its secrets, mappings and the unit's drop-in into DIRECTORY, and say what to do next.

    DIRECTORY is /etc/connector for root, else the current one. Nothing that is there is written over.
    """
    target = directory or (SYSTEM if os.geteuid() == 0 else Path())
    system = target.resolve() == SYSTEM
    answers = _answers(options, _given(given), ask=not yes and not as_json)
    files = _files(answers, target, system=system)
    existing = [path for path in files if path.exists()]
    if existing:
        raise Misused(f"{existing[0]} is there already: remove it, or name another directory; nothing was written")
    _write(files, target)
    document = _report(answers, target, system=system)
    answer(document, _show, json_wanted=as_json)


def _given(given: Sequence[str]) -> dict[str, str]:
    found = {}
    for one in given:
        name, equals, file = one.partition("=")
        if not equals:
            raise Misused(f"`--secret {one}` names no file: write NAME=FILE")
        try:
            found[name] = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Misused(f"the secret {name} cannot be read from {file}: {error}") from None
    return found


def _answers(options: Mapping[str, Any], given: Mapping[str, str], *, ask: bool) -> Answers:
    providers = list(options["providers"])
    while ask and not providers:
        words = click.prompt(f"Providers ({', '.join(PROVIDERS)}), separated by blanks", default="strex")
        providers = [word for word in words.replace(",", " ").split() if word in PROVIDERS]
    providers = providers or ["strex"]
    written = list(options["keywords"])
    if ask and not written and set(providers) != {"sumotext"}:
        written = click.prompt("Keywords as SHORT_NUMBER/KEYWORD, separated by blanks", default="2002/KATT").split()
    region = options["region"] or (
        click.prompt("Country of numbers without a country code", default=REGIONS[providers[0]])
        if ask
        else REGIONS[providers[0]]
    )
    org = options["org"] or (
        click.prompt("Address of the Salesforce org (My Domain)") if ask else "https://acme.my.salesforce.com"
    )
    client_id = options["client_id"] or (
        click.prompt("Consumer key of the External Client App", default="") if ask else ""
    )
    public_url = options["public_url"] or (
        click.prompt("Address under which providers reach the connector", default="https://sms.example.org")
        if ask
        else "https://sms.example.org"
    )
    made = Answers(
        providers=providers,
        keywords=[_keyword(one) for one in written],
        org=org,
        client_id=client_id or "the-consumer-key-of-the-app",
        region=region,
        public_url=public_url.rstrip("/"),
    )
    for name in secret_names(providers):
        if name.endswith("path-secret"):
            made.secrets[name] = given.get(name) or secrets.token_urlsafe(24)
        else:
            asked = ask and name not in given
            made.secrets[name] = given.get(name) or (
                click.prompt(
                    f"{name} (blank: write it into the file later)", default="", hide_input=True, show_default=False
                )
                if asked
                else ""
            )
    return made


def _keyword(written: str) -> tuple[str, str]:
    number, slash, word = written.partition("/")
    if not (slash and number.isdigit() and word):
        raise Misused(f"`{written}` names no keyword: write SHORT_NUMBER/KEYWORD, such as 2002/KATT")
    return number, word


def secret_names(providers: Sequence[str]) -> list[str]:
    """The secrets that these providers and the org need."""
    names = [f"{name}-path-secret" for name in providers]
    names += [f"{name}-api-key" for name in providers if name != "sumotext"]
    return [*names, "salesforce-client-secret"]


def _files(answers: Answers, target: Path, *, system: bool) -> dict[Path, str]:
    """Each file and its text. The config is checked before anything is written."""
    files = {target / "config.yaml": _config(answers, system=system)}
    for name, value in answers.secrets.items():
        files[target / "credentials" / name] = f"{value}\n" if value else ""
    shipped = SHIPPED if SHIPPED.is_dir() else Path(__file__).parents[2] / "mappings"
    for name in (one for provider in answers.providers for one in FILES[provider]):
        files[target / "mappings" / Path(name).name] = (shipped / name).read_text(encoding="utf-8")
    drop_in = DROP_IN if system else target / "systemd" / DROP_IN.parent.name / DROP_IN.name
    lines = [f"LoadCredential={name}:{target.resolve() / 'credentials' / name}" for name in answers.secrets]
    files[drop_in] = "\n".join(
        ["# Written by `connector init`: the secrets that the config names.", "[Service]", *lines, ""]
    )
    return files


def _config(answers: Answers, *, system: bool) -> str:
    from connector.config.validation import load  # noqa: PLC0415 - the same.
    from connector.config.yaml_document import parse  # noqa: PLC0415 - see the package's docstring.
    from connector.registry import CONFIG  # noqa: PLC0415 - the same.

    back = any(one not in NO_COMMANDS for one in answers.providers)
    text = "\n".join(
        [
            "# Written by `connector init`. config.example.yaml shows every setting; `connector check` reads this file.",
            f"store: {{path: {STATE if system else 'connector.db'}}}",
            f"listen: {{host: 127.0.0.1, port: 8080, public_url: {answers.public_url}}}",
            "admin: {port: 8081}",
            f"timezone: {ZONES.get(answers.region, 'UTC')}",
            f"default_region: {answers.region}",
            "",
            "providers:",
            *(line for name in answers.providers for line in _provider(name, answers)),
            "",
            "crm:",
            "  salesforce:",
            f"    url: {answers.org}",
            "    sign_in:",
            f"      client_id: {answers.client_id}",
            "      client_secret: {credential: salesforce-client-secret}",
            "    consent_fields:",
            "      Contact:",
            "        flag: SMS_Opt_Out__c",
            "        phone: MobilePhone",
            "        along: [SMS_Opt_Out_At__c, SMS_Opt_Out_Source__c]",
            *([] if back else ["    consent: one_way           # this provider takes no commands"]),
            "",
        ]
    )
    load(parse(text, "the new config"), CONFIG)
    return text


def _provider(name: str, answers: Answers) -> list[str]:
    head = [f"  {name}:", f"    path_secrets: [{{credential: {name}-path-secret}}]"]
    key = f"{{credential: {name}-api-key}}"
    numbers, words = [one for one, _ in answers.keywords], [word for _, word in answers.keywords]
    match name:
        case "strex":
            listed = [f'      - {{short_number: "{number}", keyword: {word}}}' for number, word in answers.keywords]
            return [*head, f"    api: {{key: {key}}}", *(["    subscriptions:", *listed] if listed else [])]
        case "sumotext":
            return [
                *head,
                f'    short_number: "{numbers[0] if numbers else "84700"}"',
                f"    start_words: [{', '.join(words)}]",
            ]
        case "onlinefundraising":
            return [
                *head,
                f"    api: {{url: https://api.example.org, key: {key}}}   # your own base address",
                f"    keywords: [{', '.join(words)}]",
            ]
        case _:
            offers = [
                line
                for number, word in answers.keywords
                for line in (
                    f"      {word.lower()}:",
                    "        service_id: the-id-of-your-service",
                    f'        short_number: "{number}"',
                    f"        keyword: {word}",
                    "        price: 100",
                    "        thank_you: https://www.example.org/thank-you",
                    "        cancelled: https://www.example.org/another-time",
                )
            ]
            return [
                *head,
                f"    api: {{campaign_name: your-campaign, key: {key}}}",
                *(["    offers:", *offers] if offers else []),
            ]


def _write(files: Mapping[Path, str], target: Path) -> None:
    for path, text in files.items():
        private = path.parent == target / "credentials"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        if private:
            path.parent.chmod(0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600 if private else 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
    if target.resolve() == SYSTEM:
        # The daemon reads the secrets through systemd; the commands of its user read them here.
        for path in (target / "credentials", *(one for one in files if one.parent == target / "credentials")):
            try:
                shutil.chown(path, "connector", "connector")
            except (LookupError, PermissionError):
                return


def _report(answers: Answers, target: Path, *, system: bool) -> dict[str, Any]:
    from connector.admin.parse_stored import unlocked  # noqa: PLC0415 - see the package's docstring.
    from connector.cli.check import examine  # noqa: PLC0415 - the same.
    from connector.registry import load_config  # noqa: PLC0415 - the same.

    config = target / "config.yaml"
    loaded = load_config(config)
    addresses = [
        {
            "provider": name,
            "endpoint": endpoint.name,
            "address": f"{answers.public_url}/hooks/{name}/{endpoint.name}/{answers.secrets[f'{name}-path-secret']}",
        }
        for name, provider in unlocked(loaded).items()
        for endpoint in provider.endpoints
    ]
    checked = examine(Setup(config), live=False, strict=False)
    return {
        "ok": not checked["errors"],
        "directory": str(target),
        "config": str(config),
        "system": system,
        "addresses": addresses,
        "to_write": [str(target / "credentials" / name) for name, value in answers.secrets.items() if not value],
        "problems": [one["text"] for one in checked["problems"] if one["code"] != "secret-missing"],
    }


def _show(paper: Paper, document: dict[str, Any]) -> None:
    paper.line(f"written: {document['config']}, with credentials, mappings and the unit's drop-in", style="bold")
    paper.heading("Give these addresses to the provider; each holds a secret")
    for one in document["addresses"]:
        paper.line(f"{one['provider']} {one['endpoint']}: {one['address']}")
    if document["to_write"]:
        paper.heading("Write these secrets into their files, which only the service may read")
        for path in document["to_write"]:
            paper.line(path)
    for problem in document["problems"]:
        paper.line(problem, style="red")
    paper.heading("Then")
    config = "" if document["system"] else f" --config {document['config']}"
    for line in (
        f"connector{config} check --live",
        f"connector{config} salesforce setup --assign",
        f"connector{config} doctor",
    ):
        paper.line(line)
    paper.line(
        "systemctl daemon-reload && systemctl enable --now connector"
        if document["system"]
        else f"connector{config} run"
    )
    paper.line(f"connector{config} console login")
