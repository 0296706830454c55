"""Finishes requests to forget a person: erases the remaining data when no event of the person is open any more."""

from datetime import timedelta

from connector.delivery.channels import OpenAlarms
from connector.pipeline.runtime import Runtime
from connector.store.person_key import key_file
from connector.store.store import Store
from connector.telemetry.log_events import Alarm, Lifecycle

FORGET_WORKER = "forget"
KEY_MISSING = "person_key_missing"


async def forget_the_rest(store: Store, runtime: Runtime, alarms: OpenAlarms, recognise: timedelta) -> int:
    """Erase the rest of each person's data that no open event needs. Returns 0: its worker waits for the next check.

    A repeat of an erased event is recognised for `recognise`.
    """
    forgetting = store.forgetting
    if forgetting.key_is_missing():
        alarms.start(_key_missing(store), KEY_MISSING, runtime.emit)
        return 0
    alarms.clear(KEY_MISSING, runtime.emit)
    for phone in forgetting.unfinished():
        if not forgetting.waits_for(phone):
            erased = await forgetting.erase(phone, now=runtime.now(), recognise=recognise)
            if not erased.waits:
                runtime.emit(Lifecycle(message="erased the rest of a forgotten person's data"))
    if forgetting.log_holds_erased:
        await forgetting.empty_log()
    return 0


def _key_missing(store: Store) -> Alarm:
    path = key_file(store.path)
    return Alarm(
        kind=KEY_MISSING,
        about=path.name,
        message=f"{path} is missing, or is not the key of this database: the opt-outs of forgotten people are not recognised",
        cure="put the file back from your backup; if it is lost for good, `connector person new-key` makes another, "
        "and those opt-outs stay unrecognised",
    )
