"""The interfaces of providers and CRMs. They send their calls through the `Http` that they are given."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from msgspec import Struct, field

from connector.model.charge import Charge, ChargeAnswer, ChargeRules
from connector.model.crm_traits import CrmTraits
from connector.model.event import Event, Part
from connector.model.http import Http, HttpRequest, HttpResponse
from connector.model.keyword import Keyword
from connector.model.operation import Operation
from connector.model.outcome import Outcome, Rejected, Retry
from connector.model.remembered import NOTHING, Remembered

# The CRM's fields of one record, as last written by us or seen by a feed; None if nothing is known.
Shadow = Mapping[str, Any] | None


class Notice(Struct, frozen=True, kw_only=True):
    """A notification from a CRM that a record changed. The same notice may arrive again."""

    id: str  # unique in its CRM
    object: str
    record_id: str


class AuthResult(Struct, frozen=True, kw_only=True):
    """An authenticated request. Its nonce, if it has one, is stored with the event so that it counts only once."""

    nonce: str | None = None
    # What the endpoint looked up elsewhere during authentication.
    details: Mapping[str, Any] = field(default_factory=dict)
    hint: str | None = None  # key of an event whose look-up may now have its answer
    notices: tuple[Notice, ...] = ()  # of a CRM's endpoint: they are kept until its feed has read the records


class WebhookEndpoint(Protocol):
    """One address at which a provider calls us."""

    @property
    def provider(self) -> str:
        """The provider's name in the config."""

    @property
    def name(self) -> str:
        """The endpoint's name in the URL, such as mo or dlr."""

    @property
    def methods(self) -> frozenset[str]:
        """The HTTP methods that it accepts."""

    def check_head(self, head: HttpRequest) -> bool:
        """Check a request before its body has arrived (it is blank here). True if the caller is already authenticated.

        False means that the caller stays unknown until the body arrives, for example because the body is signed.
        Raises HttpRejected for a caller that no body could authenticate. It is called only if the body has to be
        waited for; authenticate() checks everything, the head too.
        """

    async def authenticate(self, http: Http, request: HttpRequest) -> AuthResult:
        """Authenticate the whole request. Raises HttpRejected."""

    def read(self, request: HttpRequest, auth: AuthResult) -> tuple[Event | Part, ...]:
        """The events in the request. Raises Unreadable if it holds none and is not just a hint.

        A request with several events is read part by part, so that one unreadable part does not lose the others.
        """

    def answer(self, request: HttpRequest, auth: AuthResult) -> HttpResponse:
        """The response that the caller takes for success, for new and known events alike. They are stored by now."""


class Enriched(Struct, frozen=True, kw_only=True):
    """The answer of a look-up: the event with what is now known. It has the same key as the event that waited."""

    event: Event


class Pending(Struct, frozen=True, kw_only=True):
    """No final answer. After the deadline `event` is planned, or the original event if that is None."""

    event: Event | None = None
    problem: Retry | Rejected | None = None  # why the look-up itself failed


class Enricher(Protocol):
    """Looks up what an event needs before planning. It only reads, so a look-up may be repeated."""

    @property
    def provider(self) -> str:
        """The configured name of the provider whose events it is for."""

    @property
    def first_pause(self) -> timedelta:
        """The pause between an event's arrival and the first look-up."""

    @property
    def deadline(self) -> timedelta:
        """The longest time that an event waits. The person's later events wait with it, except opt-outs."""

    def wants(self, event: Event) -> bool:
        """Whether the event needs a look-up. Must be false for an event that already has its answer."""

    async def ask(self, http: Http, event: Event) -> Enriched | Pending:
        """Look up once. Calls without a reply become values, never exceptions.

        The event of an answer has the time at which it occurred, if known: it is compared with what was decided
        meanwhile.
        """


class Task(Struct, frozen=True):
    """One operation for a sink, with what the sink may need to know about its record."""

    operation: Operation
    shadow: Shadow = None  # filled for writes that clear a flag
    remembered: Remembered = NOTHING  # filled for writes with a match
    gone: str | None = None  # Id of the record that the write's key named until the CRM showed it as deleted
    record_id: str | None = None  # Id of the record that the write's key named when it was last seen
    tried: bool = False  # it was sent before, and its key may name another record now: the record is looked up


class Sink(Protocol):
    """The target of operations: a CRM, or a provider that accepts commands."""

    @property
    def name(self) -> str:
        """The sink's name in the config."""

    @property
    def batch(self) -> int:
        """The largest number of operations for one write()."""

    @property
    def traits(self) -> CrmTraits:
        """How the CRM behaves; the defaults for a provider."""

    async def write(self, http: Http, tasks: Sequence[Task]) -> Sequence[Outcome]:
        """Do the operations, parents before their children. Returns exactly one outcome for each, in the same order.

        No two tasks concern the same record: the caller folds them. Calls without a reply become outcomes, never
        exceptions.
        """


class Row(Struct, frozen=True, kw_only=True):
    """One record as a feed shows it now."""

    record_id: str
    stamp: datetime  # when it was last modified, by the CRM's clock
    fields: Mapping[str, Any]  # the feed's fields and key fields
    deleted: bool = False
    merged_into: str | None = None  # of a deleted record: the record that the merge kept
    by_us: bool | None = None  # whether our own user made the last change; None if unknown


