"""The settings that belong to no adapter, and the model that joins them with the adapters' own settings."""

import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationInfo, create_model, model_validator

from connector.config.console_settings import ConsoleSettings
from connector.config.notify_settings import NotifySettings
from connector.config.time_of_day import TimeOfDay
from connector.config.validation import Duration, Size, Strict, did_you_mean, wrong
from connector.model.consent import CLOCK_TOLERANCE
from connector.model.country import region_of

KIB = 1024
MIB = 1024 * KIB
HOST = re.compile(
    r"[A-Za-z0-9.-]*|[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*(%[A-Za-z0-9]+)?"
)  # a name or IPv4, or IPv6
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
        raise wrong("unknown-timezone", "this is not a time zone", zone_cure(name))
    return name


def zone_cure(name: str) -> str:
    """What to write in place of an unknown time zone: the zone of that city, if there is one."""
    zones = {zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/")}
    city = name.strip().replace(" ", "_").casefold().rpartition("/")[2]
    meant = next((zone for zone in sorted(zones) if city and zone.rpartition("/")[2].casefold() == city), "")
    hint = f"did you mean `{meant}`?" if meant else did_you_mean(name, zones)
    return hint or "write one like Europe/Oslo or UTC"


def _region(code: str) -> str:
    if code not in SUPPORTED_REGIONS:
        raise wrong("unknown-region", f"`{code}` is not the two-letter code of a country", _region_cure(code))
    return code


def _region_cure(written: str) -> str:
    meant = region_of(written)
    if meant is not None:
        return f"did you mean `{meant}`?"
    digits = written.strip().removeprefix("+").removeprefix("00")
    if digits.isdigit() and (found := COUNTRY_CODE_TO_REGION_CODE.get(int(digits))):
        return f"did you mean `{found[0]}`?"
    return "write the country's two letters, such as NO, DK, SE, GB or US"


def _public_url(text: str) -> str:
    parts, message = urlsplit(text), "this is not an address under which a provider can call"
    odd = parts.query or parts.fragment or parts.username or any(letter.isspace() for letter in text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or odd:
        raise wrong("bad-url", message, "write it like https://sms.example.org")
    plain = text.rstrip("/")
    if "hooks" in parts.path.split("/"):
        raise wrong("bad-url", message, "leave out /hooks and what follows: the connector adds it")
    return plain


def _host(text: str) -> str:
    if not HOST.fullmatch(text):
        raise wrong(
            "bad-host",
            "this is not an address to listen on",
            "write the address alone, without http:// and port, such as 127.0.0.1",
        )
    return text


def _proxy(text: str) -> str:
    try:
        ip_network(text, strict=False)
    except ValueError:
        raise wrong("bad-address", "this is not an address or network", "write 192.0.2.7 or 192.0.2.0/24") from None
    return text


def _loopback_only(host: str) -> str:
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
    """How long each kind of data is kept. The ledger of consent and the records of charges are kept for ever."""

    delivered: Annotated[Duration, Field(ge=timedelta(days=4))] = timedelta(days=90)
    """How long delivered events are kept. At least 4d: providers repeat callbacks for 72 hours."""
    ignored: Annotated[Duration | None, Field(ge=timedelta(days=4))] = None
    """How long events are kept that led to nothing (ignored, unmatched, repeated, superseded). Without it, as long as `delivered`."""
    raw: Annotated[Duration, Field(ge=timedelta(days=1))] = timedelta(days=30)
    """How long the bodies of such events are kept as they were received. Only an update that reads them in another way needs them."""
    dead: Annotated[Duration, Field(ge=timedelta(days=30))] = timedelta(days=365)
    """How long dead letters are kept, from their arrival. An alarm is raised two weeks before. An undelivered opt-out stays longer."""
    unreadable: Annotated[Duration, Field(ge=timedelta(days=30))] = timedelta(days=365)
    """How long callbacks are kept that could not be read. An alarm is raised two weeks before."""
    gone_records: Annotated[Duration | None, Field(ge=timedelta(days=1))] = None
    """How long it is known what a deleted record of the CRM held. Without it, as long as the CRM can restore it."""
    audit: Annotated[Duration, Field(ge=timedelta(days=90))] = timedelta(days=730)
    """How long the audit log of the console and of `connector person` is kept."""
    sessions: Annotated[Duration, Field(ge=timedelta(days=1))] = timedelta(days=30)
    """How long a session of the console is kept that nobody uses."""


class Backup(Strict):
    """The nightly copy of the database."""

    enabled: bool = True
    """Whether a nightly backup is made. Without it, a lost disk loses undelivered events and the proof of consent."""
    at: TimeOfDay = "03:15"
    """The time of day in `timezone`, such as 03:15."""
    keep: Annotated[int, Field(ge=1, le=366)] = 7
    """How many backups are kept. The oldest is deleted after a new one is made and checked."""
    directory: str = "backups"
    """The directory of the backups, relative to the directory of the database. Another disk is safer."""


class Store(Strict):
    """The database in which events are stored until the CRM has them."""

    path: str = "connector.db"
    """The database file, relative to the config file."""
    retention: Retention = Retention()
    """How long each kind of data is kept."""
    backup: Backup = Backup()
    """The nightly copy of the database."""
    ballast: Size = 64 * MIB
    """Disk space that is reserved, so that the connector can stop cleanly when the disk is full."""
    free_space_floor: Size = 256 * MIB
    """With less free disk space than this, callbacks are answered 503, and providers send them again later."""


class Listen(Strict):
    """Where providers call."""

    examples: ClassVar[Mapping[str, str]] = {"port": "8080"}
    other_words: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("url", "address", "domain"), "public_url"),
        **dict.fromkeys(("bind", "ip"), "host"),
    }

    host: Annotated[str, AfterValidator(_host)] = "127.0.0.1"
    """The address to listen on; 127.0.0.1 behind a proxy."""
    port: Port = 8080
    """The port to listen on."""
    public_url: Annotated[str, AfterValidator(_public_url)] | None = None
    """The public address that providers call, without /hooks. Signatures cover it."""
    trusted_proxies: tuple[Annotated[str, AfterValidator(_proxy)], ...] = ()
    """Proxies that are trusted to name the caller's address (X-Forwarded-For)."""
    body_limit: Annotated[Size, Field(ge=KIB, le=16 * MIB)] = 64 * KIB
    """The largest accepted callback. Callbacks of the providers are below 4 KiB."""
    in_flight: Annotated[int, Field(ge=1, le=10_000)] = 256
    """How many callbacks are handled at once; more are answered 503. Bodies that are still arriving are counted separately: this many
    from authenticated callers, and this many from others, of which one address may have a quarter."""
    connections: Annotated[int, Field(ge=16, le=100_000)] = 1000
    """How many connections are open at once; fewer if the process may open fewer files (LimitNOFILE). Beyond this, a new connection
    replaces an idle one."""
    connections_per_address: Annotated[int, Field(ge=1, le=100_000)] = 100
    """How many of them one address may have. Trusted proxies and this machine have no such limit."""


