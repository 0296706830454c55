"""The settings of recurring charges: what is accepted, and what is refused before anybody is charged."""

import pytest
from pydantic import ValidationError

from connector.providers.messagecloud.charges import charge_rules
from connector.providers.messagecloud.settings import MessageCloudSettings


def settings(recurring, price=100, **charges):
    offer = {"service_id": "s-1", "short_number": "2172", "keyword": "KATT", "price": price, "recurring": recurring}
    pages = {"thank_you": "https://example.org/a", "cancelled": "https://example.org/b"}
    given = {
        "path_secrets": [{"env": "X"}],
        "api": {"campaign_name": "c", "key": {"env": "K"}},
        "offers": {"katt": offer | pages},
    }
    return MessageCloudSettings.model_validate(given | {"charges": charges})


@pytest.mark.parametrize(
    ("recurring", "more"),
    [
        ({}, {}),
        ({"day": 1}, {}),
        ({"day": 28}, {}),
        ({"day": "anniversary"}, {}),
        ({"amount": 1000}, {}),
        ({"amount": 70}, {"price": 2000}),
        ({"amount": 70}, {"price": 99.5}),
        ({}, {"price": "100.00"}),
        ({"retry": {"NO_CREDIT": ["1d", "21d"], "FAILED": []}}, {}),
        ({}, {"timezone": "America/St_Johns"}),
        ({}, {"hours": {"from": "00:00", "to": "23:59"}}),
        ({}, {"late": "21d", "ask_until": "30d"}),
    ],
    ids=range(12),
)
def test_valid_charge_settings_are_accepted(recurring, more):
    rules = charge_rules(settings(recurring, **more))
    assert list(rules.offers) == ["s-1"]


@pytest.mark.parametrize(
    ("recurring", "more", "why"),
    [
        ({"day": 0}, {}, "greater than or equal to 1"),
        ({"day": 29}, {}, "less than or equal to 28"),
        ({"day": "first"}, {}, "anniversary"),
        ({"day": 1.5}, {}, "valid integer"),
        ({"amount": 0}, {}, "greater than or equal to 1"),
        ({"amount": -5}, {}, "greater than or equal to 1"),
        ({"amount": 99.5}, {}, "valid integer"),
        ({"amount": 1001}, {}, "`amount` is more than `charges: max_amount`"),
        ({}, {"price": 1001}, "`price` is more than `charges: max_amount`"),
        ({"amount": 50}, {"max_amount": 49}, "`amount` is more than"),
        ({}, {"price": 99.5}, "`price` is not a whole amount"),
        ({"retry": {"NO_CREDIT": ["1h"]}}, {}, "timedelta"),
        ({"retry": {"NO_CREDIT": ["22d"]}}, {}, "timedelta"),
        ({"retry": {"REJECTED": ["1d"]}}, {}, "NO_CREDIT"),
        ({"stop_after": 0}, {}, "greater than or equal to 1"),
        ({"every": "week"}, {}, "month"),
        ({}, {"hours": {"from": "20:00", "to": "09:00"}}, "end before they begin"),
        ({}, {"hours": {"from": "09:00", "to": "24:00"}}, "time of day"),
        ({}, {"timezone": "Europe"}, "not a time zone"),
        ({}, {"timezone": ""}, "not a time zone"),
        ({}, {"timezone": "Oslo"}, "not a time zone"),
        ({}, {"timezone": "x" * 5000}, "not a time zone"),
        ({}, {"timezone": "../../etc/passwd"}, "not a time zone"),
        ({}, {"max_amount": 0}, "greater than or equal to 1"),
        ({}, {"late": "22d"}, "timedelta"),
        ({}, {"ask_until": "1m"}, "timedelta"),
        ({}, {"max_charges_per_run": 0}, "greater than or equal to 1"),
        (None, {"enabled": True}, "nobody can be charged"),
    ],
    ids=range(28),
)
def test_invalid_charge_settings_are_refused_with_a_cure(recurring, more, why):
    with pytest.raises(ValidationError, match=why):
        settings(recurring, **more)
