from collections.abc import AsyncIterator, Callable, Sequence

import pytest
from msgspec.structs import replace

from connector.delivery.http_client import Client, FixedCredentials, Transport
from connector.delivery.send import Sent, send
from connector.model.crm_traits import PLAIN
from connector.model.http import Http
from connector.model.operation import Operation, Parent, RecordWrite, Repeat, ServiceCommand
from connector.model.outcome import Delivered, Outcome, Reason, Rejected, Retry
from connector.model.phone import Phone
from connector.ports import Sink, Task

DONE = Delivered()
BAD = Rejected(reason=Reason.VALIDATION, detail="bad")
LOCKED = Retry(reason=Reason.ROW_LOCKED)


def write(key, *, of="Contact", parent=None, clears=False, **fields):
    if parent is not None:
        fields["Contact__r"] = Parent("K__c", parent)
    return RecordWrite(sink="sf", object=of, key_field="K__c", key=key, set=fields, clears_flag=clears)


def command(keyword):
    return ServiceCommand(sink="sf", action="stop", phone=Phone("+4790000001"), short_number="2002", keyword=keyword)


class Charge(RecordWrite):
    """An operation that must not be done twice."""

    repeat = Repeat.NEVER


class Peer:
    """A sink in memory: judges each operation by itself, and a child by its parent in the same request."""

    name = "sf"
    batch = 1000
    traits = PLAIN

    def __init__(self, judge: Callable[[Operation], Outcome] = lambda _: DONE) -> None:
        self.judge = judge
        self.requests: list[list[Task]] = []

    async def write(self, http: Http, tasks: Sequence[Task]) -> Sequence[Outcome]:
        self.requests.append(list(tasks))
        await http.call_all([])
        outcomes: dict[tuple[str, str], Outcome] = {}
        return [self._outcome(task.operation, outcomes) for task in tasks]

    def _outcome(self, operation: Operation, before: dict[tuple[str, str], Outcome]) -> Outcome:
        if not isinstance(operation, RecordWrite):
            return self.judge(operation)
        outcome = self.judge(operation)
        for parent in operation.parents:
            match before.get((parent.key_field, parent.key.casefold())):
                case Rejected():
                    outcome = Rejected(reason=Reason.PARENT_FAILED)
                case Retry():
                    outcome = Retry(reason=Reason.PARENT_WAITING)
        before[operation.key_field, operation.key.casefold()] = outcome
        return outcome

    def sent(self) -> list[list[tuple[str, dict]]]:
        """The key and the fields of each operation, request by request; no request may hold a record twice."""
        for request in self.requests:
            records = [task.operation.record for task in request]
            assert len(records) == len(set(records))
        return [[(task.operation.key, dict(task.operation.set)) for task in request] for request in self.requests]


class Raising(Peer):
    """Raises when it meets a crashing operation, before (`early`) or after its calls."""

    def __init__(self, *, early: bool = False) -> None:
        super().__init__()
        self.early = early

    async def write(self, http: Http, tasks: Sequence[Task]) -> Sequence[Outcome]:
        self.requests.append(list(tasks))
        crashing = any(isinstance(task.operation, RecordWrite) and "Crash" in task.operation.set for task in tasks)
        if crashing and self.early:
            raise KeyError("+4790000001")
        await http.call_all([])
        if crashing:
            raise KeyError("+4790000001")
        return [DONE] * len(tasks)


class Miscounting(Peer):
    """Gives one outcome too many or too few as soon as it has several operations, or for a crashing one."""

    def __init__(self, surplus: int) -> None:
        super().__init__()
        self.surplus = surplus

    async def write(self, http: Http, tasks: Sequence[Task]) -> Sequence[Outcome]:
        self.requests.append(list(tasks))
        await http.call_all([])
        wrong = len(tasks) > 1 or "Crash" in tasks[0].operation.set
        return [DONE] * (len(tasks) + (self.surplus if wrong else 0))


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Transport() as transport:
        yield transport.client(FixedCredentials("http://127.0.0.1:1"))


@pytest.fixture
def deliver(client):
    async def run(sink: Sink, *operations: Operation, known_shadow=lambda _: None) -> Sent:
        return await send(sink, client, operations, lambda one: Task(one, shadow=known_shadow(one)))

    return run


def refusing(**fields) -> Callable[[Operation], Outcome]:
    """Judge: these values of these fields have this outcome, and all else is delivered."""

    def judge(operation):
        for name, outcomes in fields.items():
            if operation.set.get(name) in outcomes:
                return outcomes[operation.set[name]]
        return DONE

    return judge


async def test_an_empty_batch_makes_no_request(deliver):
    peer = Peer()
    assert await deliver(peer) == Sent([], [])
    assert peer.requests == []


async def test_each_operation_gets_its_own_outcome_in_order(deliver):
    peer = Peer(lambda one: {"a": DONE, "b": BAD, "c": LOCKED}[one.key])
    sent = await deliver(peer, write("c"), write("a"), write("b"))
    assert sent.outcomes == [LOCKED, DONE, BAD]
    assert len(peer.requests) == 1


