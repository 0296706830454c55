import io
import json
import logging
from datetime import UTC, datetime
from typing import get_args

import pytest

from connector.telemetry.error_location import place
from connector.telemetry.fan_out import fan_out
from connector.telemetry.log_events import (
    NOT_STORED,
    Alarm,
    BatchSent,
    CallbackReceived,
    ChannelPaused,
    ChannelResumed,
    Charged,
    Cleared,
    EnricherCalled,
    FeedPolled,
    Level,
    Lifecycle,
    LogEvent,
    Planned,
    Reloaded,
    RequestRejected,
    Settled,
    WorkerFailed,
)
from connector.telemetry.logs import LibraryLog, Log, take_over_libraries
from connector.telemetry.mask import mask
from connector.telemetry.messages import level_of

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC)
EXAMPLES = [
    CallbackReceived(provider="strex", shape="message", event=7),
    CallbackReceived(provider="strex", shape="message", event=7, unreadable="not JSON"),
    RequestRejected(provider="strex", endpoint="mo", status=401, why="wrong path secret"),
    RequestRejected(provider="", endpoint="", status=404, why="no such endpoint"),
    RequestRejected(provider="strex", endpoint="mo", status=503, why="store"),
    Planned(event=7, provider="strex", state="delivering", operations=2),
    Planned(event=7, provider="strex", state="dead", operations=0, reason="missing_key"),
    Settled(event=7, sink="salesforce", state="delivered", attempts=1, seconds=0.25),
    Settled(event=7, sink="salesforce", state="dead", reason="validation"),
    BatchSent(sink="salesforce", operations=200, calls=1, seconds=0.3),
    FeedPolled(feed="salesforce.Contact", rows=3, changes=1),
    ChannelPaused(
        name="salesforce", reason="credentials", detail="sign in", seconds=15.0, calls="deliveries to salesforce"
    ),
    ChannelResumed(name="salesforce"),
    Alarm(kind="opt_out_late", about="e1", message="an opt-out waits", cure="look at the sink"),
    Cleared(kind="opt_out_late", about="e1"),
    Reloaded(accepted=True, version="abc"),
    Reloaded(accepted=False, version="abc", problems=("a.yaml:1:2: wrong (cure)", "b.yaml: wrong")),
    WorkerFailed(worker="plan", error="KeyError in plan (pipeline.py:9)", seconds=1.0),
    Charged(provider="messagecloud", charge=7, state="taken", status="DELIVERED", detail="100 NOK taken"),
    Lifecycle(message="started", details={"version": "1"}),
    EnricherCalled(provider="messagecloud", event=7, outcome="not_yet", reason="timeout"),
    Planned(event=1234567, provider="strex", state="unmatched", operations=0),
]


def written(fact, **settings):
    stream = io.StringIO()
    Log(**{"stream": stream, "form": "text", "level": "debug", "journal": False, "now": lambda: NOW} | settings)(fact)
    return stream.getvalue()


def test_there_is_an_example_of_every_fact():
    assert {type(example) for example in EXAMPLES} == set(get_args(LogEvent))


@pytest.mark.parametrize("fact", EXAMPLES, ids=lambda fact: type(fact).__name__)
def test_every_fact_is_one_line_in_every_form(fact):
    text = written(fact)
    assert text.startswith("2026-01-02T03:04:05.678Z ")
    assert text.count("\n") == 1
    line = json.loads(written(fact, form="json"))
    assert line["fact"] == type(fact).__name__
    assert line["message"]
    assert written(fact, journal=True)[:3] in {"<3>", "<4>", "<6>", "<7>"}


def test_a_line_is_a_sentence_and_its_details():
    assert written(EXAMPLES[7]).split(" ", 1)[1] == ("INFO    salesforce: delivered event=7 attempts=1 seconds=0.25\n")
    assert written(EXAMPLES[11], journal=True) == (
        '<4>pausing deliveries to salesforce for 15 s: sign-in failed reason=credentials detail="sign in" seconds=15.0\n'
    )


@pytest.mark.parametrize(("level", "lines"), [("debug", 22), ("info", 16), ("warning", 9), ("error", 6)])
def test_only_events_of_the_chosen_level_and_above_are_written(level, lines):
    assert len([fact for fact in EXAMPLES if written(fact, level=level)]) == lines


def test_the_line_of_an_unmatched_event_has_its_id_and_the_commands():
    text = written(EXAMPLES[-1], level="info")
    assert "planned: unmatched event=1234567" in text
    assert "`connector explain 1234567` says why; `connector events --state unmatched` lists all" in text
    unreadable = written(EXAMPLES[1], level="info")
    assert "`connector explain 7`; after an update `connector replay 7`" in unreadable


