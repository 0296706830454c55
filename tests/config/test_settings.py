from datetime import timedelta
from typing import Annotated, Literal

import pytest
from pydantic import Field

from connector.config.settings import MIB, config_model, entries
from connector.config.time_of_day import hour_and_minute
from connector.config.validation import Strict, load, schema
from connector.config.yaml_document import parse
from connector.model.problem import ProblemsFound


class Strex(Strict):
    type: Literal["strex"] = "strex"
    open: bool = False


class Other(Strict):
    type: Literal["other"] = "other"


class Salesforce(Strict):
    type: Literal["salesforce"] = "salesforce"
    url: str


CONFIG = config_model(Annotated[Strex | Other, Field(discriminator="type")], Salesforce, Other)
MIN_DIGITS = "providers: {strex: {open: true}}\ncrm: {salesforce: {url: x}}\n"


def problems(text: str) -> list[str]:
    with pytest.raises(ProblemsFound) as caught:
        load(parse(text, "c.yaml"), CONFIG)
    return [str(problem) for problem in caught.value.problems]


def test_the_smallest_config_has_the_documented_defaults():
    made = load(parse(MIN_DIGITS, "c.yaml"), CONFIG)
    assert made.store.retention.delivered == timedelta(days=90)
    assert made.store.ballast == 64 * MIB
    assert made.listen.body_limit == 64 * 1024
    assert made.admin.host == "127.0.0.1"
    assert made.consent.people_per_poll == 50
    assert made.consent.deadline == timedelta(minutes=5)
    assert made.timezone == "UTC"
    assert made.mappings == "mappings"


def test_the_old_name_of_max_people_per_poll_works_but_not_beside_the_new_name():
    made = load(parse(MIN_DIGITS + "consent: {max_commands_per_poll: 7}", "c.yaml"), CONFIG)
    assert made.consent.people_per_poll == 7
    assert load(parse(MIN_DIGITS + "consent: {max_people_per_poll: 8}", "c.yaml"), CONFIG).consent.people_per_poll == 8
    both = MIN_DIGITS + "consent: {max_people_per_poll: 8, max_commands_per_poll: 7}"
    (problem,) = problems(both)
    assert "write max_people_per_poll: alone" in problem


def test_the_type_of_an_entry_is_its_name_unless_it_has_a_type_key():
    made = load(parse("providers: {strex: , north: {type: strex}}\ncrm: {salesforce: {url: x}}", "c.yaml"), CONFIG)
    providers, crms, _ = entries(made)
    assert providers == {"strex": Strex(), "north": Strex()}
    assert list(crms) == ["salesforce"]


def test_a_name_that_is_no_type_asks_for_one():
    assert problems("providers: {north: {open: true}}\ncrm: {salesforce: {url: x}}") == [
        "c.yaml:1:13: `north` is not a known type (write `type:` and one of strex, other)"
    ]


def test_unknown_keys_of_an_entry_are_reported_with_the_keys_of_its_type():
    assert problems("providers: {strex: {opne: true}}\ncrm: {salesforce: {url: x}}") == [
        "c.yaml:1:21: unknown key `opne` (did you mean `open`?)"
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("timezone: Europe/Olso", "this is not a time zone"),
        ("timezone: ../../etc/passwd", "this is not a time zone"),
        ("timezone: ''", "this is not a time zone"),
        ("default_region: no", "did you mean `NO`?"),
        ("admin: {host: 0.0.0.0}", "reachable from outside"),
        ("listen: {public_url: sms.example.org}", "write it like https://"),
        ("listen: {trusted_proxies: [proxy]}", "not an address or network"),
        ("listen: {port: 70000}", "must be at most 65535"),
        ("store: {retention: {delivered: 1d}}", "must be at least"),
        ("logs: {level: verbose}", "`verbose` is not known here"),
        ("lisen: {}", "did you mean `listen`?"),
    ],
)
def test_invalid_settings_are_reported_with_a_cure(line, words):
    (problem,) = problems(MIN_DIGITS + line)
    assert problem.startswith("c.yaml:3:")
    assert words in problem


def test_a_name_that_could_not_stand_in_an_address_is_refused():
    assert (
        "does not have the expected form"
        in problems('providers: {"a/b": {type: strex}}\ncrm: {salesforce: {url: x}}')[0]
    )


def test_the_schema_describes_every_key():
    made = schema(CONFIG, title="Config")
    assert {"providers", "crm", "store", "listen", "admin", "logs", "consent", "timezone"} <= set(made["properties"])
    assert all("description" in part or "allOf" in part for part in made["properties"].values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("admin: {port: 8080}\n", "1:8: port 8080 is that of `listen:` too"),
        ("listen: {port: 9000, host: 0.0.0.0}\nadmin: {port: 9000}\n", "2:8: port 9000 is that of `listen:` too"),
    ],
)
def test_one_port_for_both_listeners_is_refused(text, said):
    (found,) = problems(text + MIN_DIGITS)
    assert said in found
    assert load(parse("listen: {port: 0}\nadmin: {port: 0}\n" + MIN_DIGITS, "c.yaml"), CONFIG)


def test_a_provider_in_capitals_is_reported_once_with_its_small_name():
    (found,) = problems("providers: {North: {type: strex}, Strex: {open: true}}\ncrm: {salesforce: {url: x}}")[1:]
    assert "`Strex` does not have the expected form (use small letters, digits and _, such as strex" in found


@pytest.mark.parametrize("written", ["23:05", "'23:05'", '"23:05"'])
def test_a_time_of_day_may_be_quoted_or_not(written):
    made = load(parse(f"{MIN_DIGITS}reconcile: {{at: {written}}}\n", "c.yaml"), CONFIG)
    assert (made.reconcile.enabled, hour_and_minute(made.reconcile.at)) == (True, (23, 5))


@pytest.mark.parametrize("written", ["2:43", "24:00", "12:60", "noon", "'12:30 '"])
def test_an_invalid_time_of_day_is_reported_with_the_cure(written):
    (problem,) = problems(f"{MIN_DIGITS}reconcile: {{at: {written}}}\n")
    assert "c.yaml:3:" in problem
    assert "write hours and minutes, such as 02:43" in problem