async def test_a_record_is_written_once_and_all_its_operations_get_the_outcome(deliver):
    found = Delivered(record_id="003", created=True)
    peer = Peer(lambda one: found if one.key.casefold() == "a" else DONE)
    sent = await deliver(peer, write("a", A=1, B=1), write("b", A=9), write("a", B=2))
    assert peer.sent() == [[("a", {"A": 1, "B": 2}), ("b", {"A": 9})]]
    assert sent.outcomes == [found, DONE, found]
    assert [(one.index, dict(one.write.set), one.outcome) for one in sent.written] == [
        (2, {"A": 1, "B": 2}, found),
        (1, {"A": 9}, DONE),
    ]


async def test_a_folded_write_that_will_be_retried_is_not_split(deliver):
    peer = Peer(lambda _: LOCKED)
    sent = await deliver(peer, write("a", A=1), write("a", A=2))
    assert sent == Sent([LOCKED, LOCKED], [])
    assert len(peer.requests) == 1


async def test_only_the_failing_part_of_a_refused_fold_is_rejected(deliver):
    peer = Peer(refusing(B={"x": BAD}))
    sent = await deliver(peer, write("a", A=1), write("a", B="x"), write("c"), write("a", A=3))
    assert sent.outcomes == [DONE, BAD, DONE, DONE]
    assert peer.sent()[1:] == [[("a", {"A": 1})], [("a", {"B": "x"})], [("a", {"A": 3})]]
    assert [(one.index, dict(one.write.set)) for one in sent.written] == [(2, {}), (0, {"A": 1}), (3, {"A": 3})]


async def test_a_single_write_that_is_refused_is_not_sent_again(deliver):
    peer = Peer(lambda _: BAD)
    assert (await deliver(peer, write("a"), write("b"))).outcomes == [BAD, BAD]
    assert len(peer.requests) == 1


async def test_the_parts_of_several_refused_folds_share_their_requests(deliver):
    peer = Peer(refusing(B={"x": BAD}))
    keys = [str(number) for number in range(50)]
    sent = await deliver(peer, *(write(key, A=1) for key in keys), *(write(key, B="x") for key in keys))
    assert sent.outcomes == [DONE] * 50 + [BAD] * 50
    assert [len(request) for request in peer.sent()] == [50, 50, 50]


async def test_a_part_to_be_retried_delays_only_later_parts_of_its_record(deliver):
    peer = Peer(refusing(B={"x": BAD, "y": LOCKED}))
    operations = [write("a", B="y"), write("b", B="x"), write("a", B="x"), write("b", A=1, B=1), write("a", A=3, B="x")]
    sent = await deliver(peer, *operations[:4], operations[4], write("b", B="x"))
    assert sent.outcomes == [
        LOCKED,
        BAD,
        Retry(reason=Reason.HALTED),
        DONE,
        Retry(reason=Reason.HALTED),
        BAD,
    ]
    assert [one.index for one in sent.written] == [3]
    assert peer.sent()[2:] == [[("b", {"A": 1, "B": 1})], [("b", {"B": "x"})]]


async def test_a_child_is_rejected_only_for_a_parent_of_its_own_event(deliver):
    peer = Peer(refusing(B={"x": BAD}))
    operations = [
        write("a", A=1),
        write("e1", of="Event", parent="a"),
        write("a", B="x"),
        write("e2", of="Event", parent="a"),
        write("c"),
        write("e3", of="Event", parent="c"),
    ]
    sent = await deliver(peer, *operations)
    assert sent.outcomes == [DONE, DONE, BAD, Rejected(reason=Reason.PARENT_FAILED), DONE, DONE]
    assert [[key for key, _ in request] for request in peer.sent()[1:]] == [["a", "e1"], ["a", "e2"]]
    assert [one.index for one in sent.written] == [4, 5, 0, 1]


async def test_a_grandchild_is_sent_after_the_parents_of_its_own_event(deliver):
    peer = Peer(refusing(B={"x": BAD}))
    sent = await deliver(
        peer,
        write("a", B="x"),
        write("e1", of="Event", parent="a"),
        write("n1", of="Note", parent="e1"),
        write("a", A=1),
        write("e2", of="Event", parent="a"),
        write("n2", of="Note", parent="e2"),
    )
    orphan = Rejected(reason=Reason.PARENT_FAILED)
    assert sent.outcomes == [BAD, orphan, orphan, DONE, DONE, DONE]


async def test_a_child_of_two_parents_is_sent_after_both(deliver):
    peer = Peer(refusing(B={"x": BAD}))
    child = write("e", of="Event", One__r=Parent("K__c", "a"), Two__r=Parent("K__c", "b"))
    sent = await deliver(
        peer, write("a", B="x"), write("a", A=1), write("b", A=1), child, write("b", A=2), write("b", B="x")
    )
    assert sent.outcomes == [BAD, DONE, DONE, DONE, DONE, BAD]
    assert [[key for key, _ in request] for request in peer.sent()[1:]] == [["a", "b"], ["a", "b", "e"], ["b"]]


