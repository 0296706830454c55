"""All commands by name: the admin listener serves them, and the CLI runs them itself if no daemon runs.

Each takes an object and returns one, both fit for JSON. What a person can fix is raised as ConnectorError, with the
advice.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
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
from connector.delivery.channels import FeedChannel, SinkChannel
from connector.mapping.compile.ruleset import Ruleset
from connector.registry import Loaded
from connector.store.store import Store
from connector.telemetry.activity import Activity
from connector.telemetry.current_alarms import RaisedAlarm

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


class Control:
    """Serves one store. `rules` returns the mappings in use, and may raise ProblemsFound if there are none."""

    def __init__(
        self,
        store: Store,
        *,
        rules: Callable[[], Ruleset],
        loaded: Loaded,
        now: Callable[[], datetime],
        sink_channels: Mapping[str, SinkChannel] | None = None,
        feed_channels: Mapping[str, FeedChannel] | None = None,
        faults: Callable[[], Sequence[str]] = list,
        alarms: Callable[[], Sequence[RaisedAlarm]] = list,
        activity: Activity | None = None,
        started: datetime | None = None,
    ) -> None:
        """`sink_channels` and `feed_channels` are those of the running daemon; both change with the mappings.

        `faults` returns in plain words what is wrong with the daemon itself, `alarms` those that are raised now. `started`
        is when the daemon started; None if none runs. `activity` is what it counts.
        """
        self.context = AdminContext.of(
            store,
            rules=rules,
            loaded=loaded,
            now=now,
            sink_channels=sink_channels,
            feed_channels=feed_channels,
            faults=faults,
            alarms=alarms,
            activity=activity,
            started=started,
        )

    def commands(self) -> dict[str, Command]:
        """All commands, by name."""
        return {name: partial(command, self.context) for name, command in COMMANDS.items()}