class Admin(Strict):
    """The listener for operator commands, health checks and metrics."""

    examples: ClassVar[Mapping[str, str]] = {"port": "8081"}

    host: Annotated[str, AfterValidator(_loopback_only)] = "127.0.0.1"
    """A loopback address."""
    port: Port = 8081
    """The port to listen on."""


def _has_its_own_port(admin: Admin, info: ValidationInfo) -> Admin:
    listen = info.data.get("listen")
    if isinstance(listen, Listen) and listen.port == admin.port != 0 and listen.host in {admin.host, *ALL_ADDRESSES}:
        raise wrong(
            "same-port",
            f"port {admin.port} is that of `listen:` too",
            "give one of the two another, such as port: 8081",
        )
    return admin


def _proxies_are_known(console: ConsoleSettings, info: ValidationInfo) -> ConsoleSettings:
    listen = info.data.get("listen")
    if console.proxy_header is not None and isinstance(listen, Listen) and not listen.trusted_proxies:
        raise wrong(
            "no-proxy",
            "proxy_header: is set, and no proxy is trusted to send it",
            "add the proxy's address to `listen: trusted_proxies`, such as [127.0.0.1]",
        )
    return console


class Logs(Strict):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is written."""
    format: Literal["auto", "text", "json"] = "auto"
    """`auto` writes text on a terminal and for journald, otherwise JSON."""


class ConsentSettings(Strict):
    """How opt-outs are guarded."""

    max_people_per_poll: Annotated[int, Field(ge=1, le=100_000)] = 50
    """If one poll of the CRM changes more people than this, their commands and opt-ins are parked until a person releases them."""
    max_commands_per_poll: Annotated[int | None, Field(ge=1, le=100_000, json_schema_extra={"deprecated": True})] = None
    """The old name of max_people_per_poll. It now counts people, not commands."""
    look_back: Annotated[Duration, Field(ge=timedelta(minutes=3), le=timedelta(hours=2))] = timedelta(minutes=15)
    """The longest transaction of the CRM. Each poll asks again for opt-outs from this long before the last poll."""
    deadline: Annotated[Duration, Field(ge=timedelta(seconds=10))] = timedelta(minutes=5)
    """The time from an opt-out's arrival to its confirmation. A later one raises an alarm."""
    stop_words: tuple[Word, ...] = ()
    """Words and phrases that mean stop at every provider, besides the built-in ones in English, Norwegian, Danish and Swedish."""
    polite_words: tuple[Word, ...] = ()
    """Words and phrases that do not change a stop word beside them, such as `please`, in addition to the built-in ones."""
    all_words: tuple[Word, ...] = ()
    """Words that make a stop apply to everything at a provider, such as `all`, in addition to the built-in ones."""
    clock_tolerance: Annotated[Duration, Field(ge=timedelta(0), le=timedelta(days=1))] = CLOCK_TOLERANCE
    """The largest difference between the clocks of providers and CRM. An opt-in without a subscription id counts only if it occurred
    this much later than the opt-out before it."""

    @model_validator(mode="after")
    def _has_one_name(self) -> Self:
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
    """Whether it runs every night. `connector reconcile` works in any case."""
    at: TimeOfDay = "02:43"
    """The time of day in `timezone`, such as 02:43."""


