"""The sink against an org: the written records, each task's outcome, and the cost."""

from datetime import timedelta

import pytest
from dynamics.dynamics_writes import contact, deliver, event, reasons, sink
from msgspec.structs import replace

from connector.crm.dynamics.client import api
from connector.crm.dynamics.client.web_api import Gate, WebApi
from connector.model.operation import ID_FIELD, Parent, RecordWrite, ServiceCommand
from connector.model.outcome import Delivered, Reason, Rejected, Retry
from connector.model.phone import Phone
from connector.ports import Task

NEW = {"lastname": "New", "firstname": "Kari"}


async def test_a_contact_and_its_event_are_written_parent_first(org):
    outcomes = await deliver(org, event("e-1", "4790000001"), contact("4790000001", mobilephone="+4790000001"))
    assert all(isinstance(outcome, Delivered) and outcome.created for outcome in outcomes), outcomes
    (person,) = await org.records("contact")
    (row,) = await org.records("crmc_smsevent")
    assert (person["mobilephone"], person["crmc_smskey"]) == ("+4790000001", "4790000001")
    assert row["_crmc_contactid_value"] == person["contactid"] == outcomes[1].record_id
    assert row["crmc_smseventid"] == outcomes[0].record_id


async def test_the_same_batch_again_changes_nothing_and_is_delivered(org):
    batch = [contact("4790000001", create=NEW), event("e-1", "4790000001", crmc_text="first")]
    first = await deliver(org, *batch)
    again = await deliver(org, batch[0], event("e-1", "4790000001", crmc_text="second"))
    assert [one.record_id for one in again] == [one.record_id for one in first]
    assert not any(one.created for one in again)
    assert [row["crmc_text"] for row in await org.records("crmc_smsevent")] == ["first"]


@pytest.mark.parametrize("create", [None, NEW])
async def test_a_thousand_people_with_an_event_each_cost_at_most_25_calls(org, create):
    writes = [one for n in range(1000) for one in (contact(f"479{n:07}", create=create), event(f"e{n}", f"479{n:07}"))]
    writer, before = sink(), await org.api_calls()
    for start in range(0, len(writes), writer.batch):
        outcomes = await writer.write(org, [Task(one) for one in writes[start : start + writer.batch]])
        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
    assert await org.api_calls() - before <= 25
    assert len(await org.records("crmc_smsevent")) == 1000


async def test_create_fields_are_written_to_new_records_only(org):
    await org.load("contact", {"lastname": "Old", "crmc_smskey": "4790000001"})
    outcomes = await deliver(
        org,
        contact("4790000001", create=NEW, mobilephone="+4790000001"),
        contact("4790000002", create=NEW, mobilephone="+4790000002"),
    )
    assert [outcome.created for outcome in outcomes] == [False, True]
    assert [(row["lastname"], row["firstname"]) for row in await org.records("contact")] == [
        ("Old", None),
        ("New", "Kari"),
    ]


async def test_a_record_that_another_program_creates_first_is_updated(org):
    async def other():
        await org.load("contact", {"lastname": "Other", "crmc_smskey": "4790000001"})

    writer = sink()
    await writer.write(org, [Task(contact("4790000009", create=NEW))])
    org.between = other()
    (outcome,) = await writer.write(org, [Task(contact("4790000001", create=NEW, mobilephone="+4790000001"))])
    assert (outcome.created, isinstance(outcome, Delivered)) == (False, True)
    row = next(row for row in await org.records("contact") if row["crmc_smskey"] == "4790000001")
    assert (row["lastname"], row["mobilephone"]) == ("Other", "+4790000001")


async def test_an_update_never_creates(org):
    outcomes = await deliver(
        org,
        replace(contact("4790000001", lastname="A"), may_create=False),
        RecordWrite(
            sink="crm",
            object="contact",
            key_field=ID_FIELD,
            key="00000000-0000-0000-0000-000000000001",
            set={"lastname": "A"},
            may_create=False,
        ),
    )
    assert reasons(outcomes) == [Reason.RECORD_MISSING, Reason.RECORD_DELETED]
    assert await org.records("contact") == []


async def test_a_known_record_that_was_deleted_is_created_again(org):
    gone = "00000000-0000-0000-0000-000000000001"
    (outcome,) = await deliver(org, Task(contact("4790000001", create=NEW, mobilephone="1"), record_id=gone))
    assert outcome.created
    assert outcome.record_id != gone


async def test_a_row_whose_key_is_in_the_id_column_is_found_when_its_write_is_tried_again(org):
    one = event("strex-1", "4790000001", crmc_name="a")
    await deliver(org, contact("4790000001", create=NEW), one)
    (first,) = await deliver(org, one)
    (again,) = await deliver(org, Task(one, record_id=first.record_id, tried=True))
    assert again == first


