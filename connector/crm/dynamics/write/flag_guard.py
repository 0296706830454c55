"""Whether an opt-out flag may be cleared: not if a person has set it since we last read the record. Pure."""

from connector.crm.candidates import same
from connector.crm.dynamics.write.lookups import Found
from connector.model.consent_fields import ConsentFields
from connector.model.operation import RecordWrite
from connector.ports import Shadow, Task


def set_by_a_person(task: Task, consent: ConsentFields, found: Found) -> bool:
    """Whether the record is opted out now but not in the shadow."""
    if not same(found.flag, consent.opted_out):
        return False
    shadow = _known_values(task, found)
    return shadow is None or not same(shadow.get(consent.flag), consent.opted_out)


def _known_values(task: Task, found: Found) -> Shadow:
    """The known values of the record that the task is now for; None for one that a merge kept."""
    if found.merged is not None:
        return None
    if not isinstance(task.operation, RecordWrite) or task.operation.match is None:
        moved = task.record_id is not None and task.record_id != found.record_id
        return None if moved else task.shadow
    shadow = task.remembered.shadows.get(found.record_id)
    if task.remembered.record_id is not None and task.remembered.record_id != found.record_id:
        return shadow  # the task's own values are of the record that was meant before
    return shadow if task.shadow is None else {**(shadow or {}), **task.shadow}
