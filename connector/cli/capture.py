"""Writes a stored event as a test into a mapping file: `connector explain EVENT --as-test`."""

import re
from typing import TYPE_CHECKING, Any

from connector.cli.setup import Setup, mappings_directory, open_to_read, read_rules
from connector.model.errors import ConnectorError
from connector.model.problem import ProblemsFound

if TYPE_CHECKING:
    from connector.registry import LoadedConfig

TESTS = re.compile(r"^tests:[ \t]*(?:#.*)?$", re.MULTILINE)
NEXT_KEY = re.compile(r"^[A-Za-z_]\w*:", re.MULTILINE)


def capture_test(setup: Setup, named: str, file: str | None) -> dict[str, Any]:
    """Add the test, and check that it passes. Raises ConnectorError, and the file is as it was."""
    from connector.admin.capture import capture  # noqa: PLC0415 - see the package's docstring.
    from connector.admin.context import stored_id  # noqa: PLC0415 - the same.
    from connector.pipeline.known import known_before  # noqa: PLC0415 - the same.
    from connector.pipeline.plan import with_known_number  # noqa: PLC0415 - the same.
    from connector.registry import opt_outs  # noqa: PLC0415 - the same.

    loaded = setup.config()
    store = open_to_read(loaded)
    number = stored_id(named)
    stored = store.inbox.get(named if number is None else number)
    if stored is None or stored.event is None:
        why = "there is no such event" if stored is None else f"event {stored.id} cannot be read"
        raise ConnectorError(f"{why}: see `connector events`")
    event = with_known_number(stored.event, store)
    ledger = store.consents.of(event.msisdn.e164) if event.msisdn is not None else ()
    known = known_before(store, stored.id, event, ledger, opt_outs(loaded).subscriptions)
    name, test = capture(read_rules(loaded), event, known, event_id=stored.id, file=file)
    path = mappings_directory(loaded) / name
    before = path.read_bytes()
    text = before.decode("utf-8").replace("\r\n", "\n")
    if f'name: "{test["name"]}"' in text:
        raise ConnectorError(f"{path} has the test `{test['name']}` already")
    path.write_text(_with_test(text, test), encoding="utf-8", newline="\r\n" if b"\r\n" in before else "\n")
    try:
        _check(loaded, name, test["name"])
    except (ProblemsFound, ConnectorError) as error:
        path.write_bytes(before)
        raise ConnectorError(f"the test would not pass, so {path} is as it was: {error}") from error
    return {"file": str(path), "test": test}


def _with_test(text: str, test: dict[str, Any]) -> str:
    """The text of the file with the test as the last one."""
    from connector.admin.capture import case_text  # noqa: PLC0415 - see the package's docstring.

    found = TESTS.search(text)
    if found is None:
        return f"{text.rstrip()}\n\ntests:\n{case_text(test, '  ')}"
    following = NEXT_KEY.search(text, found.end())
    end = following.start() if following else len(text)
    first = re.search(r"^( *)- ", text[found.end() : end], re.MULTILINE)
    block, rest = text[:end].rstrip(), text[end:]
    return f"{block}\n\n{case_text(test, first[1] if first else '  ')}" + (f"\n{rest}" if rest else "")


def _check(loaded: "LoadedConfig", file: str, name: str) -> None:
    from connector.pipeline.rule_tests import run_rule_tests  # noqa: PLC0415 - see the package's docstring.

    for result in run_rule_tests(read_rules(loaded).only(file)):
        if result.name == name and result.differences:
            raise ConnectorError("; ".join(result.differences))