async def test_a_child_whose_known_parent_was_deleted_gets_a_new_one(org):
    gone = "00000000-0000-0000-0000-000000000001"
    parent = Task(contact("4790000001", create=NEW), record_id=gone)
    outcomes = await deliver(org, parent, event("e-1", "4790000001"))
    assert [one.created for one in outcomes] == [True, True]
    assert (await org.records("crmc_smsevent"))[0]["_crmc_contactid_value"] == outcomes[0].record_id


@pytest.mark.parametrize("key", ["+4790000001", "a/b", "strex:1", "50%", "a#b"])
async def test_a_key_that_dataverse_does_not_take_is_refused_with_the_cure(org, key):
    (outcome,) = await deliver(org, contact(key, lastname="A"))
    assert outcome.reason is Reason.BAD_VALUE
    assert "letters, digits, - and _" in outcome.detail
    assert key not in outcome.detail


async def test_an_event_may_have_any_key_in_the_id_column(org):
    await deliver(org, contact("4790000001"))
    outcomes = await deliver(org, event("strex:a/+1", "4790000001"), event("strex:A/+1", "4790000001"))
    assert all(isinstance(one, Delivered) for one in outcomes)
    assert len(await org.records("crmc_smsevent")) == 2


async def test_each_bad_record_fails_alone_and_says_which_column(org):
    outcomes = await deliver(
        org,
        contact("4790000001", lastname="A"),
        contact("4790000002", firstname="x" * 51),
        contact("4790000003", preferredcontactmethodcode="9"),
        contact("4790000004", nosuch="x"),
        contact("4790000005", crmc_smsoptout="perhaps"),
        contact("4790000006", preferredcontactmethodcode="2"),
    )
    assert reasons(outcomes) == [
        None,
        Reason.TOO_LONG,
        Reason.PICKLIST,
        Reason.CONFIGURATION,
        Reason.BAD_VALUE,
        None,
    ]
    assert [one.field for one in outcomes[1:5]] == [
        "firstname",
        "preferredcontactmethodcode",
        "nosuch",
        "crmc_smsoptout",
    ]


async def test_a_plug_in_refuses_in_its_own_words_without_numbers_and_addresses(org):
    await org.fault("plugin", message="Donor +47 900 00 001 (kari@example.org) is on the black list", records=["Bad"])
    outcomes = await deliver(org, contact("4790000001", lastname="Bad"), contact("4790000002", lastname="Good"))
    assert reasons(outcomes) == [Reason.VALIDATION, None]
    assert outcomes[0].detail == "Donor … (…) is on the black list"


async def test_another_record_with_the_key_is_named_without_its_values(org):
    await org.load("contact", {"lastname": "A", "crmc_smskey": "4790000001"}, {"lastname": "B"})
    other = (await org.records("contact"))[1]["contactid"]
    write = RecordWrite(
        sink="crm", object="contact", key_field=ID_FIELD, key=other, set={"crmc_smskey": "4790000001"}, may_create=False
    )
    (outcome,) = await deliver(org, write)
    assert (outcome.reason, "4790000001" in outcome.detail) == (Reason.DUPLICATE_RECORD, False)


@pytest.mark.parametrize("fault", ["limit_exceeded", "execution_limit", "concurrent_limit"])
async def test_after_a_limit_nothing_is_sent_until_the_time_in_the_answer_has_passed(org, fault):
    now = [0.0]
    gate = Gate(lambda: now[0])
    writer = sink(gate=gate)
    await writer.write(org, [Task(contact("4790000001"))])
    await org.fault(fault, seconds=20)
    (outcome,) = await writer.write(org, [Task(contact("4790000002"))])
    assert (outcome.reason, outcome.not_before) == (Reason.RATE_LIMITED, timedelta(seconds=20))
    calls = len(org.sent)
    now[0] = 19
    (outcome,) = await writer.write(org, [Task(contact("4790000002"))])
    assert (outcome.reason, outcome.not_before, len(org.sent)) == (Reason.RATE_LIMITED, timedelta(seconds=1), calls)
    now[0] = 20
    (outcome,) = await writer.write(org, [Task(contact("4790000002"))])
    assert isinstance(outcome, Delivered)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("unavailable", Reason.UNAVAILABLE),
        ("bad_gateway", Reason.UNAVAILABLE),
        ("server_error", Reason.SERVER_ERROR),
        ("sql_timeout", Reason.TIMEOUT),
        ("html_401", Reason.CREDENTIALS),
        ("no_user", Reason.CREDENTIALS),
        ("dropped_before", Reason.CONNECTION_LOST),
        ("garbage", Reason.UNEXPECTED_ANSWER),
    ],
)
async def test_a_failure_of_the_whole_org_is_retried(org, fault, reason):
    writer = sink()
    await writer.write(org, [Task(contact("4790000001"))])
    await org.fault(fault)
    outcomes = await writer.write(org, [Task(contact("4790000002")), Task(contact("4790000003"))])
    assert reasons(outcomes) == [reason, reason]
    assert all(isinstance(one, Retry) for one in outcomes)


