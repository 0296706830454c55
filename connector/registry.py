"""The list of providers, CRMs and sinks: turns a config file into their adapters."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Union

from pydantic import BaseModel, Field

from connector.config import yaml_document
from connector.config.schema_lock import lock_path, read_lock
from connector.config.secrets import resolve
from connector.config.settings import Settings, config_model, entries
from connector.config.shipped_mappings import shipped_mappings
from connector.config.validation import load
from connector.consent.opt_out_words import STANDARD, OptOutWords
from connector.crm.crm import Crm
from connector.mapping.compile.context import Context
from connector.mapping.compile.ruleset import Ruleset, load_mappings
from connector.model.crm_schema import CrmSchema
from connector.model.problem import Problem, ProblemsFound
from connector.model.record_number import NumberReader
from connector.pipeline.opt_out_check import OptOuts, refuse_lost_opt_outs
from connector.providers.provider import Provider
from connector.providers.samples import Words
from connector.sinks.external import ExternalSink


def _adapters(folder: str, module: str, names: Iterable[str]) -> dict[type[BaseModel], ModuleType]:
    """Each adapter by its settings: `module` of each of the folders `names` in `folder`."""
    found = [import_module(f"connector.{folder}.{name}.{module}") for name in names]
    return {adapter.SETTINGS: adapter for adapter in found}


# A new provider, CRM or sink is one line: the name of its folder.
PROVIDER_NAMES = (
    "strex",
    "sumotext",
    "onlinefundraising",
    "messagecloud",
    "twilio",
)
CRM_NAMES = (
    "salesforce",
    "dynamics",
)
SINK_NAMES = (
    "webhook",
    "marketing_cloud",
)
PROVIDERS = _adapters("providers", "provider", PROVIDER_NAMES)
CRMS = _adapters("crm", "adapter", CRM_NAMES)
SINKS = _adapters("sinks", "adapter", SINK_NAMES)
CHANGE = "change"  # the shape of the events of a CRM's feed


def _union_of(models: Iterable[type[BaseModel]]) -> Any:
    """A union of the models, discriminated by `type`; a single model needs no discriminator."""
    several = tuple(models)
    return several[0] if len(several) == 1 else Annotated[Union[several], Field(discriminator="type")]  # noqa: UP007 - made at run time.


@cache
def _config_model(crms: tuple[type[BaseModel], ...]) -> type[Settings]:
    """The form of a config that may name these CRMs."""
    return config_model(_union_of(PROVIDERS), _union_of(crms), _union_of(SINKS))


CONFIG = _config_model(tuple(CRMS))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """A config file that has been read."""

    path: Path
    settings: Settings
    crm_types: Mapping[type[BaseModel], ModuleType] = field(default_factory=lambda: CRMS)  # adapters, by their settings

    @property
    def base(self) -> Path:
        """The directory that relative paths of the config start from."""
        return self.path.parent

    def resolve_path(self, path: str) -> Path:
        """A path of the config, resolved against its directory."""
        return (self.base / path).resolve()

    @property
    def database(self) -> Path:
        """The path of the database, which need not exist yet."""
        return self.resolve_path(self.settings.store.path)

    @property
    def providers(self) -> Mapping[str, Any]:
        """The providers' settings by name."""
        return entries(self.settings)[0]

    @property
    def sinks(self) -> Mapping[str, Any]:
        """The settings of the sinks that are neither a CRM nor a provider, by name."""
        return entries(self.settings)[2]

    @property
    def crms(self) -> Mapping[str, Any]:
        """The CRMs' settings by name."""
        return entries(self.settings)[1]


