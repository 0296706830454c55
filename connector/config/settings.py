"""The settings that belong to no adapter, and the model that joins them with the adapters' own settings."""

import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from phonenumbers import SUPPORTED_REGIONS
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationInfo, create_model, model_validator

from connector.config.validation import Duration, Size, Strict, did_you_mean, wrong
from connector.model.consent import CLOCK_TOLERANCE

KIB = 1024
MIB = 1024 * KIB
ALL_ADDRESSES = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, and never listened on.
NAME = r"^[a-z][a-z0-9_]{0,31}$"  # of a provider or CRM; used in URLs, metrics and `on:`


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError):  # ZoneInfoNotFoundError is a KeyError.
        known = False
    except KeyError:
        known = False
    else:
        known = True
    if not known:
        raise wrong("unknown-timezone", "this is no time zone", "write one like Europe/Oslo or UTC")
    return name


def _region(code: str) -> str:
    if code not in SUPPORTED_REGIONS:
        raise wrong(
            "unknown-region", f"`{code}` is no country", did_you_mean(code, SUPPORTED_REGIONS) or "write NO or DK"
        )
    return code


def _public_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise wrong(
            "bad-url", "this is no address under which a provider can call", "write it like https://sms.example.org"
        )
    return text.rstrip("/")


def _proxy(text: str) -> str:
    try:
        ip_network(text, strict=False)
    except ValueError:
        raise wrong("bad-address", "this is no address or network", "write 192.0.2.7 or 192.0.2.0/24") from None
    return text


def _loopback(host: str) -> str:
    try:
        inside = ip_address(host).is_loopback
    except ValueError:
        inside = host == "localhost"
    if not inside:
        raise wrong(
            "open-admin",
            "the admin listener would be reachable from outside",
            "leave it on 127.0.0.1, and reach it through SSH or a proxy that authenticates",
        )
    return host


TimeZone = Annotated[str, AfterValidator(_zone)]
Region = Annotated[str, AfterValidator(_region)]


def _word(text: str) -> str:
    if not any(char.isalnum() for char in text):
        raise wrong("no-word", "there is no letter or digit in it", "write a word, such as SLUTT")
    return text


Word = Annotated[str, AfterValidator(_word)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Retention(Strict):
    """How long what is done with is kept."""

    delivered: Annotated[Duration, Field(ge=timedelta(days=4))] = timedelta(days=90)
    """Events that are delivered, ignored or matched by no rule. At least 4d: a provider's repeats come for 72 hours."""


TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


def _time_of_day(text: str) -> str:
    if re.fullmatch(TIME_OF_DAY, text) is None:
        raise wrong("no-time-of-day", "this is no time of day", "write hours and minutes, such as 02:43 or 23:05")
    return text


TimeOfDay = Annotated[str, AfterValidator(_time_of_day), Field(json_schema_extra={"pattern": TIME_OF_DAY})]


class Backup(Strict):
    """The nightly copy of the database."""

    enabled: bool = True
    """Whether one is made. Without it a lost disk takes with it what the CRM has not got yet, and the proof of consent."""
    at: TimeOfDay = "03:15"
    """The time of day in `timezone`, such as 03:15."""
    keep: Annotated[int, Field(ge=1, le=366)] = 7
    """How many are kept; an older one is deleted when a newer one is made and checked."""
    directory: str = "backups"
    """Where they are kept; relative to the directory of the database. Better on another disk."""


class Store(Strict):
    """Where events are kept until the CRM has them."""

    path: str = "connector.db"
    """The database file; relative to the config file."""
    retention: Retention = Retention()
    """How long what is done with is kept."""
    backup: Backup = Backup()
    """The nightly copy of the database."""
    ballast: Size = 64 * MIB
    """Disk space that is held back, so that a full disk can be left in order."""
    free_space_floor: Size = 256 * MIB
    """Below this much free disk nothing new is taken: providers are told to come again."""


class Listen(Strict):
    """Where providers call."""

    host: str = "127.0.0.1"
    """The address to listen on; behind a proxy 127.0.0.1."""
    port: Port = 8080
    """The port to listen on."""
    public_url: Annotated[str, AfterValidator(_public_url)] | None = None
    """The address that providers were given, without /hooks: signatures cover it."""
    trusted_proxies: tuple[Annotated[str, AfterValidator(_proxy)], ...] = ()
    """Proxies whose word about the caller's address is believed."""
    body_limit: Annotated[Size, Field(ge=KIB, le=16 * MIB)] = 64 * KIB
    """The largest callback that is read; a provider's are below 4 KiB."""
    in_flight: Annotated[int, Field(ge=1, le=10_000)] = 256
    """How many callbacks are worked on at once; more are told to come again. Bodies that are still to come are counted apart: as many
    of callers who have shown who they are, and as many of strangers, of which one address has at most a fourth."""
    connections: Annotated[int, Field(ge=16, le=100_000)] = 1000
    """How many connections are held at once; fewer where the process may open fewer files (LimitNOFILE). Beyond it one on which no
    request is under way gives way to a new one."""
    connections_per_address: Annotated[int, Field(ge=1, le=100_000)] = 100
    """How many of them one address may have. Trusted proxies and this machine itself may have all."""


class Admin(Strict):
    """Where the operator's commands, health checks and metrics are served."""

    host: Annotated[str, AfterValidator(_loopback)] = "127.0.0.1"
    """A loopback address."""
    port: Port = 8081
    """The port to listen on."""


def _another_port(admin: Admin, info: ValidationInfo) -> Admin:
    listen = info.data.get("listen")
    if isinstance(listen, Listen) and listen.port == admin.port != 0 and listen.host in {admin.host, *ALL_ADDRESSES}:
        raise wrong(
            "same-port",
            f"port {admin.port} is that of `listen:` too",
            "give one of the two another, such as port: 8081",
        )
    return admin


class Logs(Strict):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written."""
    format: Literal["auto", "text", "json"] = "auto"
    """`auto` is text on a terminal and for journald, else JSON."""


class ConsentSettings(Strict):
    """How opt-outs are guarded."""

    max_people_per_poll: Annotated[int, Field(ge=1, le=100_000)] = 50
    """If one poll of the CRM changes more people than this, their commands and opt-ins are parked until a person releases them."""
    max_commands_per_poll: Annotated[int | None, Field(ge=1, le=100_000, json_schema_extra={"deprecated": True})] = None
    """The old name of max_people_per_poll. People are counted now, whatever number of commands each of them needs."""
    look_back: Annotated[Duration, Field(ge=timedelta(minutes=3), le=timedelta(hours=2))] = timedelta(minutes=15)
    """How long a transaction of the CRM may take: each poll asks for opt-outs that were stamped so long before the last one."""
    deadline: Annotated[Duration, Field(ge=timedelta(seconds=10))] = timedelta(minutes=5)
    """From an opt-out's arrival to its confirmation; an alarm is raised behind it."""
    stop_words: tuple[Word, ...] = ()
    """Words and phrases that mean stop at every provider, besides the usual ones in English, Norwegian, Danish and Swedish."""
    polite_words: tuple[Word, ...] = ()
    """Words and phrases that add nothing to a stop word beside them, such as `please`, besides the usual ones."""
    all_words: tuple[Word, ...] = ()
    """Words that make a stop one for everything at a provider, such as `all`, besides the usual ones."""
    clock_tolerance: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(days=1))] = CLOCK_TOLERANCE
    """How far the clocks of providers and CRM may be apart: an opt-in without a subscription id counts only when it occurred this
    much later than the opt-out before it."""

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if {"max_people_per_poll", "max_commands_per_poll"} <= self.model_fields_set:
            raise wrong(
                "two-names",
                "max_commands_per_poll is the old name of max_people_per_poll, and both are here",
                "write max_people_per_poll: alone",
            )
        return self

    @property
    def people_per_poll(self) -> int:
        """The limit, by its new or its old name."""
        return self.max_commands_per_poll or self.max_people_per_poll