async def test_a_missing_privilege_is_a_configuration_error_that_names_it(org):
    await org.fault("no_privilege", only="writes")
    (outcome,) = await deliver(org, contact("4790000001"))
    assert (outcome.reason, "prvWriteContact" in outcome.detail) == (Reason.CONFIGURATION, True)


async def test_a_value_that_another_record_has_in_another_key_is_a_dead_letter(org):
    key = {"SchemaName": "crmc_mailkey", "KeyAttributes": ["emailaddress1"]}
    await WebApi(org, Gate()).send(api.post("EntityDefinitions(LogicalName='contact')/Keys", key))
    await org.load("contact", {"lastname": "A", "emailaddress1": "a@example.org"})
    new = contact("4790000001", create=NEW, emailaddress1="a@example.org")
    outcomes = await deliver(org, new, contact("4790000002", create=NEW), event("e-1", "4790000001"))
    assert reasons(outcomes) == [Reason.DUPLICATE_RECORD, None, Reason.PARENT_FAILED]


class Renamed:
    """An `Http` whose answers tell of another record."""

    def __init__(self, http, of, to):
        self.http, self.of, self.to = http, of.encode(), to.encode()

    async def call(self, call):
        reply = await self.http.call(call)
        return replace(reply, body=reply.body.replace(self.of, self.to))


async def test_a_write_whose_answer_names_another_record_is_in_doubt(org):
    kari, other = await org.load("contact", {"lastname": "K", "crmc_smskey": "4790000001"}, {"lastname": "O"})
    task = Task(contact("4790000001", create=NEW, firstname="A"), record_id=kari)
    (outcome,) = await sink().write(Renamed(org, kari, other), [task])
    assert (outcome.reason, outcome.in_doubt) == (Reason.UNEXPECTED_ANSWER, True)


async def test_a_batch_whose_answer_was_lost_is_written_once(org):
    writer = sink()
    tasks = [Task(contact("4790000001", create=NEW)), Task(event("e-1", "4790000001"))]
    await writer.prepare(org, ["contact", "crmc_smsevent"])
    await org.fault("dropped")
    outcomes = await writer.write(org, tasks)
    assert all(isinstance(one, Retry) for one in outcomes)
    assert outcomes[0].in_doubt
    outcomes = await writer.write(org, tasks)
    assert all(isinstance(one, Delivered) for one in outcomes)
    assert (len(await org.records("contact")), len(await org.records("crmc_smsevent"))) == (1, 1)


async def test_a_child_of_a_refused_parent_is_refused(org):
    outcomes = await deliver(org, contact("4790000001", firstname="x" * 51), event("e-1", "4790000001"))
    assert reasons(outcomes) == [Reason.TOO_LONG, Reason.PARENT_FAILED]
    assert await org.records("crmc_smsevent") == []


async def test_a_missing_parent_is_waited_for_or_left_out_or_replaced_by_its_alternative(org):
    (known,) = await org.load("contact", {"lastname": "A", "crmc_smskey": "4790000001"})

    def row(key, parent):
        return RecordWrite(
            sink="crm", object="crmc_smsevent", key_field="crmc_smseventid", key=key, create={"crmc_contactid": parent}
        )

    missing = Parent("crmc_smskey", "4790000009")
    outcomes = await deliver(
        org,
        row("a", missing),
        row("b", replace(missing, or_none=True)),
        row("c", replace(missing, otherwise=(Parent("crmc_smskey", "4790000001"),))),
        row("d", Parent(ID_FIELD, known)),
    )
    assert reasons(outcomes) == [Reason.PARENT_MISSING, None, None, None]
    assert [one["_crmc_contactid_value"] for one in await org.records("crmc_smsevent")] == [None, known, known]


async def test_a_lookup_with_several_tables_needs_one_of_them(org):
    (person,) = await org.load("contact", {"lastname": "A"})

    def task(parent):
        return RecordWrite(
            sink="crm", object="task", key_field="activityid", key="t", set={"regardingobjectid": parent}
        )

    (refused,) = await deliver(org, task(Parent(ID_FIELD, person)))
    assert (refused.reason, "name one of them with type:" in refused.detail) == (Reason.CONFIGURATION, True)
    (done,) = await deliver(org, task(Parent(ID_FIELD, person, object="contact")))
    assert isinstance(done, Delivered)
    (emptied,) = await deliver(org, replace(task(None), set={"regardingobjectid": None}))
    assert isinstance(emptied, Delivered)
    assert (await org.records("task"))[0]["_regardingobjectid_value"] is None


