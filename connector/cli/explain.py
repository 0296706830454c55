"""`connector explain`: shows an event, a file or a person in plain words."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from connector.cli.capture import capture_test
from connector.cli.client import ask
from connector.cli.exit_codes import Misused
from connector.cli.explain_view import show_event, show_person
from connector.cli.render import Paper, answer, as_json, revealing
from connector.cli.setup import Setup, load_rules
from connector.model.errors import ConnectorError, Unreadable

LARGEST = 16 * 1024 * 1024  # bytes; providers' bodies are much smaller


@click.command()
@click.argument("what")
@click.option(
    "--endpoint",
    "--door",
    help="WHAT is a file with a body (or an address with its query) as a provider sends it to this endpoint, such as strex/dlr.",
)
@click.option(
    "--as-test", is_flag=True, help="Write the event as a test into its mapping file, with personal data replaced."
)
@click.option("--file", "test_file", help="With --as-test: the mapping file, where several have a rule for the event.")
@revealing
@as_json
@click.pass_context
def explain(
    ctx: click.Context,
    *,
    what: str,
    endpoint: str | None,
    as_test: bool,
    test_file: str | None,
    reveal: bool,
    as_json: bool,
) -> None:
    """Explain WHAT: an event by its number or key, a phone number in any form, or with --endpoint a file.

    An event is planned again by the present mappings, with what was known before it; nothing is stored or sent. A phone number
    shows all that is known of the person, in order, and what each event wrote.
    """
    setup: Setup = ctx.obj
    if as_test:
        if endpoint is not None:
            raise Misused("--as-test takes a stored event, by its number or key")
        answer(capture_test(setup, what, test_file), _show_test, json_wanted=as_json)
    elif endpoint is not None:
        document = explain_file(setup, Path(what), endpoint, reveal=reveal)
        answer(document, _show_file, json_wanted=as_json)
    else:
        if Path(what).is_file():
            raise Misused(f"{what} is a file: name its endpoint with --endpoint, as in --endpoint strex/dlr")
        reply = ask(setup, "explain", {"what": what, "reveal": reveal})
        answer(reply, show_person if "history" in reply else show_event, json_wanted=as_json)


def explain_file(setup: Setup, path: Path, endpoint_name: str, *, reveal: bool) -> dict[str, Any]:
    """Explain a body without storing anything. The endpoint's authentication is skipped, and no secret is needed."""
    from connector.admin.explain import explain_unstored  # noqa: PLC0415 - the same.
    from connector.admin.parse_stored import find_endpoint, providers_without_secrets, read_example  # noqa: PLC0415 - see the package's docstring.
    from connector.model.event import Event  # noqa: PLC0415 - the same.

    loaded = setup.config()
    providers = providers_without_secrets(loaded)
    try:
        endpoint = find_endpoint(providers, endpoint_name)
        with path.open("rb") as stream:
            body = stream.read(LARGEST)
    except ConnectorError as error:
        raise Misused(str(error)) from error
    except OSError as error:
        raise Misused(f"cannot read {path}: {error.strerror}") from error
    try:
        parts = read_example(endpoint, body, datetime.now(UTC))
    except Unreadable as unreadable:
        raise ConnectorError(
            f"{endpoint_name} cannot read {path}: {unreadable.why}. "
            "Such a callback would be stored as received, and answered with success"
        ) from unreadable
    rules = load_rules(loaded)
    configured = [one for provider in providers.values() for one in provider.subscriptions]
    events = [one if isinstance(one, Event) else one.event for one in parts]
    return {
        "events": [explain_unstored(event, rules, configured, reveal=reveal) for event in events if event is not None],
        "unreadable": [one.why for one in parts if not isinstance(one, Event) and one.event is None],
    }


def _show_test(paper: Paper, document: dict[str, Any]) -> None:
    paper.line(f"{document['file']} has a new test, which passes: {document['test']['name']}")
    paper.line("look it over: numbers, names, texts and ids were replaced")


def _show_file(paper: Paper, document: dict[str, Any]) -> None:
    for one in document["events"]:
        show_event(paper, one)
    for why in document["unreadable"]:
        paper.line(f"a part of it cannot be read, and would be stored as received: {why}", style="yellow")
