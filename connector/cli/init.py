"""`connector init`: asks what is needed, and writes config, secrets, mappings and the unit's drop-in."""

import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from connector.cli.exit_codes import Misused
from connector.cli.render import Paper, answer, as_json
from connector.cli.setup import Setup
from connector.config.new_config import NewCrm, NewProvider, Secret

SYSTEM = Path("/etc/connector")
STATE = "/var/lib/connector/connector.db"
DROP_IN = Path("/etc/systemd/system/connector.service.d/credentials.conf")
SHIPPED = Path(__file__).parent / "shipped_mappings"  # in an installed package; else the repository's
ADAPTERS = Path(__file__).parents[1]
ZONES = {"NO": "Europe/Oslo", "DK": "Europe/Copenhagen", "SE": "Europe/Stockholm", "US": "America/New_York"}
FIRST_PROVIDER, FIRST_CRM = "strex", "salesforce"  # unless others are named


def _known(room: str) -> dict[str, Any]:
    """The providers or CRMs that a new config may have: each folder with a `new_config.py`."""
    found = sorted(path.parent.name for path in (ADAPTERS / room).glob("*/new_config.py"))
    return {name: import_module(f"connector.{room}.{name}.new_config").NEW for name in found}


PROVIDERS: Mapping[str, NewProvider] = _known("providers")
CRMS: Mapping[str, NewCrm] = _known("crm")
QUESTIONS = tuple(dict.fromkeys(one.name for crm in CRMS.values() for one in crm.questions))


@dataclass(slots=True)
class Answers:
    """What the administrator says."""

    providers: list[str]
    keywords: list[tuple[str, str]]  # short number, keyword
    crm: str
    of_crm: dict[str, str]  # the CRM's own questions
    region: str
    public_url: str
    secrets: dict[str, str] = field(default_factory=dict)  # name → value; blank: to be written by hand


def _of_each_crm(command: Callable[..., Any]) -> Callable[..., Any]:
    """The questions of all CRMs as options."""
    for name in reversed(QUESTIONS):
        asked = [(crm.label, one) for crm in CRMS.values() for one in crm.questions if one.name == name]
        choices = asked[0][1].choices
        command = click.option(
            f"--{name}",
            type=click.Choice(choices) if choices else None,
            help=f"{'; '.join(f'{label}: {one.help}' for label, one in asked)}.",
        )(command)
    return command


@click.command()
@click.argument("directory", required=False, type=click.Path(path_type=Path))
@click.option(
    "--provider", "providers", multiple=True, type=click.Choice(tuple(PROVIDERS)), help="May be given several times."
)
@click.option(
    "--keyword", "keywords", multiple=True, help="SHORT_NUMBER/KEYWORD, such as 2002/KATT; may be given several times."
)
@click.option("--crm", type=click.Choice(tuple(CRMS)), help="The CRM.")
@_of_each_crm
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
        words = click.prompt(f"Providers ({', '.join(PROVIDERS)}), separated by blanks", default=FIRST_PROVIDER)
        providers = [word for word in words.replace(",", " ").split() if word in PROVIDERS]
    providers = providers or [FIRST_PROVIDER]
    written = list(options["keywords"])
    if ask and not written and any(PROVIDERS[name].asks_keywords for name in providers):
        written = click.prompt("Keywords as SHORT_NUMBER/KEYWORD, separated by blanks", default="2002/KATT").split()
    keywords = [_keyword(one) for one in written]

    def said(option: str, prompt: str, default: str, choices: Sequence[str] = ()) -> str:
        if given := options[option]:
            return str(given)
        kind = click.Choice(choices) if choices else None
        return str(click.prompt(prompt, default=default, type=kind)) if ask else default

    region = said("region", "Country of numbers without a country code", PROVIDERS[providers[0]].region)
    crm = said("crm", "CRM", FIRST_CRM, tuple(CRMS))
    _refuse_others(options, crm)
    of_crm = {}
    for one in CRMS[crm].questions:
        answer = said(
            one.name.replace("-", "_"), one.prompt, one.default if one.offered or not ask else "", one.choices
        )
        of_crm[one.name] = answer or one.default
    address = said("public_url", "Address under which providers reach the connector", "https://sms.example.org")
    made = Answers(
        providers=providers, keywords=keywords, crm=crm, of_crm=of_crm, region=region, public_url=address.rstrip("/")
    )
    for name in path_secrets(providers):
        made.secrets[name] = given.get(name) or secrets.token_urlsafe(24)
    for name, secret in named_secrets(providers, crm, of_crm).items():
        made.secrets[name] = given.get(name) or (_asked(name, secret) if ask and name not in given else "")
    if unknown := given.keys() - made.secrets.keys():
        raise Misused(f"no secret is called {min(unknown)}: this config has {', '.join(made.secrets)}")
    return made


