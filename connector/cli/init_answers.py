"""What `connector init` asks: providers, keywords, CRM, secrets; and the config that the answers make."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from connector.cli.exit_codes import Misused
from connector.config.new_config import NewCrm, NewProvider, Question, Secret
from connector.config.shipped_mappings import shipped_mappings
from connector.model.problem import ProblemsFound

STATE = "/var/lib/connector/connector.db"
ADAPTERS = Path(__file__).parents[1]
ZONES = {"NO": "Europe/Oslo", "DK": "Europe/Copenhagen", "SE": "Europe/Stockholm", "US": "America/New_York"}
FIRST_PROVIDER, FIRST_CRM = "strex", "salesforce"  # unless others are named
PUBLIC_URL = "https://sms.example.org"


def _with_new_config(folder: str) -> dict[str, Any]:
    """The providers or CRMs that a new config may have: each folder with a `new_config.py`."""
    found = sorted(path.parent.name for path in (ADAPTERS / folder).glob("*/new_config.py"))
    return {name: import_module(f"connector.{folder}.{name}.new_config").NEW for name in found}


PROVIDERS: Mapping[str, NewProvider] = _with_new_config("providers")
CRMS: Mapping[str, NewCrm] = _with_new_config("crm")
QUESTIONS = tuple(dict.fromkeys(one.name for crm in CRMS.values() for one in crm.questions))


@dataclass(slots=True)
class Answers:
    """What the administrator has said, by options and answers."""

    providers: list[str]
    keywords: list[tuple[str, str]]  # short number, keyword
    crm: str
    of_crm: dict[str, str]  # the CRM's own questions
    region: str
    public_url: str
    secrets: dict[str, str] = field(default_factory=dict)  # name → value; blank: to be written by hand


def read_secret_files(options: Sequence[str]) -> dict[str, str]:
    """The secrets of `--secret NAME=FILE`, by name. Raises Misused."""
    secret_values = {}
    for option in options:
        name, equals, file = option.partition("=")
        if not equals:
            raise Misused(f"`--secret {option}` names no file: write NAME=FILE")
        try:
            secret_values[name] = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Misused(f"the secret {name} cannot be read from {file}: {error}") from None
    return secret_values


def interview(options: Mapping[str, Any], secret_values: Mapping[str, str], *, ask: bool) -> Answers:
    """What the options say and, with `ask`, what the administrator answers. Raises Misused."""
    asking = Interview(options, ask=ask)
    asking.about_providers()
    asking.about_crm()
    answers = asking.answers
    for name in path_secrets(answers.providers):
        answers.secrets[name] = secret_values.get(name) or secrets.token_urlsafe(24)
    for name, secret in named_secrets(answers.providers, answers.crm, answers.of_crm).items():
        answers.secrets[name] = secret_values.get(name) or (
            _ask_for_secret(name, secret) if ask and name not in secret_values else ""
        )
    if unknown := secret_values.keys() - answers.secrets.keys():
        raise Misused(f"no secret is called {min(unknown)}: this config has {', '.join(answers.secrets)}")
    return answers


class Interview:
    """Takes what the options say, and asks for the rest; a wrong answer is explained at once, and the question is asked again."""

    def __init__(self, options: Mapping[str, Any], *, ask: bool) -> None:
        self._options = options
        self._ask = ask
        self.answers = Answers(
            providers=list(options["providers"]) or [FIRST_PROVIDER],
            keywords=[_keyword(one) for one in options["keywords"]],
            crm=FIRST_CRM,
            of_crm=_defaults(FIRST_CRM),
            region="",
            public_url=PUBLIC_URL,
        )

    def about_providers(self) -> None:
        """Providers, keywords, and the country of their numbers."""
        answers = self.answers
        if self._ask and not self._options["providers"]:
            question = f"Providers ({', '.join(PROVIDERS)}), separated by blanks"
            answers.providers = click.prompt(question, default=FIRST_PROVIDER, value_proc=_providers)
        if self._ask and not answers.keywords and any(PROVIDERS[name].asks_keywords for name in answers.providers):
            question = "Keywords as SHORT_NUMBER/KEYWORD, separated by blanks"
            answers.keywords = click.prompt(question, default="2002/KATT", value_proc=_keywords)
        answers.region = PROVIDERS[answers.providers[0]].region
        self._take_or_ask(
            "region", "Country of numbers without a country code", answers.region, partial(setattr, answers, "region")
        )

    def about_crm(self) -> None:
        """The CRM with its own questions, and the public address."""
        answers = self.answers
        self._take_or_ask("crm", f"CRM ({', '.join(CRMS)})", FIRST_CRM, self._take_crm)
        _refuse_others(self._options, answers.crm)
        for one in CRMS[answers.crm].questions:
            prompt = f"{one.prompt} ({', '.join(one.choices)})" if one.choices else one.prompt
            default = one.default if one.offered else ""
            take = partial(self._take_of_crm, one)
            self._take_or_ask(one.name.replace("-", "_"), prompt, default, take)
        self._take_or_ask(
            "public_url",
            "Address under which providers reach the connector",
            PUBLIC_URL,
            lambda written: setattr(answers, "public_url", written.rstrip("/")),
        )

    def _take_or_ask(self, option: str, prompt: str, default: str, take: Callable[[str], object]) -> None:
        """Take what an option says, else ask and take the answer."""
        if value := self._options[option]:
            take(value)
        elif self._ask:
            click.prompt(prompt, default=default or None, value_proc=partial(self._take_answer, take))

    def _take_answer(self, take: Callable[[str], object], written: str) -> str:
        """Take an answer. Raises UsageError for one that the config refuses: click tells it, and asks again."""
        try:
            take(written)
            config_text(self.answers, system=False)
        except Misused as error:
            raise click.UsageError(str(error)) from None
        return written

    def _take_crm(self, name: str) -> None:
        if name not in CRMS:
            raise Misused(f"`{name}` is no CRM: write one of {', '.join(CRMS)}")
        for provider in self.answers.providers:
            mappings_for(provider, name)
        self.answers.crm, self.answers.of_crm = name, _defaults(name)

    def _take_of_crm(self, question: Question, written: str) -> None:
        if question.choices and written not in question.choices:
            raise Misused(f"`{written}` is not known here: write one of {', '.join(question.choices)}")
        self.answers.of_crm[question.name] = written


def _defaults(crm: str) -> dict[str, str]:
    return {one.name: one.default for one in CRMS[crm].questions}


def _providers(written: str) -> list[str]:
    words = written.replace(",", " ").lower().split()
    for word in words:
        if word not in PROVIDERS:
            raise click.UsageError(f"`{word}` is no provider: write one or more of {', '.join(PROVIDERS)}")
    return words


def _keywords(written: str) -> list[tuple[str, str]]:
    try:
        return [_keyword(one) for one in written.replace(",", " ").split()]
    except Misused as error:
        raise click.UsageError(str(error)) from None


def _refuse_others(options: Mapping[str, Any], crm: str) -> None:
    """Refuse answers to questions that this CRM does not have. Raises Misused."""
    own = {one.name for one in CRMS[crm].questions}
    for name in QUESTIONS:
        if options[name.replace("-", "_")] and name not in own:
            others = [other for other, one in CRMS.items() if name in {each.name for each in one.questions}]
            raise Misused(f"--{name} is not for {CRMS[crm].label}: remove it, or add --crm {others[0]}")


def _ask_for_secret(name: str, secret: Secret) -> str:
    if secret.is_file:
        file = click.prompt(f"{name}: its file (blank: write it into the file later)", default="", show_default=False)
        return read_secret_files([f"{name}={file}"])[name] if file else ""
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


def mappings_for(provider: str, crm: str) -> list[Path]:
    """The shipped files for a provider and a CRM, which their names tell. Raises Misused."""
    for directory in CRMS[crm].mapping_sets:
        files = sorted((shipped_mappings() / directory).glob("*.yaml"))
        own = [one for one in files if f"{one.stem}-".startswith(f"{provider}-") or one.stem == f"{crm}-to-{provider}"]
        if own:
            return own
    raise Misused(
        f"there are no shipped mappings from {provider} to {CRMS[crm].label}: choose another --provider or --crm, or write "
        "your own, as docs/mapping-language.md says"
    )


def config_text(answers: Answers, *, system: bool) -> str:
    """The config that the answers make. Raises Misused where an answer cannot be used."""
    from connector.config.validation import load  # noqa: PLC0415 - the same.
    from connector.config.yaml_document import parse  # noqa: PLC0415 - see the package's docstring.
    from connector.registry import CONFIG  # noqa: PLC0415 - the same.

    one_way = not any(PROVIDERS[name].commands for name in answers.providers)
    crm = CRMS[answers.crm]
    text = "\n".join(
        [
            "# yaml-language-server: $schema=schema/config.schema.json",
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
    try:
        load(parse(text, "the new config"), CONFIG)
    except ProblemsFound as found:
        raise Misused(
            "\n".join(f"{one.message} ({one.hint})" if one.hint else one.message for one in found.problems)
        ) from None
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