async def test_an_unknown_table_stops_only_writes_to_it(org):
    other = replace(contact("4790000001"), object="nosuch")
    outcomes = await deliver(org, other, contact("4790000002"))
    assert reasons(outcomes) == [Reason.CONFIGURATION, None]


async def test_the_key_of_a_merged_record_is_moved_to_the_kept_record(org):
    winner, loser = await org.load("contact", {"lastname": "A"}, {"lastname": "B", "crmc_smskey": "4790000001"})
    await org.control("POST", "merge", {"table": "contact", "winner": winner, "loser": loser})
    outcomes = await deliver(org, contact("4790000001", crmc_smsoptout=True), event("e-1", "4790000001"))
    assert [one.record_id for one in outcomes][:1] == [winner]
    rows = {row["contactid"]: row for row in await org.records("contact")}
    assert (rows[winner]["crmc_smsoptout"], rows[winner]["crmc_smskey"]) == (True, "4790000001")
    assert rows[loser]["crmc_smskey"] is None
    assert (await org.records("crmc_smsevent"))[0]["_crmc_contactid_value"] == winner


async def test_a_merged_record_keeps_its_key_if_the_kept_record_cannot_be_written(org):
    """Both or neither: a key that nobody has would make another contact at the next try."""
    winner, loser = await org.load("contact", {"lastname": "Kept"}, {"lastname": "Old", "crmc_smskey": "4790000001"})
    await org.control("POST", "merge", {"table": "contact", "winner": winner, "loser": loser})
    await org.fault("row_lock", records=["Kept"])
    (outcome,) = await deliver(org, contact("4790000001", create=NEW, mobilephone="+4790000001"))
    assert isinstance(outcome, Retry), outcome
    await org.control("DELETE", "faults")
    (outcome,) = await deliver(org, contact("4790000001", create=NEW, mobilephone="+4790000001"))
    assert (outcome.record_id, outcome.created) == (winner, False)
    assert len(await org.records("contact")) == 2


async def test_a_write_to_a_known_record_that_was_merged_goes_to_the_kept_record(org):
    winner, loser = await org.load("contact", {"lastname": "A"}, {"lastname": "B", "crmc_smskey": "4790000001"})
    await org.control("POST", "merge", {"table": "contact", "winner": winner, "loser": loser})
    write = contact("4790000001", create=NEW, crmc_smsoptout=True)
    (outcome,) = await deliver(org, Task(write, record_id=loser))
    assert outcome.record_id == winner
    rows = {row["contactid"]: row for row in await org.records("contact")}
    assert rows[winner]["crmc_smsoptout"]


def clears(key="4790000001", **more):
    write = contact(key, crmc_smsoptout=False, **more)
    return replace(write, consent=("crmc_smsoptout",), clears_flag=True)


async def test_a_flag_that_a_person_has_set_is_not_cleared(org):
    await org.load("contact", {"lastname": "A", "crmc_smskey": "4790000001", "crmc_smsoptout": True})
    (outcome,) = await deliver(org, Task(clears(firstname="Kari"), shadow={"crmc_smsoptout": False}))
    assert outcome.left_out == ("crmc_smsoptout",)
    (row,) = await org.records("contact")
    assert (row["crmc_smsoptout"], row["firstname"]) == (True, "Kari")
    (outcome,) = await deliver(org, Task(clears(), shadow={"crmc_smsoptout": True}))
    assert outcome.left_out == ()
    assert not (await org.records("contact"))[0]["crmc_smsoptout"]


async def test_a_flag_that_a_person_sets_at_the_last_moment_is_not_cleared(org):
    (known,) = await org.load("contact", {"lastname": "A", "crmc_smskey": "4790000001"})
    writer = sink()
    await writer.prepare(org, ["contact"])

    async def ticked():
        await org.load("contact", {"contactid": known, "crmc_smsoptout": True})

    org.between = ticked()  # after the record was read, before it is written
    (outcome,) = await writer.write(org, [Task(clears(), shadow={"crmc_smsoptout": False})])
    assert outcome.left_out == ("crmc_smsoptout",)
    assert (await org.records("contact"))[0]["crmc_smsoptout"]


async def test_as_many_batches_run_at_once_as_the_org_recommends(org):
    gate = Gate()
    await org.control("PUT", "limits", {"parallelism": 2})
    await deliver(org, contact("4790000001"), gate=gate)
    assert gate.at_once == 2
    await org.control("PUT", "limits", {"parallelism": 40})
    await deliver(org, contact("4790000001"), gate=gate)
    assert gate.at_once == 8


async def test_a_service_command_is_refused(org):

    command = ServiceCommand(sink="crm", action="stop", phone=Phone("+4790000001"), short_number="2002", keyword="KATT")
    (outcome,) = await deliver(org, command)
    assert isinstance(outcome, Rejected)