def test_auto_is_json_into_a_file_and_text_into_the_journal():
    assert written(EXAMPLES[0], form="auto").startswith("{")
    assert written(EXAMPLES[0], form="auto", journal=True).startswith("<7>received")


def test_a_value_cannot_begin_a_line_of_its_own():
    forged = Lifecycle(message="a\nb", details={"x": "1\n<3>forged=1"})
    assert written(forged).count("\n") == 1
    assert written(forged, form="json").count("\n") == 1


def test_a_stream_that_is_gone_stops_nothing():
    stream = io.StringIO()
    stream.close()
    Log(stream=stream, form="text", journal=False)(EXAMPLES[-1])


SPELLINGS = [
    "+4790000001",
    "4790000001",
    "004790000001",
    "90000001",
    "+47 900 00 001",
    "+47 90 00 00 01",
    "900 00 001",
    "90 00 00 01",
    "%2B4790000001",
    "%2b4790000001",
    "%252B4790000001",
    "+47%20900%2000001",
    "+1 (212) 555-1212",
    "+1-212-555-1212",
    "\uff14\uff17\uff19\uff10\uff10\uff10\uff10\uff10\uff10\uff11",
    "123456",
]


@pytest.mark.parametrize("number", SPELLINGS)
@pytest.mark.parametrize("around", ["{}", "x{}", "{}x", "phone={}&a=1", "('{}',)", "/hooks/{}/x", "a-{}-b"])
def test_a_number_never_reaches_a_line(number, around):
    text = around.format(number)
    assert not any(character.isdigit() for character in mask(text).replace("&a=1", ""))
    assert number not in written(Lifecycle(message=text, details={"detail": text}))
    assert number not in written(Lifecycle(message=text, details={"detail": text}), form="json")


@pytest.mark.parametrize(
    "text",
    [
        "strex-mo-00568c6b-7baf-4869-b083-d22afc163059",
        "strex-00112233445566778899001122334455",
        "http://127.0.0.1:8080",
        "2026-01-02T03:04:05.678Z",
        "pipeline.py:120",
        "HTTP 503",
        "2002",
        "26112",
    ],
)
def test_what_is_no_number_is_kept(text):
    assert mask(text) == text


def test_an_error_is_reported_by_type_and_place():
    with pytest.raises(TypeError) as caught:
        mask(None)
    assert place(caught.value).startswith("TypeError in mask (mask.py:")
    assert place(ValueError("+4790000001")) == "ValueError"


@pytest.fixture
def libraries():
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    take_over_libraries(Log(stream=stream, form="text", journal=False, now=lambda: NOW))
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


def test_libraries_speak_through_the_log_and_quote_nobody(libraries):
    try:
        int("bad bytes +4790000001 here")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error handling request from +4790000002 %s", "secret-bytes")
        logging.getLogger("some.library").exception("it broke for %s", "+4790000003")
    logging.getLogger("some.library").info("chatter")
    server, library = libraries.getvalue().splitlines()
    assert "aiohttp.server: error in" in server
    assert "WARNING" in server
    assert "secret-bytes" not in server
    assert "some.library: it broke for …" in library
    assert "ERROR" in library
    assert 'error="ValueError in' in library
    assert "bad bytes" not in libraries.getvalue()


def test_a_record_that_cannot_be_formatted_is_still_a_line():
    stream = io.StringIO()
    handler = LibraryLog(Log(stream=stream, form="text", journal=False))
    handler.emit(logging.LogRecord("some.library", logging.WARNING, "", 0, "%d items", ("many",), None))
    assert "some.library: %d items" in stream.getvalue()


def test_a_fact_goes_to_all_who_listen():
    one, two = [], []
    fan_out(one.append, two.append)(EXAMPLES[0])
    assert one == two == [EXAMPLES[0]]


def test_a_listener_that_raises_hinders_neither_the_others_nor_the_work(capsys):
    def broken(_):
        raise ValueError("+4790000001")

    on_reply = []
    fan_out(broken, on_reply.append)(EXAMPLES[0])
    assert on_reply == [EXAMPLES[0]]
    assert "ValueError" in capsys.readouterr().err


def test_a_callback_that_was_not_stored_has_no_line_of_its_own_because_an_alarm_says_why():
    assert level_of(RequestRejected(provider="strex", endpoint="mo", status=503, why=NOT_STORED)) is Level.DEBUG


def test_levels_are_the_models():
    for level in Level:
        Log(stream=io.StringIO(), level=level.value)
