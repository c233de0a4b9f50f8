"""Results of operations that are made up: injected into what is recorded, or met on the way.

A specification is `RESOURCE_TASK_INTERVAL@NODE=RC`, interval in ms, as crm_simulate takes it.
Failures are counted as the cluster counts them: a failed start is fatal unless the option
start-failure-is-fatal says no, a failed stop always is.
"""

from dataclasses import dataclass

from standfest.analysis.connected import base_of
from standfest.core.scheduler.values import boolean
from standfest.model.element import Element
from standfest.model.errors import OperationError
from standfest.model.history import Entry, NodeRecord, Recorded, ResourceRecord
from standfest.model.scores import INFINITY

TASKS = (
    "migrate_to",
    "migrate_from",
    "reload-agent",
    "monitor",
    "promote",
    "demote",
    "reload",
    "start",
    "stop",
)
MOST_CODE = 255
_FORM = "RESOURCE_TASK_INTERVAL@NODE=RC, e.g. ip_monitor_10000@node1=7"


@dataclass(frozen=True, slots=True)
class Injection:
    """One result: `task` of `resource` on `node` ended with `code`; interval in ms."""

    resource: str
    task: str
    interval: int
    node: str
    code: int

    @property
    def key(self) -> str:
        """Return `RESOURCE_TASK_INTERVAL`."""
        return f"{self.resource}_{self.task}_{self.interval}"

    @property
    def expected(self) -> int:
        """Return the exit code of success: a probe expects that nothing runs."""
        return 7 if self.task == "monitor" and not self.interval else 0


def parse(text: str) -> Injection:
    """Return the result that a specification means; raises OperationError for any other text."""
    operation, at, rest = text.partition("@")
    node, equals, code = rest.rpartition("=")
    stem, _, interval = operation.rpartition("_")
    task = next((task for task in TASKS if stem.endswith(f"_{task}")), "")
    resource = stem.removesuffix(f"_{task}")
    numbers = interval.isdecimal() and code.isdecimal()
    if not (at and equals and task and resource and node and numbers) or len(interval) > 12:
        raise OperationError(f"operation {text}; expected {_FORM}")
    if len(code) > 3 or int(code) > MOST_CODE:
        raise OperationError(f"operation {text}: exit code {code}; expected 0..{MOST_CODE}")
    return Injection(resource, task, int(interval), node, int(code))


def agent_of(configuration: Element, resource: str) -> tuple[str, str, str]:
    """Return class, provider and type of a primitive; raises OperationError for an unknown one."""
    resources = configuration.child("resources")
    for element in resources.walk() if resources is not None else ():
        if element.tag == "primitive" and element.id == base_of(resource):
            return (
                element.get("class") or "",
                element.get("provider") or "",
                element.get("type") or "",
            )
    raise OperationError(f"unknown resource {resource}; expected the id of a primitive")


def record(  # noqa: PLR0917 (what, where, when: all of it is written down)
    configuration: Element,
    recorded: Recorded,
    node: NodeRecord,
    given: Injection,
    now: int,
    migration: tuple[str, str] = ("", ""),
) -> None:
    """Write a result into a node's history, and count it if it is a failure.

    migration: source and target of a live migration, where they are known.
    """
    agent = agent_of(configuration, given.resource)
    history = _history(node, given.resource)
    if history is None:
        history = ResourceRecord(given.resource, agent)
        node.history.append(history)
    same = (given.task, given.interval)
    failed = given.code != given.expected
    history.entries = [
        entry
        for entry in history.entries
        if (entry.task, entry.interval) != same and not (failed and entry.failed)
    ]
    calls = [e.call_id for n in recorded.nodes for r in n.history for e in r.entries]
    entry = Entry(given.task, given.interval, given.code, 0)
    entry.expected = given.expected
    entry.call_id = max(calls, default=0) + 1
    entry.key = f"{history.id}_{given.task}_{given.interval}"
    entry.id = f"{history.id}_last_failure_0" if failed else entry.key
    entry.failed = failed
    entry.last_change = entry.last_run = now
    entry.exit_reason = "what if" if failed else ""
    entry.migrate_source, entry.migrate_target = migration
    if given.task == "migrate_to" and not migration[0]:
        entry.migrate_source = node.name
    history.entries.append(entry)
    if failed and not (given.task == "monitor" and not given.interval):
        _count(configuration, node, given, now)


def _history(node: NodeRecord, resource: str) -> ResourceRecord | None:
    exact = next((known for known in node.history if known.id == resource), None)
    if exact is not None:
        return exact
    base = base_of(resource)
    return next((known for known in node.history if base_of(known.id) == base), None)


def _count(configuration: Element, node: NodeRecord, given: Injection, now: int) -> None:
    name = f"{base_of(given.resource)}#{given.task}_{given.interval}"
    before = node.transient.get(f"fail-count-{name}", "0")
    if given.task == "stop" or (given.task == "start" and _fatal(configuration)):
        count = "INFINITY"
    else:
        plain = before.isdecimal() and len(before) < 8
        count = str(min(int(before) + 1, INFINITY)) if plain else before
    node.transient[f"fail-count-{name}"] = count
    node.transient[f"last-failure-{name}"] = str(now)


def _fatal(configuration: Element) -> bool:
    section = configuration.child("crm_config")
    for pair in section.walk() if section is not None else ():
        if (pair.get("name") or "").replace("_", "-") == "start-failure-is-fatal":
            return boolean(pair.get("value"), True)
    return True