class Page(Struct, frozen=True, kw_only=True):
    """One page of a feed."""

    rows: tuple[Row, ...] = ()
    position: str = ""  # opaque to all but the feed; passed to the next call
    last: bool = True  # nothing more for now


class Records(Struct, frozen=True, kw_only=True):
    """One page of all records of an object."""

    rows: tuple[Row, ...] = ()  # values may be texts: use them to find differences, and not to interpret them
    position: str = ""  # opaque to all but the feed; passed to the next call
    last: bool = False
    ready: bool = True  # False: the CRM is still preparing the records; ask again later
    total: int | None = None  # how many records there are, if known


class Feed(Protocol):
    """Changes in a CRM, polled repeatedly."""

    @property
    def name(self) -> str:
        """Unique: `my_crm.Contact`."""

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
        """The fields that are watched. If fields are added, all records are read once more."""

    @property
    def key_fields(self) -> tuple[str, ...]:
        """External ID fields that are also read, so that a row can be matched to a record of ours."""

    @property
    def every(self) -> timedelta:
        """The pause between two rounds."""

    async def ask(self, http: Http, position: str | None) -> Page | Retry:
        """The next page after the position; None starts at the beginning."""

    async def ask_opted_out(self, http: Http, position: str) -> Page | Retry:
        """One page of the opted-out records modified after the position or shortly before it, latest first.

        A feed of an object without consent fields returns none. The page has no position: regular polls show these
        records again.
        """

    async def look(self, http: Http, record_ids: Sequence[str]) -> Page | Retry:
        """The current state of these records, at most `traits.lookup_limit` of them, and the records merged into them.

        Records that do not exist are left out; the page has no position.
        """

    async def read_all(self, http: Http, position: str | None) -> Records | Retry:
        """All records of the object, including deleted ones, page by page and in no particular order; None starts.

        Raises PeerUnavailable if waiting may help, and ConnectorError with the cure if only a new start helps.
        """


class PollPage(Struct, frozen=True, kw_only=True):
    """One page of a poller."""

    parts: tuple[Part, ...] = ()
    position: str = ""  # opaque to all but the poller; passed to the next call
    last: bool = True  # of this round


class Poller(Protocol):
    """Polls a provider, at the start and repeatedly, for events that a webhook should have brought."""

    @property
    def name(self) -> str:
        """Unique: `onlinefundraising.messages`."""

    @property
    def provider(self) -> str:
        """The provider's name in the config."""

    @property
    def shape(self) -> str:
        """The shape of its events. It is not polled while no mapping uses that shape."""

    @property
    def endpoint(self) -> str:
        """The endpoint at which a part would have arrived: an unreadable part is read again there."""

    @property
    def every(self) -> timedelta:
        """The pause between two rounds."""

    async def ask(self, http: Http, position: str | None, now: datetime) -> PollPage | Retry:
        """The next page after the position. Events have the same keys as at the endpoint, so that none is taken twice.

        None is the very first poll: what happened before the connector was installed is not imported.
        """


class Charger(Protocol):
    """Charges donors at a provider that leaves this to us. The store decides who is charged, and when."""

    @property
    def provider(self) -> str:
        """The provider's name in the config."""

    @property
    def rules(self) -> ChargeRules:
        """What the config says about the charges."""

    async def send(self, http: Http, charge: Charge) -> ChargeAnswer:
        """Charge `charge.amount` once. A call without a certain answer is in doubt; nothing is raised."""

    async def ask(self, http: Http, charge: Charge) -> ChargeAnswer:
        """Ask for the status of the charge's transaction. The answer is pending if there is none yet; nothing is raised."""


class KeywordApi(Protocol):
    """An account's keywords at a provider, for a person to view and change.

    Every method raises ConnectorError with the cure if the provider refuses, and PeerUnavailable if it does not
    answer.
    """

    @property
    def endpoint(self) -> str:
        """The endpoint to which their messages must be sent."""

    @property
    def configured(self) -> tuple[str, ...]:
        """The keywords that the config names."""

    @property
    def needs_address(self) -> bool:
        """Whether messages reach the endpoint only if each keyword has its address set."""

    async def listing(self, http: Http) -> tuple[Keyword, ...]:
        """All keywords and sub keywords; details that only show() returns may be missing."""

    async def show(self, http: Http, keyword_id: str) -> Keyword:
        """Everything about one keyword."""

    async def subkeywords(self, http: Http, keyword_id: str) -> tuple[Keyword, ...]:
        """The sub keywords of a keyword."""

    async def is_free(self, http: Http, short_number: str, word: str) -> bool:
        """Whether a keyword can be reserved on a short number."""

    async def reserve(
        self, http: Http, short_number: str, word: str, sub_word: str | None, hook: str | None = None
    ) -> Keyword:
        """Reserve a keyword, or a sub keyword of an existing one.

        The hook is the public address of the endpoint, without a secret; None if unknown.
        """

    async def deactivate(self, http: Http, keyword_id: str) -> None:
        """Stop a keyword from receiving messages."""

    async def reactivate(self, http: Http, keyword_id: str) -> None:
        """Let a deactivated keyword receive messages again."""

    async def set_address(self, http: Http, keyword_id: str, hook: str) -> None:
        """Send its messages to the endpoint with this public address; the provider's secret is added to it."""

    async def delete(self, http: Http, keyword_id: str) -> None:
        """Delete a keyword for good."""