class Limits(Strict):
    """Upper limits of what is read."""

    answer: Annotated[Size, Field(ge=MIB, le=256 * MIB)] = 32 * MIB
    """The largest answer of a provider or CRM that is read, after decompression. A larger one counts as `unexpected_answer`."""


class Settings(Strict):
    """The whole config but for `providers:` and `crm:`, whose kinds only the adapters know."""

    example: ClassVar[str] = "`providers:` and `crm:`, each with lines below it"
    other_words: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("log", "logging"), "logs"),
        **dict.fromkeys(("database", "db", "storage"), "store"),
        **dict.fromkeys(("server", "http", "web", "hooks"), "listen"),
        **dict.fromkeys(("crms", "salesforce"), "crm"),
        **dict.fromkeys(("region", "country"), "default_region"),
        **dict.fromkeys(("tz", "time_zone"), "timezone"),
    }

    store: Store = Store()
    """The database in which events are stored until the CRM has them."""
    listen: Listen = Listen()
    """Where providers call."""
    admin: Annotated[Admin, AfterValidator(_has_its_own_port)] = Admin()
    """The listener for operator commands, health checks and metrics."""
    console: Annotated[ConsoleSettings, AfterValidator(_proxies_are_known)] = ConsoleSettings()
    """The console: pages for administrators on the admin listener, at /console/."""
    logs: Logs = Logs()
    """What is written to standard error."""
    consent: ConsentSettings = ConsentSettings()
    """How opt-outs are guarded."""
    notify: NotifySettings = NotifySettings()
    """Who is told of alarms, and who gets the weekly digest."""
    reconcile: ReconcileSettings = ReconcileSettings()
    """The nightly comparison of all CRM records with the stored ones."""
    limits: Limits = Limits()
    """Upper limits of what is read."""
    mappings: str = "mappings"
    """The directory of the mapping files, relative to the config file."""
    schemas: str = "schema"
    """The directory of the CRMs' schema lock files (`connector schema pull`), relative to the config file."""
    timezone: TimeZone = "UTC"
    """The time zone of dates without one, and of dates that are written."""
    default_region: Region | None = None
    """The country of CRM phone numbers without a country code, such as NO, if the record names no country. Without it they cannot be
    read. If a provider's region makes the number another person's too, nobody is chosen."""


def config_model(providers: Any, crms: Any, sinks: Any) -> type[Settings]:
    """The model of the whole config, from the adapters' settings: each a model, or a union discriminated by `type`.

    An entry without `type` has its own name as type.
    """
    return create_model(
        "Config",
        __base__=Settings,
        __doc__="The config of the connector.",
        providers=(
            _entries_by_name(providers),
            Field(description="The SMS providers, by a name of your choice.", min_length=1),
        ),
        crm=(_entries_by_name(crms), Field(description="The CRMs, by a name of your choice.", min_length=1)),
        sinks=(
            _entries_by_name(sinks),
            Field(description="Other systems that get results, by a name of your choice.", default_factory=dict),
        ),
    )


def _entries_by_name(kinds: Any) -> Any:
    name = Annotated[str, Field(pattern=NAME)]
    return Annotated[dict[name, kinds], BeforeValidator(_with_default_types)]


def _with_default_types(entries: object) -> object:
    if not isinstance(entries, Mapping):
        return entries
    return {
        name: {"type": name, **({} if entry is None else entry)}
        if entry is None or isinstance(entry, Mapping)
        else entry
        for name, entry in entries.items()
    }


def entries(config: BaseModel) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    """The settings of the providers, the CRMs and the other sinks of a config made with config_model()."""
    return config.providers, config.crm, config.sinks  # type: ignore[attr-defined]
