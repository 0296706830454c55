"""The roles that providers and CRMs play. They do no I/O: what they need from outside, they ask for through an Exchange."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from msgspec import Struct, field

from connector.model.crm_traits import CrmTraits
from connector.model.event import Event, Part
from connector.model.http import Exchange, HttpRequest, HttpResponse
from connector.model.keyword import Keyword
from connector.model.operation import Operation
from connector.model.outcome import Outcome, Rejected, Retry
from connector.model.remembered import NOTHING, Remembered

# The CRM's fields of one record as last written by us or seen by a feed; None where nothing is known.
Shadow = Mapping[str, Any] | None


class Notice(Struct, frozen=True, kw_only=True):
    """What a CRM has sent by itself: look at this record. The same notice may come again."""

    id: str  # unique in its CRM
    object: str
    record_id: str


class AuthResult(Struct, frozen=True, kw_only=True):
    """A request that was let in. The nonce, where it has one, is stored with the event so that it counts once."""

    nonce: str | None = None
    details: Mapping[str, Any] = field(
        default_factory=dict
    )  # what the door has learned from outside while it let it in
    hint: str | None = None  # key of an event whose question may have its answer by now
    notices: tuple[Notice, ...] = ()  # of a CRM's door: they are kept until its feed has looked


class WebhookEndpoint(Protocol):
    """One address at which a provider calls us."""

    @property
    def provider(self) -> str:
        """The provider's name in the config."""

    @property
    def name(self) -> str:
        """The door's name in the URL, such as mo or dlr."""

    @property
    def methods(self) -> frozenset[str]:
        """The HTTP methods that it takes."""

    def check_head(self, head: HttpRequest) -> bool:
        """Look at a request whose body has not come yet (it is blank here): true where the caller has shown who he is.

        False is a stranger until his body has come, such as one who signs it. Raises Refused for one whom no body would let in.
        It is asked only where the body has to be waited for; admit() checks everything, the head too.
        """

    def authenticate(self, request: HttpRequest) -> Exchange[AuthResult]:
        """Authenticate the whole request; raises Refused."""

    def read(self, request: HttpRequest, auth: AuthResult) -> tuple[Event | Part, ...]:
        """The events in the request; raises Unreadable where there is none and it was no mere hint.

        A request that brings several is read part by part: one that is not understood must not lose the others.
        """

    def answer(self, request: HttpRequest, auth: AuthResult) -> HttpResponse:
        """What the caller takes for success, be the events new or known; they are stored by now."""


class Enriched(Struct, frozen=True, kw_only=True):
    """The answer to a question: the event as it is now known. Its key is that of the event that waited."""

    event: Event


class Pending(Struct, frozen=True, kw_only=True):
    """No final answer. After the deadline the event is planned as `event` tells it, or as it was where that is None."""

    event: Event | None = None
    problem: Retry | Rejected | None = None  # why asking itself did not work


class Enricher(Protocol):
    """What asks outside about events that cannot be planned before. It only reads: a question may be asked twice."""

    @property
    def provider(self) -> str:
        """The name in the config of the provider whose events it is for."""

    @property
    def first(self) -> timedelta:
        """The pause between an event's arrival and the first time of asking."""

    @property
    def deadline(self) -> timedelta:
        """How long an event waits at the most; its person's later events, but for opt-outs, wait with it."""

    def wants(self, event: Event) -> bool:
        """Whether the event needs an answer. It must not want one for an event that has its answer."""

    def ask(self, event: Event) -> Exchange[Enriched | Pending]:
        """Ask once. The replies of the exchange may be failures; they become values, never exceptions.

        The event of an answer tells when it occurred, where that can be known: what was decided meanwhile is held against it.
        """


class Task(Struct, frozen=True):
    """One operation for a sink, and what it may need to know beside it."""

    operation: Operation
    shadow: Shadow = None  # filled for writes that clear a flag
    remembered: Remembered = NOTHING  # filled for writes with a match
    gone: str | None = None  # Id of the record that the write's key named until the CRM showed it as deleted
    record_id: str | None = None  # of the record that the write's key named when it was last met


class Sink(Protocol):
    """Where operations go: a CRM, or a provider that takes commands."""

    @property
    def name(self) -> str:
        """The sink's name in the config."""

    @property
    def batch(self) -> int:
        """How many operations one write() should be given at the most."""

    @property
    def traits(self) -> CrmTraits:
        """How the CRM behaves; the defaults for a provider."""

    def write(self, tasks: Sequence[Task]) -> Exchange[Sequence[Outcome]]:
        """Do them, in order where one is the parent of another; exactly one outcome for each, in the same order.

        No two tasks concern the same record: the caller folds. The replies of the exchange may be failures; they become
        outcomes, never exceptions.
        """


class Row(Struct, frozen=True, kw_only=True):
    """One record as a feed shows it now."""

    record_id: str
    stamp: datetime  # when it was last modified, by the CRM's clock
    fields: Mapping[str, Any]  # the feed's fields and key fields
    deleted: bool = False
    merged_into: str | None = None  # of a deleted one: the record that was kept in its stead
    by_us: bool | None = None  # whether our own user is the last who changed it; None where that is not known


