from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from jinja2 import UndefinedError

from connector.web.console.charts import Box, bars, flow
from connector.web.console.render import age, donor, environment, local_time, masked, number, prose


def test_templates_escape_all_values_and_need_each_of_them():
    made = environment()
    assert made.from_string("{{ text }}").render(text="<b>") == "&lt;b&gt;"
    with pytest.raises(UndefinedError):
        made.from_string("{{ nothing }}").render()


def test_foreign_text_is_isolated_and_truncated():
    assert donor("<i>\u202e") == '<bdi class="donor">&lt;i&gt;\u202e</bdi>'
    assert donor("W" * 501) == f'<bdi class="donor">{"W" * 500}…</bdi>'
    assert donor(None) == '<bdi class="donor"></bdi>'


def test_commands_in_a_cure_are_code():
    assert prose("run `connector <b>` now") == '<bdi class="donor">run <code>connector &lt;b&gt;</code> now</bdi>'
    assert prose("a ` b") == '<bdi class="donor">a ` b</bdi>'
    assert prose("`a` b", 4) == '<bdi class="donor"><code>a</code> …</bdi>'


@pytest.mark.parametrize(
    ("state", "css"),
    [("dead", "bad"), ("unreadable", "bad"), ("unmatched", "warn"), ("delivered", "good"), ("pending", "quiet")],
)
def test_each_state_has_its_color(state, css):
    assert environment().from_string("{{ state|state_class }}").render(state=state) == css


def test_a_time_is_in_the_zone_of_the_config():
    summer = datetime(2026, 7, 1, 12, 0, 5, tzinfo=UTC)
    shown = local_time(summer, ZoneInfo("Europe/Oslo"))
    assert '<time datetime="2026-07-01T14:00:05+02:00"' in shown
    assert ">2026-07-01 14:00<" in shown
    assert local_time("2026-11-28T12:00:00Z", ZoneInfo("UTC")) == local_time(
        datetime(2026, 11, 28, 12, tzinfo=UTC), ZoneInfo("UTC")
    )
    assert local_time(None, ZoneInfo("UTC")) == "&ndash;"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "\u2013"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (7200, "2 h"), (3 * 86400, "3 d")],
)
def test_an_age_is_in_its_largest_unit(seconds, words):
    assert age(seconds) == words


def test_numbers_are_grouped_and_phone_numbers_masked():
    assert number(1234567) == "1\u202f234\u202f567"
    assert "0000" not in masked("+4790000001")
    assert masked(None) == "\u2013"


def test_bars_are_proportional_and_none_is_invisible():
    drawn = bars([("00:00", 0, "a"), ("01:00", 1, "b"), ("02:00", 1000, "c")], every=2)
    assert [bar.height for bar in drawn.bars] == [0.0, 2.0, 110.0]
    assert [label for _, label in drawn.labels] == ["00:00", "02:00"]
    assert drawn.most == 1000
    assert bars([], every=2).bars == []


def test_the_flow_diagram_connects_neighbouring_columns():
    def box(name):
        return Box(name=name, text="")

    drawn = flow([box("a"), box("b")], box("in"), box("out"), [box("c"), box("d"), box("e")])
    assert len(drawn.lines) == 2 + 1 + 3
    assert len({(one.x, one.y) for one in drawn.boxes}) == 7
    assert all(0 <= one.x <= drawn.width - 170 and 0 <= one.y <= drawn.height - 52 for one in drawn.boxes)
