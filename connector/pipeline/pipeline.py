"""The pipeline: one method per stage, in the order of the flow. Each stage is a file of this folder.

Each method returns how many items it processed. Its worker continues at once while there is work, and otherwise waits.
"""

from uuid import uuid4

from connector.delivery.channels import EnricherChannel, FeedChannel, SinkChannel
from connector.mapping.compile.ruleset import Ruleset
from connector.model.http import HttpRequest, HttpResponse
from connector.pipeline.deliver import Deliverer, DeliveryWorker
from connector.pipeline.enrich import enrich_due
from connector.pipeline.follow import Follower
from connector.pipeline.plan import Planner, plan_batch
from connector.pipeline.poll import PollState, poll
from connector.pipeline.receive import Receiver
from connector.pipeline.runtime import PipelineConfig, Runtime
from connector.pipeline.stop_questions import StopQuestions
from connector.pipeline.suspended_rules import SuspendedRules
from connector.ports import WebhookEndpoint
from connector.store.store import Store


class Pipeline:
    """The stages, over one store, one set of rules and one runtime."""

    def __init__(self, store: Store, rules: Ruleset, config: PipelineConfig, runtime: Runtime) -> None:
        self.rules = rules  # a reload replaces them as a whole
        self.start = uuid4().hex  # names this start of the process in its claims
        self.open_polls: set[str] = set()  # polls whose changes are not planned yet
        self.stop_questions = StopQuestions(store)
        self._store = store
        self._max_people = config.max_people
        self._runtime = runtime
        self._receiver = Receiver(store, config, runtime, lambda: self.rules)
        self._follower = Follower(store, config, runtime, self.open_polls)
        self._planner = Planner(
            store, configured=config.configured, max_people=config.max_people, charging=config.charging
        )
        self.suspended_rules = SuspendedRules(store, config, runtime, lambda: self.rules)
        self._deliverer = Deliverer(store, config, runtime, lambda: self.rules, self.suspended_rules.ask_replan)

    async def receive(self, endpoint: WebhookEndpoint, request: HttpRequest) -> HttpResponse:
        """Webhook request → inbox entries and the answer. Raises HttpRejected for a request that is not accepted."""
        return await self._receiver.receive(endpoint, self._runtime.clients[endpoint.provider], request)

    async def poll(self, poll_state: PollState) -> int:
        """Ask a provider for events that a webhook may have missed, and store them."""
        return await poll(poll_state, self._store, self.rules, self._runtime)

    async def follow(self, channel: FeedChannel) -> int:
        """Ask a CRM for its changes, and store them as events."""
        return await self._follower.follow(channel)

    def end_round(self, channel: FeedChannel) -> None:
        """Release the changes of a feed's round to the planner."""
        self._follower.end_round(channel)

    async def enrich(self, channel: EnricherChannel) -> int:
        """Make the look-ups that are due. An event without an answer at its deadline is planned as it is."""
        if self._runtime.monotonic() < channel.breaker.open_until:
            return 0
        asked, closed = await enrich_due(channel, self._store, self._runtime)
        if closed:
            self._runtime.wake("plan")
        return asked

    async def plan(self) -> int:
        """Oldest events → stored plans. Opt-outs are planned first. Without mappings all events wait."""
        if not self.rules.usable:
            return 0
        return await plan_batch(
            self._planner,
            self._store,
            self.rules,
            self.stop_questions,
            self._runtime,
            open_polls=self.open_polls,
            max_people=self._max_people,
        )

    async def deliver(self, channel: SinkChannel, worker: DeliveryWorker) -> int:
        """Claim a batch of units, send it and settle it."""
        return await self._deliverer.deliver(channel, worker)
