"""What is wrong now, each with its cure, from the parts of the status: what threatens an opt-out comes first."""

from collections.abc import Iterator, Mapping
from typing import Any

# States of events that a person should look at, and the command that lists them.
LISTED = {
    "unmatched": "no rule is for them: `connector events --state unmatched` lists them; add a rule, then `connector reload` and "
    "`connector replay --state unmatched`",
    "unreadable": "they are stored as received: `connector events --state unreadable` lists them; after an update of the connector, "
    "`connector replay --state unreadable`; `connector dead discard EVENT` ends one that nobody needs",
}
NOT_RUNNING = "start it: `systemctl start connector`, or `connector run`; then see its log (`journalctl -u connector`)"


def problems(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The problems of a status document. `severity` is `error`, or `warning` for what waits for a person without harm.

    `about` is `opt_out` for a late opt-out, `mapping` for the mapping files, `events` for stored events, else blank.
    """
    return [{**one, "about": about} for part, about in PARTS for one in part(document)]


def _problem(severity: str, message: str, cure: str, since: str | None = None) -> dict[str, Any]:
    return {"severity": severity, "message": message, "cure": cure, "since": since}


def _of_the_daemon(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if not document["daemon"]["running"]:
        yield _problem("error", "the daemon does not run: no callback is stored, and nothing is sent", NOT_RUNNING)
    for fault in document["faults"]:
        yield _problem("error", fault, "see the log; systemd's watchdog restarts the process where that helps")
    if not document["balanced"]:
        yield _problem("error", "the counts of events do not add up", "please report this")


def _of_opt_outs(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for one in document["late_opt_outs"]:
        detail = f": {one['detail']}" if one["detail"] else ""
        what = "was refused by" if one["failed"] else "is not confirmed by"
        cure = f"see `connector explain {one['id']}`, which shows why and what to do"
        yield _problem("error", f"the opt-out of event {one['id']} {what} {one['sink']}{detail}", cure, one["since"])


def _of_mappings(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    mapping = document["mapping"]
    cure = "correct the files (`connector check` shows each place), then run `connector reload`"
    if mapping["refused_at"]:
        for problem in mapping["refused_for"]:
            yield _problem("error", f"mapping files are refused: {problem}", cure, mapping["refused_at"])
    elif mapping["version"] is None:
        yield _problem("error", f"the mapping files have {mapping['problems']} problems", cure)
    for one in document["stopped"]:
        field = f".{one['field']}" if one["field"] else ""
        where = f" ({one['place']})" if one["place"] else ""
        message = f"suspended: {one['rule']}{where}: {one['sink']} {one['object']}{field}: {one['detail']}"
        yield _problem("error", message, one["cure"], one["since"])


def _of_channels(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    named = [(f"deliveries to {one['sink']}", one["trouble"]) for one in document["sinks"]]
    named += [(f"polls of {one['feed']}", one["trouble"]) for one in document["feeds"]]
    for name, trouble in named:
        if trouble:
            code = f" ({trouble['code']})" if trouble["code"] else ""
            detail = f": {trouble['detail']}" if trouble["detail"] else ""
            message = f"{name} are paused: {trouble['reason']}{code}{detail}"
            yield _problem("error", message, trouble["cure"], trouble["since"])
    for one in document["calls"]:
        if one["only_opt_outs"]:
            message = f"the day's API calls to {one['crm']} are used up: only opt-outs are sent"
            yield _problem("error", message, "wait, or find out which integration uses the org's calls; see `quota:`")


def _of_alarms(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    # A late opt-out, a pause and a refused file are shown above with more detail.
    elsewhere = {"opt_out_late", "opt_out_without_rule", "mappings_refused", "mappings_missing", "mapping_stopped"}
    paused = {one["sink"] for one in document["sinks"] if one["trouble"]}
    paused |= {one["feed"] for one in document["feeds"] if one["trouble"]}
    for one in document["alarms"]:
        if one["kind"] not in elsewhere and one["about"] not in paused:
            yield _problem("error", one["message"], one["cure"], one["since"])


def _of_events(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    dead = sum(count for reason, count in document["dead"].items() if reason != "needs_person")
    if dead:
        cure = "`connector dead list` shows each cause with its cure"
        words = f"{dead} dead letters wait" if dead > 1 else "1 dead letter waits"
        yield _problem("error", f"{words} for a person", cure)
    if parked := document["dead"].get("needs_person"):
        words = f"{parked} events wait" if parked > 1 else "1 event waits"
        yield _problem("warning", f"{words} for a decision", "`connector parked list` shows each with its command")
    for state, cure in LISTED.items():
        if count := document["states"][state]:
            yield _problem("warning", f"{count} event{'s are' if count > 1 else ' is'} {state}", cure)


PARTS = (
    (_of_the_daemon, ""),
    (_of_opt_outs, "opt_out"),
    (_of_mappings, "mapping"),
    (_of_channels, ""),
    (_of_alarms, ""),
    (_of_events, "events"),
)