class ReconcileSettings(Strict):
    """The nightly comparison of all records of each feed's object with what is known of them."""

    enabled: bool = True
    """Whether it runs every night; `connector reconcile` works anyway."""
    at: TimeOfDay = "02:43"
    """The time of day in `timezone`, such as 02:43."""

    @property
    def hour(self) -> int:
        """The hour of the time of day."""
        return int(self.at[:2])

    @property
    def minute(self) -> int:
        """The minute of the time of day."""
        return int(self.at[3:])


class Limits(Strict):
    """How much is read at most."""

    answer: Annotated[Size, Field(ge=MIB, le=256 * MIB)] = 32 * MIB
    """The largest answer of a provider or CRM that is read, decompressed. A larger one is `unexpected_answer`."""


class Settings(Strict):
    """The whole config but for `providers:` and `crm:`, whose kinds only the adapters know."""

    store: Store = Store()
    """Where events are kept until the CRM has them."""
    listen: Listen = Listen()
    """Where providers call."""
    admin: Annotated[Admin, AfterValidator(_another_port)] = Admin()
    """Where the operator's commands, health checks and metrics are served."""
    logs: Logs = Logs()
    """What is written to standard error."""
    consent: ConsentSettings = ConsentSettings()
    """How opt-outs are guarded."""
    reconcile: ReconcileSettings = ReconcileSettings()
    """The nightly comparison of all records with what is known of them."""
    limits: Limits = Limits()
    """How much is read at most."""
    mappings: str = "mappings"
    """The directory of the mapping files; relative to the config file."""
    schemas: str = "schema"
    """The directory of what the CRMs tell of their objects, by `connector schema pull`; relative to the config file."""
    timezone: TimeZone = "UTC"
    """The time zone of dates that name none, and in which dates are written."""
    default_region: Region | None = None
    """The country of numbers without a country code in the CRM, such as NO, where the record tells none; without it they are not
    understood. Where the region of a provider makes them another person's number too, nobody is chosen."""


def config_model(providers: Any, crms: Any) -> type[Settings]:
    """The model of the whole config, from the adapters' settings: each a model, or a union discriminated by `type`.

    An entry without `type` has its own name as type.
    """
    return create_model(
        "Config",
        __base__=Settings,
        __doc__="The config of the connector.",
        providers=(
            _entries(providers),
            Field(description="The SMS providers, by a name of your choice.", min_length=1),
        ),
        crm=(_entries(crms), Field(description="The CRMs, by a name of your choice.", min_length=1)),
    )


def _entries(kinds: Any) -> Any:
    name = Annotated[str, Field(pattern=NAME)]
    return Annotated[dict[name, kinds], BeforeValidator(_named_types)]


def _named_types(entries: object) -> object:
    if not isinstance(entries, Mapping):
        return entries
    return {
        name: {"type": name, **({} if entry is None else entry)}
        if entry is None or isinstance(entry, Mapping)
        else entry
        for name, entry in entries.items()
    }


def entries(config: BaseModel) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The providers' and the CRMs' settings of a config made with config_model()."""
    return config.providers, config.crm  # type: ignore[attr-defined]