def load_config(path: Path, crm_types: Mapping[type[BaseModel], ModuleType] = CRMS) -> LoadedConfig:
    """Read and check a config file. Raises ProblemsFound with all its problems.

    `crm_types` are the CRMs that it may name: the tests bring one more, which is made up.
    """
    try:
        document = yaml_document.read(path)
    except ProblemsFound as found:
        if isinstance(found.__cause__, FileNotFoundError) and not path.is_symlink():
            cure = "`connector init` writes one; name another file by --config or $CONNECTOR_CONFIG"
            raise ProblemsFound([_file_problem(path, "there is no such file", cure)]) from None
        raise
    settings = load(document, _config_model(tuple(crm_types)))
    loaded = LoadedConfig(path=path.resolve(), settings=settings, crm_types=crm_types)
    names = [*loaded.providers, *loaded.crms, *loaded.sinks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = f"`{twice[0]}` is the name of two things under `providers:`, `crm:` and `sinks:`"
        raise ProblemsFound([_file_problem(path, message, "give one of them another name")])
    return loaded


def _file_problem(path: Path, message: str, hint: str) -> Problem:
    """A problem of the whole config file, which has no place in it."""
    return Problem(file=str(path), position=None, code="unreadable-file", message=message, hint=hint)


def build_providers(loaded: LoadedConfig) -> dict[str, Provider]:
    """The configured providers, by name. Raises ConnectorError for a missing secret."""
    reveal = partial(resolve, base=loaded.base)
    words = opt_out_words(loaded)
    return {
        name: PROVIDERS[type(settings)].build(name, settings, reveal, words)
        for name, settings in loaded.providers.items()
    }


def build_sinks(loaded: LoadedConfig, now: Callable[[], datetime]) -> dict[str, ExternalSink]:
    """The configured sinks that are neither a CRM nor a provider, by name. Raises ConnectorError for a missing secret."""
    reveal = partial(resolve, base=loaded.base)
    built = (SINKS[type(settings)].build(name, settings, reveal, now) for name, settings in loaded.sinks.items())
    return {sink.name: sink for sinks in built for sink in sinks}


def opt_out_words(loaded: LoadedConfig) -> OptOutWords:
    """The stop words of all providers: the built-in ones, and those under `consent:` in the config."""
    consent = loaded.settings.consent
    return STANDARD.with_more(stop=consent.stop_words, polite=consent.polite_words, everything=consent.all_words)


def build_crms(loaded: LoadedConfig) -> dict[str, Crm]:
    """The configured CRMs, by name. Raises ConnectorError for a missing secret."""
    numbers = number_reader(loaded)
    return {
        name: loaded.crm_types[type(settings)].build(name, settings, loaded.base, numbers)
        for name, settings in loaded.crms.items()
    }


def number_reader(loaded: LoadedConfig) -> NumberReader:
    """Makes the reader of CRM phone fields. It uses `default_region` and the regions of all configured providers."""
    default = loaded.settings.default_region
    regions = dict.fromkeys(provider.region for provider in loaded.providers.values())
    return NumberReader(default=default, others=tuple(region for region in regions if region != default))


def cure_of_code(loaded: LoadedConfig, sink: str, code: str) -> str:
    """What a person does about an error code of a CRM; empty if the reason alone says it."""
    settings = loaded.crms.get(sink)
    cure: str = loaded.crm_types[type(settings)].cure_of(code) if settings is not None else ""
    return cure


def record_address(loaded: LoadedConfig, crm: str, name: str, record_id: str) -> str | None:
    """Where a person sees a record of a CRM: a web address. None for a CRM that is not in the config."""
    settings = loaded.crms.get(crm)
    return None if settings is None else loaded.crm_types[type(settings)].record_address(settings, name, record_id)


def read_schemas(loaded: LoadedConfig) -> dict[str, CrmSchema]:
    """The CRMs' schemas, for those that have a lock file. Raises ProblemsFound for a broken lock file."""
    directory = loaded.resolve_path(loaded.settings.schemas)
    locks = {name: read_lock(lock_path(directory, name), name) for name in loaded.crms}
    return {name: lock for name, lock in locks.items() if lock is not None}


def mapping_context(loaded: LoadedConfig, schemas: Mapping[str, CrmSchema] | None = None) -> Context:
    """What mappings may refer to. Needs no secrets, so that a config can be checked on any machine.

    With `schemas` the mappings are also checked against these.
    """
    sources: list[str] = []
    commands: dict[str, frozenset[str]] = {}
    words: dict[str, Words] = {}
    for name, settings in loaded.providers.items():
        adapter = PROVIDERS[type(settings)]
        sources += [f"{name}.{shape}" for shape in adapter.SHAPES]
        words[name] = adapter.WORDS
        if actions := adapter.commands(settings):
            commands[name] = actions
    return Context(
        sources=(*sources, *(f"{name}.{CHANGE}" for name in loaded.crms)),
        words=words,
        crms=tuple(loaded.crms),
        commands=commands,
        sinks={name: SINKS[type(settings)].traits(name, settings) for name, settings in loaded.sinks.items()},
        consent_fields={name: settings.consent for name, settings in loaded.crms.items()},
        one_way=frozenset(name for name, settings in loaded.crms.items() if settings.direction == "one_way"),
        schemas=schemas or {},
        traits={name: loaded.crm_types[type(settings)].TRAITS for name, settings in loaded.crms.items()},
        timezone=loaded.settings.timezone,
        clock_tolerance=loaded.settings.consent.clock_tolerance,
        numbers=number_reader(loaded),
        regions={name: settings.region for name, settings in loaded.providers.items()},
    )


def opt_outs(loaded: LoadedConfig) -> OptOuts:
    """The opt-outs that the mappings must deliver. Needs no secrets."""
    adapters = [(name, settings, PROVIDERS[type(settings)]) for name, settings in loaded.providers.items()]
    return OptOuts(
        samples=[sample for name, settings, adapter in adapters for sample in adapter.opt_out_samples(name, settings)],
        subscriptions=[
            subscription
            for name, settings, adapter in adapters
            for subscription in adapter.subscriptions(name, settings)
        ],
        ways_back=_ways_back(loaded),
        one_way={
            name: f"{type(settings).model_fields['direction'].alias or 'direction'}: one_way"
            for name, settings in loaded.crms.items()
        },
    )


def _ways_back(loaded: LoadedConfig) -> dict[tuple[str, str], str]:
    """The shipped files that send the opt-outs of a CRM to a provider, by their names in the config."""
    shipped = {path.name for path in shipped_mappings().rglob("*-to-*.yaml")}
    names = {
        (crm, provider): f"{crm_settings.type}-to-{settings.type}.yaml"
        for crm, crm_settings in loaded.crms.items()
        for provider, settings in loaded.providers.items()
        if PROVIDERS[type(settings)].commands(settings)
    }
    return {pair: file for pair, file in names.items() if file in shipped}


def read_mappings(loaded: LoadedConfig, schemas: Mapping[str, CrmSchema] | None = None) -> Ruleset:
    """The mappings of a config, checked against `schemas` if given. Raises ProblemsFound."""
    return load_mappings(loaded.resolve_path(loaded.settings.mappings), mapping_context(loaded, schemas))


def load_rules(loaded: LoadedConfig, schemas: Mapping[str, CrmSchema] | None = None) -> Ruleset:
    """The mappings, ready for use. Also raises ProblemsFound for mappings that would lose an opt-out."""
    rules = read_mappings(loaded, schemas)
    refuse_lost_opt_outs(rules, opt_outs(loaded))
    return rules
