"""The pure parts of the Strex sandbox: retry schedule, parsing of texts, settings."""

import itertools

import pytest

from connector.sandbox.refused import RefusedError
from connector.sandbox.strex.keywords import DEFAULTS, find
from connector.sandbox.strex.schedule import Kind, waits
from connector.sandbox.strex.settings import Lookup, Settings
from connector.sandbox.strex.text_requests import Aim, TextRequest, read

HOUR = 3600


def find_on_2002(word):
    return find(DEFAULTS, "2002", word)


def test_a_report_is_retried_19_times_exponentially_longer_over_about_48_hours():
    schedule = waits(Kind.REPORT)
    assert len(schedule) == 19
    growths = [later / earlier for earlier, later in itertools.pairwise(schedule)]
    assert min(growths) > 1.2
    assert max(growths) == pytest.approx(min(growths))
    assert sum(schedule) == pytest.approx(48 * HOUR, rel=0.01)


def test_a_message_is_retried_5_times_growing():
    schedule = waits(Kind.MESSAGE)
    assert len(schedule) == 5
    assert list(schedule) == sorted(set(schedule))


@pytest.mark.parametrize(
    ("text", "aim", "keyword", "price"),
    [
        ("KATT", Aim.JOIN, "KATT", None),
        ("  katt ", Aim.JOIN, "KATT", None),
        ("cat", Aim.JOIN, "KATT", None),
        ("Katt takk", Aim.JOIN, "KATT", None),
        ("KATT STOP", Aim.LEAVE, "KATT", None),
        ("katt stopp", Aim.LEAVE, "KATT", None),
        ("STOPP HUND", Aim.LEAVE, "HUND", None),
        ("stop hund", Aim.LEAVE, "HUND", None),
        ("STOP", Aim.LEAVE_ALL, None, None),
        ("stopp", Aim.LEAVE_ALL, None, None),
        ("KATT 200", Aim.PRICE, "KATT", 200),
        ("KATT 199,50", Aim.PRICE, "KATT", 199.5),
        ("KATT 0", Aim.PRICE, "KATT", None),
        ("KATT -5", Aim.PRICE, "KATT", None),
        ("KATT 99999", Aim.PRICE, "KATT", None),
        ("KATT 12x", Aim.PRICE, "KATT", None),
        ("Hello there", Aim.OTHER, None, None),
        ("please stop", Aim.OTHER, None, None),
        ("", Aim.OTHER, None, None),
    ],
)
def test_each_text_is_read_as_its_request(text, aim, keyword, price):
    request = read(text, find_on_2002)
    assert request == TextRequest(aim=aim, keyword=find_on_2002(keyword) if keyword else None, price=price)


def test_only_an_opt_out_is_a_stop_message():
    stops = [text for text in ("KATT", "KATT STOP", "STOP", "KATT 200", "other") if read(text, find_on_2002).is_stop]
    assert stops == ["KATT STOP", "STOP"]


def test_keywords_of_another_short_number_are_not_reached():
    assert find(DEFAULTS, "2003", "KATT") is None


def test_valid_settings_are_accepted():
    changed = Settings(api_key="k").changed({"lookup": "flat", "compress": 10, "mo_url": "http://127.0.0.1:1/mo"})
    assert (changed.lookup, changed.compress, changed.mo_url) == (Lookup.FLAT, 10.0, "http://127.0.0.1:1/mo")


@pytest.mark.parametrize(
    ("given", "cure"),
    [
        ({"mo_ulr": "http://127.0.0.1/"}, "the settings are"),
        ({"mo_url": "127.0.0.1/mo"}, "mo_url"),
        ({"dlr_url": 7}, "dlr_url"),
        ({"dlr_url": "http://["}, "dlr_url"),
        ({"compress": 0}, "above 0"),
        ({"compress": "fast"}, "above 0"),
        ({"compress": float("nan")}, "above 0"),
        ({"sign": "yes"}, "true or false"),
        ({"mark": "both"}, "key, value, off"),
        ({"lookup": None}, "lookup"),
        ({"basic_auth": "nobody"}, "user:password"),
        ({"auth_form": "Bearer"}, "{key}"),
        ({"auth_header": "A\r\nB"}, "one line"),
        ({"people": {"+4790000001": 1}}, "people"),
        ({"keywords": {}}, "list"),
        ({"keywords": [{"name": "ULV"}]}, "needs name, id and service_id"),
        ({"keywords": [{"name": 5}]}, "one line"),
        ({"keywords": [{"aliases": "CAT"}]}, "list of texts"),
        ({"mo_url": "http://user:secret@127.0.0.1/"}, "basic_auth"),
    ],
)
def test_an_invalid_setting_is_refused_with_the_cure(given, cure):
    with pytest.raises(RefusedError, match=cure.replace("{", r"\{")):
        Settings(api_key="k").changed(given)
