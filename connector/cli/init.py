"""`connector init`: asks what is needed, and writes config, secrets, mappings, schemas and the unit's drop-in."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from connector.cli.exit_codes import Misused
from connector.cli.init_answers import (
    CRMS,
    PROVIDERS,
    QUESTIONS,
    Answers,
    config_text,
    interview,
    mappings_for,
    read_secret_files,
)
from connector.cli.render import Paper, answer, as_json
from connector.cli.schema_files import KINDS, json_schema_text
from connector.cli.setup import Setup

SYSTEM = Path("/etc/connector")
DROP_IN = Path("/etc/systemd/system/connector.service.d/credentials.conf")
# Words in the settings that an administrator must replace; the last two are in addresses.
MADE_UP = ("the-consumer-key-of-the-app", "the-tenant-of-the-app", "the-client-id-of-the-app", "your-campaign",
           "the-id-of-your-service", "//acme.", ".example.org")  # fmt: skip


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
    "--provider",
    "providers",
    multiple=True,
    type=click.Choice(tuple(PROVIDERS)),
    help="A provider; may be given several times.",
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

    DIRECTORY is /etc/connector for root, else the current one. No file that exists is overwritten.
    """
    target = directory or (SYSTEM if os.geteuid() == 0 else Path())
    system = target.resolve() == SYSTEM
    _refuse_existing([target / "config.yaml"])
    answers = interview(options, read_secret_files(given), ask=not yes and not as_json)
    files = _files(answers, target, system=system)
    _refuse_existing(files)
    _write(files, target)
    document = _report(answers, target, system=system)
    answer(document, _show, json_wanted=as_json)


def _refuse_existing(files: Iterable[Path]) -> None:
    for path in files:
        if path.exists():
            raise Misused(f"{path} is there already: remove it, or name another directory; nothing was written")


def _files(answers: Answers, target: Path, *, system: bool) -> dict[Path, str]:
    """Each file and its text. The config is checked before anything is written."""
    files = {target / "config.yaml": config_text(answers, system=system)}
    for name, value in answers.secrets.items():
        files[target / "credentials" / name] = f"{value}\n" if value else ""
    for path in (one for provider in answers.providers for one in mappings_for(provider, answers.crm)):
        files[target / "mappings" / path.name] = path.read_text(encoding="utf-8")
    # The first lines of the config and of the mappings name these, for editors.
    files |= {target / "schema" / f"{kind}.schema.json": json_schema_text(kind) for kind in KINDS}
    drop_in = DROP_IN if system else target / "systemd" / DROP_IN.parent.name / DROP_IN.name
    lines = [f"LoadCredential={name}:{target.resolve() / 'credentials' / name}" for name in answers.secrets]
    files[drop_in] = "\n".join(
        ["# Written by `connector init`: the secrets that the config names.", "[Service]", *lines, ""]
    )
    return files


def _write(files: Mapping[Path, str], target: Path) -> None:
    for path, text in files.items():
        private = path.parent == target / "credentials"
        new = [one for one in path.parents if not one.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        # The service's user must be able to read what root writes under a strict umask.
        for one in new:
            one.chmod(0o755)
        if private:
            path.parent.chmod(0o700)
        mode = 0o600 if private else 0o644
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        os.fchmod(descriptor, mode)
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
    from connector.admin.parse_stored import providers_without_secrets  # noqa: PLC0415 - see the package's docstring.
    from connector.cli.check import SECRET_MISSING, examine  # noqa: PLC0415 - the same.
    from connector.registry import load_config  # noqa: PLC0415 - the same.

    config = target / "config.yaml"
    loaded = load_config(config)
    addresses: list[dict[str, str]] = []
    public_addresses: list[dict[str, str]] = []
    for name, provider in providers_without_secrets(loaded).items():
        public = PROVIDERS[name].public
        for endpoint in provider.endpoints:
            end = public.get(endpoint.name, f"/{answers.secrets[f'{name}-path-secret']}")
            address = f"{answers.public_url}/hooks/{name}/{endpoint.name}{end}"
            (public_addresses if endpoint.name in public else addresses).append(
                {"provider": name, "endpoint": endpoint.name, "address": address}
            )
    checked = examine(Setup(config), live=False, strict=False)
    return {
        "ok": not checked["errors"],
        "directory": str(target),
        "config": str(config),
        "system": system,
        "addresses": addresses,
        "public_addresses": public_addresses,
        "next_steps": list(CRMS[answers.crm].next_steps),
        "to_write": [str(target / "credentials" / name) for name, value in answers.secrets.items() if not value],
        "to_edit": [
            f"{config}:{number}: {line.strip()}"
            for number, line in enumerate(config.read_text(encoding="utf-8").splitlines(), start=1)
            if any(word in line for word in MADE_UP)
        ],
        "problems": [one["text"] for one in checked["problems"] if one["code"] != SECRET_MISSING],
    }


def _show(paper: Paper, document: dict[str, Any]) -> None:
    paper.line(
        f"written: {document['config']}, with credentials, mappings, schema and the unit's drop-in", style="bold"
    )
    paper.heading("Give these addresses to the provider; each holds a secret")
    for one in document["addresses"]:
        paper.line(f"{one['provider']} {one['endpoint']}: {one['address']}")
    if document["public_addresses"]:
        paper.heading("These addresses are public: donors' browsers call them. Put no secret into them")
        for one in document["public_addresses"]:
            paper.line(f"{one['provider']} {one['endpoint']}: {one['address']}")
    if document["to_write"]:
        paper.heading("Write these secrets into their files, which only the service may read")
        for path in document["to_write"]:
            paper.line(path)
    if document["to_edit"]:
        paper.heading("Replace what is made up in these lines")
        for line in document["to_edit"]:
            paper.line(line)
    for problem in document["problems"]:
        paper.line(problem, style="red")
    paper.heading("Then")
    config = "" if document["system"] else f" --config {document['config']}"
    for line in (*document["next_steps"], "doctor"):
        paper.line(f"connector{config} {line}")
    paper.line(
        "systemctl daemon-reload && systemctl enable --now connector"
        if document["system"]
        else f"connector{config} run"
    )
    paper.line(f"connector{config} console login")
