"""Events as the operator's alert agents know them: one `Alert` of each kind, with its fields.

Field names are those of the environment without `CRM_alert_`; who is told is `daemons.alerting`'s.
Source: Pacemaker Administration, "Writing an Alert Agent"; facts/formats/CIB-STATUS.md section 7.
"""

from standfest.model.alerts import AlertKind
from standfest.model.fencing import FencingRecord
from standfest.model.operations import OperationResult, OperationStatus
from standfest.model.outcomes import EXIT_WORDS, STATUS_WORDS
from standfest.model.time import in_milliseconds
from standfest.runtime.cluster.effects import Alert

MEMBER, LOST = "member", "lost"
CLIENT = "standfest"
"""Who asks for fencing, as `stonith_admin --history` calls it."""


def operation(node: str, result: OperationResult) -> list[Alert]:
    """Return the event that an operation ended on a node; none for a probe that found as expected.

    The same result of a recurring operation again is no event either: executors do not report it.
    """
    asked, done = result.operation, result.status is OperationStatus.DONE
    probe = asked.task == "monitor" and not asked.interval
    if probe and done and result.exit_code == asked.expected:
        return []
    words = EXIT_WORDS.get(result.exit_code) if done else STATUS_WORDS.get(result.status)
    return [
        Alert(
            AlertKind.RESOURCE,
            (
                ("node", node),
                ("rsc", asked.resource),
                ("task", asked.task),
                ("interval", str(in_milliseconds(asked.interval))),
                ("desc", words or "unknown"),
                ("status", str(int(result.status))),
                ("target_rc", str(int(asked.expected))),
                ("rc", str(int(result.exit_code))),
                ("exec_time", str(in_milliseconds(result.run_time))),
            ),
        )
    ]


def membership(node: str, identifier: str, *, there: bool) -> Alert:
    """Return the event that a node came, or was lost; identifier: its id in the CIB."""
    fields = (("node", node), ("nodeid", identifier), ("desc", MEMBER if there else LOST))
    return Alert(AlertKind.NODE, fields)


def fencing(record: FencingRecord, coordinator: str) -> Alert:
    """Return the event that a fencing is done, or failed once more; coordinator: whose it is."""
    by = record.executor or "an administrator"
    how = "OK" if record.succeeded else f"Error ({record.reason})" if record.reason else "Error"
    who = f"{CLIENT}@{record.origin or coordinator}"
    done = f" by {by}" if record.succeeded else ""
    desc = f"Operation {record.action} of {record.target}{done} for {who}: {how} (ref={record.id})"
    fields = (
        ("node", record.target),
        ("task", record.action),
        ("desc", desc),
        ("rc", "0" if record.succeeded else "1"),
    )
    return Alert(AlertKind.FENCING, fields)


def attribute(node: str, name: str, value: str | None) -> Alert:
    """Return the event that a node attribute has changed; None: it has none any more."""
    fields = (("node", node), ("attribute_name", name))
    given = () if value is None else (("attribute_value", value),)
    return Alert(AlertKind.ATTRIBUTE, (*fields, *given))