async def test_a_child_waits_for_a_part_of_its_parent_that_waits(deliver):
    peer = Peer(refusing(B={"x": BAD, "y": LOCKED}))
    sent = await deliver(
        peer,
        write("a", B="y"),
        write("e1", of="Event", parent="a"),
        write("a", B="x"),
        write("e2", of="Event", parent="a"),
        write("n2", of="Note", parent="e2"),
    )
    assert [(type(one), one.reason) for one in sent.outcomes] == [
        (Retry, Reason.ROW_LOCKED),
        (Retry, Reason.PARENT_WAITING),
        (Retry, Reason.HALTED),
        (Retry, Reason.PARENT_WAITING),
        (Retry, Reason.PARENT_WAITING),
    ]
    assert len(peer.requests) == 2


async def test_a_child_of_a_rejected_unfolded_parent_stays_rejected(deliver):
    peer = Peer(refusing(B={"x": BAD}))
    sent = await deliver(
        peer,
        write("p", B="x"),
        write("e", of="Event", parent="p"),
        write("a", A=1),
        write("a", B="x"),
    )
    assert sent.outcomes == [BAD, Rejected(reason=Reason.PARENT_FAILED), DONE, BAD]
    assert [[key for key, _ in request] for request in peer.sent()[1:]] == [["a"], ["a"]]


async def test_equal_commands_are_sent_separately_and_write_no_record(deliver):
    peer = Peer()
    sent = await deliver(peer, command("KATT"), command("KATT"))
    assert sent == Sent([DONE, DONE], [])
    assert len(peer.requests[0]) == 2


async def test_a_value_that_an_earlier_part_wrote_is_added_to_the_shadow(deliver):
    left = Delivered(left_out=("Since",))

    def judge(one):
        if one.set.get("B") == "x":
            return BAD
        return left if "Since" in one.set else DONE

    peer = Peer(judge)
    stored = {"Out": False, "Since": "then", "By": "me"}
    operations = [write("a", Out=True, Since="now", B=1), write("a", B="x"), write("a", Out=False, B="x", clears=True)]
    await deliver(peer, *operations, known_shadow=lambda _: stored)
    assert peer.requests[-1][0].shadow == {"Out": True, "Since": "then", "By": "me", "B": 1}
    assert stored == {"Out": False, "Since": "then", "By": "me"}


async def test_a_value_that_an_earlier_part_wrote_at_creation_is_added_to_the_shadow(deliver):
    def judge(one):
        if one.set.get("B") == "x":
            return BAD
        return Delivered(created=bool(one.create))

    peer = Peer(judge)
    made = replace(write("a", A=1), create={"Out": True})
    await deliver(peer, made, write("a", B="x"), write("a", Out=False, B="x", clears=True), known_shadow=lambda _: None)
    assert peer.requests[-1][0].shadow == {"Out": True, "A": 1}


@pytest.mark.parametrize("early", [False, True])
async def test_a_sink_that_raises_for_one_operation_makes_a_dead_letter_only_of_it(deliver, early):
    peer = Raising(early=early)
    operations = [write(str(number)) for number in range(40)]
    operations[17] = write("17", Crash=1)
    sent = await deliver(peer, *operations)
    assert [index for index, one in enumerate(sent.outcomes) if one != DONE] == [17]
    to_blame = sent.outcomes[17]
    assert (type(to_blame), to_blame.reason) == (Rejected, Reason.BUG)
    assert "KeyError" in to_blame.detail
    assert "+47" not in to_blame.detail
    assert sorted(one.index for one in sent.written) == [index for index in range(40) if index != 17]
    assert len(peer.requests) < 16  # halving: an API call for each of the innocent would eat the day's quota


async def test_a_part_of_a_fold_that_makes_the_sink_raise_is_rejected_alone(deliver):
    sent = await deliver(Raising(), write("a", A=1), write("a", Crash=1), write("b"))
    assert [one.reason if isinstance(one, Rejected) else one for one in sent.outcomes] == [DONE, Reason.BUG, DONE]


@pytest.mark.parametrize("surplus", [-1, 1])
async def test_a_sink_with_a_wrong_number_of_outcomes_has_a_bug(deliver, surplus):
    sent = await deliver(Miscounting(surplus), write("a"), write("b", Crash=1), write("c"))
    assert [one.reason if isinstance(one, Rejected) else one for one in sent.outcomes] == [DONE, Reason.BUG, DONE]
    assert f"{1 + surplus} outcomes for 1 operations" in sent.outcomes[1].detail


async def test_a_charge_is_in_doubt_and_not_sent_again_after_a_bug(deliver):
    peer = Raising()
    charge = Charge(sink="sf", object="Charge", key_field="K__c", key="c")
    sent = await deliver(peer, write("a", Crash=1), charge, write("b"))
    assert sum(task.operation is charge for request in peer.requests for task in request) == 1
    doubt = sent.outcomes[1]
    assert isinstance(doubt, Retry)
    assert doubt.in_doubt
    assert sent.outcomes[2] == DONE
