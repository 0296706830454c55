"""Plans every kind of opt-out by the mappings before they are used, and reports rules that would lose one.

A STOP of a donor must set the flag in the CRM, and a flag that is set in the CRM must end the donor's subscriptions. Both
are checked with the function that plans real events.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from connector.mapping.apply import first_match
from connector.mapping.compile.items import CommandItem, WriteItem
from connector.mapping.compile.ruleset import CompiledFile, CompiledRule, FeedPlan, Ruleset
from connector.mapping.compile.sources import CHANGE
from connector.mapping.language.paths import Reading
from connector.mapping.values.values import fold
from connector.model.consent import Decision, LedgerEntry, Phase, Scope, Subscription
from connector.model.consent_fields import ConsentFields
from connector.model.event import Event, Verdict
from connector.model.operation import ENDING, ID_FIELD, RecordWrite
from connector.model.phone import Phone
from connector.model.plan import Known, Plan
from connector.model.problem import Position, Problem, ProblemsFound, Severity
from connector.model.states import EventState
from connector.pipeline.planning import plan
from connector.providers.samples import WHEN, OptOutSample

OTHER_FIELD = "or correct the name in `consent_fields:` of the config, if it is another one"
CODE = "opt-out-lost"
EVERYWHERE = "mappings"  # the place of a problem that belongs to no single file
BOTH = 2  # with this many kinds of opt-outs lost by one rule, both are named
PERSON = Phone("+4790000001")
RECORD_ID = "003000000000001AAA"
READ_OF_RECORD = re.compile(r"record\.(\w+)")

RuleTest = Callable[[CompiledRule], bool]  # whether a rule is meant for the opt-out
# A file that sees an event, and its first rule that matches.
FollowedRule = tuple[CompiledFile, CompiledRule | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptOuts:
    """The opt-outs that may arrive, by the config."""

    samples: Sequence[OptOutSample] = ()  # of all configured providers
    subscriptions: Sequence[Subscription] = ()  # `subscriptions:` of all of them
    # CRM and provider → the shipped file that ends the provider's subscriptions after an opt-out in the CRM.
    ways_back: Mapping[tuple[str, str], str] = field(default_factory=dict)
    one_way: Mapping[str, str] = field(default_factory=dict)  # CRM → its setting for opt-outs that are sent nowhere


def refuse_lost_opt_outs(rules: Ruleset, opt_outs: OptOuts) -> None:
    """Raises ProblemsFound with the opt-outs that the mappings would lose."""
    problems = lost_opt_outs(rules, opt_outs)
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise ProblemsFound(problems)


def lost_opt_outs(rules: Ruleset, opt_outs: OptOuts) -> list[Problem]:
    """One problem for each rule or file that would lose opt-outs.

    An opt-out in a CRM that reaches only some providers is a warning. If a subscription is active at another one, an alarm
    is raised when it happens.
    """
    found: dict[tuple[str, Position | None, str], list[tuple[str, Problem]]] = {}
    for sample in opt_outs.samples:
        problem = _lost_at_provider(sample, rules, opt_outs)
        if problem is not None:
            place = (problem.file, problem.position, sample.event.source)
            found.setdefault(place, []).append((sample.name, problem))
    described = [_of_several(several) for several in found.values()]
    return [*described, *_lost_in_crms(rules, opt_outs)]


def _of_several(several: Sequence[tuple[str, Problem]]) -> Problem:
    """The first problem. If one rule loses several kinds of opt-outs, it says how many."""
    names = list(dict.fromkeys(name for name, _ in several))
    name, first = several[0]
    if len(names) == 1:
        return first
    more = f"{name} and {names[1]}" if len(names) == BOTH else f"{name} and {len(names) - 1} other kinds of opt-outs"
    return replace(first, message=first.message.replace(name, more, 1))


def _lost_at_provider(sample: OptOutSample, rules: Ruleset, opt_outs: OptOuts) -> Problem | None:
    """The problem if the mappings would lose this opt-out of a person without other subscriptions."""
    event, context = sample.event, rules.context
    event_plan = plan(event, rules, Known(configured=tuple(opt_outs.subscriptions)))
    flags = bool(rules.flags)
    if flags and not event_plan.not_reached:
        return None
    is_meant = _sets_flag if flags else _has_opt_out_verdict
    followed = _followed(event, rules)
    meant = [rule for _, rule in followed if rule is not None and is_meant(rule)]
    if (
        not flags
        and _writes_something(event_plan)
        and (meant or not any(_candidates(file, is_meant) for file, _ in followed))
    ):
        return None
    if meant and _depends_on_real_values(event_plan):
        return None
    effect = "would not set the opt-out flag" if flags else "would be lost"
    return _lost_to_rule(sample.name, effect, event, followed, is_meant, fields=_flags(context.consent_fields))


def _lost_in_crms(rules: Ruleset, opt_outs: OptOuts) -> Iterator[Problem]:
    """The opt-outs made in a CRM that would end no subscription."""
    context = rules.context
    providers = [name for name, commands in context.commands.items() if not ENDING.isdisjoint(commands)]
    for crm in context.crms:
        if crm in context.one_way or not providers:
            continue
        declared = context.consent_fields.get(crm, {})
        if not declared:
            yield from _without_flag_setting(crm, providers, rules, opt_outs)
        for object_name, consent in declared.items():
            yield from _lost_in_object(crm, object_name, consent, providers, rules, opt_outs)


def _without_flag_setting(crm: str, providers: Sequence[str], rules: Ruleset, opt_outs: OptOuts) -> Iterator[Problem]:
    """The problem of a CRM without a flag in the config, unless a rule ends subscriptions."""
    for provider in providers:
        is_meant = _ends_at(provider)
        if not any(_candidates(file, is_meant) for file in rules.files if f"{crm}.{CHANGE}" in file.sources):
            message = (
                f"an opt-out that is made in {crm} would not be sent to {provider}: no `consent_fields` name its flag"
            )
            cure = f"name them in the config and {_copy_cure(crm, provider, opt_outs)}; {_one_way_cure(crm, opt_outs)}"
            yield Problem(file=EVERYWHERE, position=None, code=CODE, message=message, hint=cure)


def _lost_in_object(
    crm: str, object_name: str, consent: ConsentFields, providers: Sequence[str], rules: Ruleset, opt_outs: OptOuts
) -> Iterator[Problem]:
    flag = f"{object_name}.{consent.flag}"
    if consent.phone is None:
        return  # without a phone field in the config such a record belongs to nobody
    feed = next(
        (watched for name, watched in rules.feeds.get(crm, {}).items() if fold(name) == fold(object_name)), None
    )
    read = {fold(name): name for name in feed.fields} if feed else {}
    lacking = [name for name in (consent.flag, consent.phone) if fold(name) not in read]
    effect = f"would not be sent to {' or '.join(providers)}"
    name = f"an opt-out that is made in {crm} ({flag})"
    if feed is None:
        copies = [_copy_cure(crm, provider, opt_outs, watching=object_name) for provider in providers]
        cure = f"{'; '.join(copies)}; {OTHER_FIELD}; {_one_way_cure(crm, opt_outs)}"
        message = f"{name} {effect}: no file watches {object_name}"
        yield Problem(file=EVERYWHERE, position=None, code=CODE, message=message, hint=cure)
        return
    if lacking:
        file = next(file for file in rules.files if file.feed and fold(file.feed.object) == fold(object_name))
        message = f"{name} {effect}: the feed does not read {' and '.join(lacking)}"
        cure = f"add {', '.join(lacking)} to `feed: fields`; {OTHER_FIELD}; {_one_way_cure(crm, opt_outs)}"
        yield Problem(file=file.name, position=None, code=CODE, message=message, hint=cure)
        return
    event = _set_in_crm(crm, object_name, consent, feed, rules)
    ledger = tuple(
        _opt_in_entry(number, subscription)
        for number, subscription in enumerate(_one_subscription_each(providers, opt_outs), 1)
    )
    event_plan = plan(event, rules, Known(ledger=ledger, configured=tuple(opt_outs.subscriptions)))
    followed = _followed(event, rules)
    for provider in event_plan.not_reached:
        is_meant = _ends_at(provider)
        if any(rule is not None and is_meant(rule) for _, rule in followed) and _depends_on_real_values(event_plan):
            continue
        problem = _lost_to_rule(name, f"would not be sent to {provider}", event, followed, is_meant, fields=())
        copy = _copy_cure(crm, provider, opt_outs)
        cure = f"{copy}, or fix the rule; {_one_way_cure(crm, opt_outs)}"
        if len(event_plan.not_reached) < len(providers):
            yield replace(problem, hint=copy, severity=Severity.WARNING)
        else:
            yield problem if problem.position else replace(problem, hint=cure)


def _set_in_crm(crm: str, object_name: str, consent: ConsentFields, feed: FeedPlan, rules: Ruleset) -> Event:
    """The change by which a person sets the flag of a record with a number."""
    commands = [
        item for file in rules.files for rule in file.rules for item in rule.items if isinstance(item, CommandItem)
    ]
    numbers = {fold(name) for item in commands for name in READ_OF_RECORD.findall(item.phone.source)}
    numbers.add(fold(consent.phone or ""))
    record = {name: PERSON.e164 if fold(name) in numbers else None for name in feed.fields}
    flag = next(name for name in feed.fields if fold(name) == fold(consent.flag))
    record[flag] = consent.opted_out
    return Event(
        key="sample",
        provider=crm,
        shape=CHANGE,
        action=CHANGE,
        verdict=Verdict.OPT_OUT,
        received_at=WHEN,
        occurred_at=WHEN,
        msisdn=PERSON,
        object=object_name,
        record={ID_FIELD: RECORD_ID, **record},
        changed=(flag,),
    )


def _one_subscription_each(providers: Sequence[str], opt_outs: OptOuts) -> Iterator[Subscription]:
    """A subscription of each provider: a configured one, else any."""
    for provider in providers:
        configured = (subscription for subscription in opt_outs.subscriptions if subscription.provider == provider)
        yield next(configured, Subscription(provider=provider, short_number="2002", keyword="KEYWORD"))


def _opt_in_entry(number: int, subscription: Subscription) -> LedgerEntry:
    decision = Decision(
        phone=PERSON,
        word=Verdict.OPT_IN,
        scope=Scope.SUBSCRIPTION,
        subscription=subscription,
        origin=subscription.provider,
        occurred_at=None,
    )
    return LedgerEntry(
        id=number, event_id=number, event_key="sample", phase=Phase.DECIDED, decision=decision, recorded_at=WHEN
    )


def _followed(event: Event, rules: Ruleset) -> list[FollowedRule]:
    """The files for the event, and the first matching rule of each."""
    reading, changed = _read(event)
    return [(file, first_match(file, reading, changed)) for file in rules.files_for(event)]


def _read(event: Event) -> tuple[Reading, frozenset[str] | None]:
    consent = {"remaining": 0, "verdict": Verdict.OPT_OUT.value, "scope": ""}
    return Reading(event, consent), frozenset(map(fold, event.changed)) if event.shape == CHANGE else None


def _candidates(file: CompiledFile, is_meant: RuleTest) -> list[CompiledRule]:
    return [rule for rule in file.rules if is_meant(rule)]


def _sets_flag(rule: CompiledRule) -> bool:
    return (
        any(isinstance(item, WriteItem) and item.flag is not None for item in rule.items) and rule.consent != "opt_in"
    )


def _has_opt_out_verdict(rule: CompiledRule) -> bool:
    return rule.consent == Verdict.OPT_OUT


def _ends_at(provider: str) -> RuleTest:
    return lambda rule: any(
        isinstance(item, CommandItem) and item.sink == provider and item.action in ENDING for item in rule.items
    )


def _writes_something(event_plan: Plan) -> bool:
    return any(isinstance(operation, RecordWrite) for operation in event_plan.operations)


def _depends_on_real_values(event_plan: Plan) -> bool:
    """Whether only a value is missing that real events may have, because no sample has all properties."""
    return event_plan.state is EventState.DEAD or bool(event_plan.unplanned)


def _lost_to_rule(
    name: str,
    effect: str,
    event: Event,
    followed: Sequence[FollowedRule],
    is_meant: RuleTest,
    *,
    fields: Sequence[str],
) -> Problem:
    """The problem of an opt-out that another rule takes, or none, with the cure."""
    if not followed:
        message = f"{name} {effect}: no file sees {event.source}"
        cure = f"copy a shipped file with `on: {event.source}`, or give one of yours a rule for it"
        return Problem(file=EVERYWHERE, position=None, code=CODE, message=message, hint=cure)

    # Name a file that has a rule for opt-outs; otherwise one with a matching rule.
    def meant(rule: CompiledRule) -> bool:
        return is_meant(rule) or _has_opt_out_verdict(rule)

    in_order = sorted(followed, key=lambda found: (not _candidates(found[0], meant), found[1] is None))
    file, rule = in_order[0]
    candidates = _candidates(file, is_meant) or _candidates(file, meant)
    if rule is not None and meant(rule):
        return _problem(
            file, rule.line, f"{name} {effect}: the rule `{rule.name}` takes it", _why_without_effect(rule, fields)
        )
    why = "; ".join(
        f"`{candidate.name}` in line {candidate.line}: {_why_not(file, candidate, rule, event)}"
        for candidate in candidates[:2]
    )
    cure = (
        f"fix the rule that is meant for it: {why}"
        if candidates
        else "add a rule for it before this one, with `when: {verdict: opt_out}`"
    )
    takes_it = (
        "no rule of this file takes it" if rule is None else f"the rule `{rule.name}` takes it in line {rule.line}"
    )
    line = rule.line if rule is not None else 1
    problem = _problem(file, line, f"{name} {effect}: {takes_it}", cure)
    return replace(problem, position=candidates[0].when_at) if candidates else problem


def _why_not(file: CompiledFile, meant: CompiledRule, followed: CompiledRule | None, event: Event) -> str:
    """Why the rule that is meant for the opt-out was not followed."""
    if followed is not None and file.rules.index(followed) < file.rules.index(meant):
        return f"it comes after `{followed.name}`, so move it up"
    reading, changed = _read(event)
    when = meant.when
    if when is None:
        return "it takes all events"
    if changed is not None and when.record_fields and not when.record_fields & changed:
        return "it does not look at the flag"
    return when.why(reading)


def _why_without_effect(rule: CompiledRule, fields: Sequence[str]) -> str:
    """Why the rule that is meant for the opt-out lacks the effect that it should have."""
    writes = [item for item in rule.items if isinstance(item, WriteItem) and item.flag is not None]
    for item in writes:
        if item.flag not in {value.name for value in item.set}:
            return f"`{item.flag}` is only under `create:`, so that a known record keeps its own: write it under `set:`"
    if writes:
        out = writes[0].opted_out
        return f"under `set:` write {writes[0].flag}: {out}, without a `when:` or `if_missing: skip` that leaves it out"
    if fields:
        return f"add {' or '.join(fields)} under `set:`, with the value that means opted out; {OTHER_FIELD}"
    return "add the command that ends the subscription, without a `when:` or `if_missing: skip` that leaves it out"


def _problem(file: CompiledFile, line: int, message: str, hint: str) -> Problem:
    return Problem(file=file.name, position=Position(line, 1), code=CODE, message=message, hint=hint)


def _flags(consent_fields: Mapping[str, Mapping[str, ConsentFields]]) -> list[str]:
    return [fields.flag for objects in consent_fields.values() for fields in objects.values()]


def _copy_cure(crm: str, provider: str, opt_outs: OptOuts, *, watching: str = "") -> str:
    file = opt_outs.ways_back.get((crm, provider))
    if file is None:
        return f"add a rule with `command:` to {provider}"
    return f"copy the shipped {file} into your mappings" + (
        f", with `object: {watching}` under `feed:`" if watching else ""
    )


def _one_way_cure(crm: str, opt_outs: OptOuts) -> str:
    setting = opt_outs.one_way.get(crm, "direction: one_way")
    return f"or, where nobody opts a donor out in {crm}, write `{setting}` under `crm: {crm}:` in the config"