class Page(Struct, frozen=True, kw_only=True):
    """One step of a feed."""

    rows: tuple[Row, ...] = ()
    position: str = ""  # opaque to all but the feed; given back at the next call
    last: bool = True  # nothing more for now


class Records(Struct, frozen=True, kw_only=True):
    """One step of reading all records of an object."""

    rows: tuple[Row, ...] = ()  # values may be texts: they are good for finding differences, and not for judging them
    position: str = ""  # opaque to all but the feed; given back at the next call
    last: bool = False
    ready: bool = True  # False: the CRM still gathers them, and is asked again later
    total: int | None = None  # how many records there are, where that is known


class Feed(Protocol):
    """Changes in a CRM, asked for again and again."""

    @property
    def name(self) -> str:
        """Unique: `salesforce.Contact`."""

    @property
    def crm(self) -> str:
        """The CRM's name in the config."""

    @property
    def traits(self) -> CrmTraits:
        """How the CRM behaves."""

    @property
    def object(self) -> str:
        """The CRM object."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are watched. When further ones are, all records are read once more."""

    @property
    def key_fields(self) -> tuple[str, ...]:
        """External ID fields that are read along, so that a row is known again as a record of ours."""

    @property
    def every(self) -> timedelta:
        """The pause between two rounds."""

    def ask(self, position: str | None) -> Exchange[Page | Retry]:
        """The next page after the position; from the beginning of everything with None."""

    def ask_opted_out(self, position: str) -> Exchange[Page | Retry]:
        """The records that say "out" and were modified shortly before the position or after it, the latest first, in one page.

        A feed of an object without consent fields has none. The page has no position: the rounds show these records once more.
        """

    def look(self, record_ids: Sequence[str]) -> Exchange[Page | Retry]:
        """These records as they are now, at most `traits.lookup_limit` of them, and what was merged into them.

        What is not there at all is left out; the page has no position.
        """

    def read_all(self, position: str | None) -> Exchange[Records | Retry]:
        """All records of the object, deleted ones among them, step by step and in no particular order; None begins.

        Raises PeerUnavailable where waiting may mend it, ConnectorError with the cure where only beginning anew does.
        """


class PollPage(Struct, frozen=True, kw_only=True):
    """One step of a catch-up."""

    parts: tuple[Part, ...] = ()
    position: str = ""  # opaque to all but the catch-up; given back at the next call
    last: bool = True  # of this round


class Poller(Protocol):
    """What a provider says, when it is asked, that it has told us or should have: asked at the start and again and again."""

    @property
    def name(self) -> str:
        """Unique: `onlinefundraising.messages`."""

    @property
    def provider(self) -> str:
        """The provider's name in the config."""

    @property
    def shape(self) -> str:
        """The shape of its events. Nothing is asked while no mapping sees them."""

    @property
    def endpoint(self) -> str:
        """The door at which a part that is not understood would have come: it is read again there."""

    @property
    def every(self) -> timedelta:
        """The pause between two rounds."""

    def ask(self, position: str | None, now: datetime) -> Exchange[PollPage | Retry]:
        """The next page after the position. Events have the keys that they would have at the door, so that none comes twice.

        None is the first time ever: what was before the connector is not taken in.
        """


class Keywords(Protocol):
    """An account's keywords at a provider, seen and changed by a person.

    Every exchange raises ConnectorError with the cure where the provider says no, and PeerUnavailable where it does not answer.
    """

    @property
    def endpoint(self) -> str:
        """The door to which their messages must be sent."""

    @property
    def own(self) -> tuple[str, ...]:
        """Those that the config names."""

    @property
    def addressed(self) -> bool:
        """Whether their messages come to the door only where each keyword bears its address."""

    def listing(self) -> Exchange[tuple[Keyword, ...]]:
        """All keywords and sub keywords; perhaps without what only show() tells."""

    def show(self, keyword_id: str) -> Exchange[Keyword]:
        """All about one of them."""

    def subkeywords(self, keyword_id: str) -> Exchange[tuple[Keyword, ...]]:
        """The sub keywords of a keyword."""

    def is_free(self, short_number: str, word: str) -> Exchange[bool]:
        """Whether a keyword can be reserved on a short number."""

    def reserve(self, short_number: str, word: str, sub_word: str | None, hook: str | None = None) -> Exchange[Keyword]:
        """Reserve a keyword, or a sub keyword of one that is there.

        The hook is the public address of the door, without a secret; None where it is not known.
        """

    def deactivate(self, keyword_id: str) -> Exchange[None]:
        """Let a keyword take no more messages."""

    def reactivate(self, keyword_id: str) -> Exchange[None]:
        """Take that back."""

    def send_to(self, keyword_id: str, hook: str) -> Exchange[None]:
        """Have its messages sent to the door with this public address; the provider's secret is added to it."""

    def delete(self, keyword_id: str) -> Exchange[None]:
        """Give a keyword up for good."""