def _refuse_others(options: Mapping[str, Any], crm: str) -> None:
    """Refuse answers to questions that this CRM does not have. Raises Misused."""
    own = {one.name for one in CRMS[crm].questions}
    for name in QUESTIONS:
        if options[name.replace("-", "_")] and name not in own:
            others = [other for other, one in CRMS.items() if name in {each.name for each in one.questions}]
            raise Misused(f"--{name} is not for {CRMS[crm].label}: remove it, or add --crm {others[0]}")


def _asked(name: str, secret: Secret) -> str:
    if secret.is_file:
        file = click.prompt(f"{name}: its file (blank: write it into the file later)", default="", show_default=False)
        return _given([f"{name}={file}"])[name] if file else ""
    later = f"{name} (blank: write it into the file later)"
    return str(click.prompt(later, default="", hide_input=True, show_default=False))


def _keyword(written: str) -> tuple[str, str]:
    number, slash, word = written.partition("/")
    if not (slash and number.isdigit() and word):
        raise Misused(f"`{written}` names no keyword: write SHORT_NUMBER/KEYWORD, such as 2002/KATT")
    return number, word


def path_secrets(providers: Sequence[str]) -> list[str]:
    """The secrets that are made here: the last parts of the addresses that providers call."""
    return [f"{name}-path-secret" for name in providers]


def named_secrets(providers: Sequence[str], crm: str, of_crm: Mapping[str, str]) -> dict[str, Secret]:
    """The secrets that these providers and the org have given, by their names."""
    found = {f"{name}-{one.name}": one for name in providers for one in PROVIDERS[name].secrets}
    return found | {f"{crm}-{one.name}": one for one in CRMS[crm].secrets(of_crm)}


def _files(answers: Answers, target: Path, *, system: bool) -> dict[Path, str]:
    """Each file and its text. The config is checked before anything is written."""
    files = {target / "config.yaml": _config(answers, system=system)}
    for name, value in answers.secrets.items():
        files[target / "credentials" / name] = f"{value}\n" if value else ""
    shipped = SHIPPED if SHIPPED.is_dir() else Path(__file__).parents[2] / "mappings"
    for path in (one for provider in answers.providers for one in _mappings(shipped, provider, answers.crm)):
        files[target / "mappings" / path.name] = path.read_text(encoding="utf-8")
    drop_in = DROP_IN if system else target / "systemd" / DROP_IN.parent.name / DROP_IN.name
    lines = [f"LoadCredential={name}:{target.resolve() / 'credentials' / name}" for name in answers.secrets]
    files[drop_in] = "\n".join(
        ["# Written by `connector init`: the secrets that the config names.", "[Service]", *lines, ""]
    )
    return files


def _mappings(shipped: Path, provider: str, crm: str) -> list[Path]:
    """The shipped files for a provider and a CRM, which their names tell. Raises Misused."""
    for directory in CRMS[crm].mapping_sets:
        files = sorted((shipped / directory).glob("*.yaml"))
        own = [one for one in files if f"{one.stem}-".startswith(f"{provider}-") or one.stem == f"{crm}-to-{provider}"]
        if own:
            return own
    raise Misused(
        f"there are no shipped mappings from {provider} to {CRMS[crm].label}: choose another --provider or --crm, or write "
        "your own, as docs/mapping-language.md says"
    )


def _config(answers: Answers, *, system: bool) -> str:
    from connector.config.validation import load  # noqa: PLC0415 - the same.
    from connector.config.yaml_document import parse  # noqa: PLC0415 - see the package's docstring.
    from connector.registry import CONFIG  # noqa: PLC0415 - the same.

    one_way = not any(PROVIDERS[name].commands for name in answers.providers)
    crm = CRMS[answers.crm]
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
            f"  {answers.crm}:",
            *_indented(crm.lines(answers.of_crm, _references(answers.crm, crm.secrets(answers.of_crm)), one_way)),
            "",
        ]
    )
    load(parse(text, "the new config"), CONFIG)
    return text


def _provider(name: str, answers: Answers) -> list[str]:
    own = PROVIDERS[name]
    head = [f"  {name}:", f"    path_secrets: [{{credential: {name}-path-secret}}]"]
    return [*head, *_indented(own.lines(answers.keywords, _references(name, own.secrets)))]


def _references(owner: str, found: Sequence[Secret]) -> dict[str, str]:
    """Where each secret is, as the config names it."""
    return {one.name: f"{{credential: {owner}-{one.name}}}" for one in found}


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


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
        "next_steps": list(CRMS[answers.crm].next_steps),
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
        *(f"connector{config} {step}" for step in document["next_steps"]),
        f"connector{config} doctor",
    ):
        paper.line(line)
    paper.line(
        "systemctl daemon-reload && systemctl enable --now connector"
        if document["system"]
        else f"connector{config} run"
    )
    paper.line(f"connector{config} console login")
