"""All commands by name: the admin listener serves them, and the CLI runs them itself if no daemon runs.

Each takes an object and returns one, both fit for JSON. What a person can fix is raised as ConnectorError, with the
advice.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from connector.admin.actions import action_do, action_preview, action_show, actions_list
from connector.admin.baseline import baseline
from connector.admin.charges import (
    charges_approve,
    charges_list,
    charges_pause,
    charges_preview,
    charges_resolve,
    charges_resume,
    charges_show,
)
from connector.admin.console import console_audit, console_logout
from connector.admin.context import AdminContext
from connector.admin.dead_letters import (
    dead_discard,
    dead_list,
    dead_show,
    parked_discard,
    parked_list,
    parked_release,
)
from connector.admin.event_show import event_person, event_show
from connector.admin.events import events_counts, events_list, events_page
from connector.admin.explain import consents_show, explain
from connector.admin.needs import needs_list
from connector.admin.notes import notes_list
from connector.admin.person import person_export, person_forget, person_new_key, person_show
from connector.admin.person_overview import person_find, person_overview
from connector.admin.replays import dead_retry, replay
from connector.admin.retention import retention_show
from connector.admin.status import status
from connector.admin.stop_questions import answer_stop, stop_answers

Command = Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
COMMANDS: dict[str, Callable[[AdminContext, Mapping[str, Any]], Awaitable[dict[str, Any]]]] = {
    "status": status,
    "dead_list": dead_list,
    "dead_show": dead_show,
    "dead_retry": dead_retry,
    "dead_discard": dead_discard,
    "parked_list": parked_list,
    "parked_release": parked_release,
    "parked_discard": parked_discard,
    "parked_answer": answer_stop,
    "parked_answers": stop_answers,
    "notes_list": notes_list,
    "consents_show": consents_show,
    "consents_baseline": baseline,
    "charges_preview": charges_preview,
    "charges_list": charges_list,
    "charges_show": charges_show,
    "charges_approve": charges_approve,
    "charges_resolve": charges_resolve,
    "charges_pause": charges_pause,
    "charges_resume": charges_resume,
    "explain": explain,
    "replay": replay,
    "events_list": events_list,
    "needs_list": needs_list,
    "person_find": person_find,
    "person_overview": person_overview,
    "action_preview": action_preview,
    "action_do": action_do,
    "action_show": action_show,
    "actions_list": actions_list,
    "retention_show": retention_show,
    "person_show": person_show,
    "person_export": person_export,
    "person_forget": person_forget,
    "person_new_key": person_new_key,
    "events_page": events_page,
    "events_counts": events_counts,
    "event_show": event_show,
    "event_person": event_person,
    "console_audit": console_audit,
    "console_logout": console_logout,
}


def commands_for(context: AdminContext) -> dict[str, Command]:
    """All commands by name, for one store."""
    return {name: partial(command, context) for name, command in COMMANDS.items()}
