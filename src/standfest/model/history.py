"""The recorded `<status>` of a CIB in compact form, as the scheduler reads it.

Plain slots instead of frozen dataclasses: a CIB of 32 nodes holds 300,000 of these.
Source: facts/formats/CIB-STATUS.md sections 1 to 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from standfest.model.tickets import LAST_GRANTED, is_true


class Entry:
    """One `<lrm_rsc_op>`: the last result of one operation on one node.

    key: operation_key; interval: ms; expected: exit code in the transition-key; status: op-status;
    last_change, last_run: seconds since 1970, 0 unknown; digest and restart_digest: of the
    parameters that it ran with, empty unknown; failed: whether it is the `last_failure` entry.
    """

    __slots__ = (
        "call_id",
        "digest",
        "exit_code",
        "exit_reason",
        "expected",
        "failed",
        "force_restart",
        "id",
        "interval",
        "key",
        "last_change",
        "last_run",
        "magic",
        "migrate_source",
        "migrate_target",
        "restart_digest",
        "secure",
        "secure_digest",
        "status",
        "task",
        "transition",
    )

    def __init__(self, task: str, interval: int, exit_code: int, status: int) -> None:
        self.task = task
        self.interval = interval
        self.exit_code = exit_code
        self.status = status
        self.id = ""
        self.key = ""
        self.transition = ""
        self.magic = ""
        self.expected = -1
        self.call_id = -1
        self.last_change = 0
        self.last_run = 0
        self.failed = False
        self.digest = ""
        self.restart_digest = ""
        self.force_restart: str | None = None
        self.secure: str | None = None
        self.secure_digest = ""
        self.migrate_source = ""
        self.migrate_target = ""
        self.exit_reason = ""


class ResourceRecord:
    """One `<lrm_resource>`: which agent, and its entries in document order."""

    __slots__ = ("agent", "container", "entries", "id", "lock")

    def __init__(self, id: str, agent: tuple[str, str, str]) -> None:
        self.id = id
        self.agent = agent
        self.container = ""
        self.lock = 0
        self.entries: list[Entry] = []


class NodeRecord:
    """One `<node_state>`: its attributes, transient attributes, and history by resource."""

    __slots__ = ("attributes", "history", "id", "maintenance", "name", "transient", "utilization")

    def __init__(self, id: str, name: str, attributes: Mapping[str, str]) -> None:
        self.id = id
        self.name = name
        self.attributes = attributes
        self.transient: dict[str, str] = {}
        self.utilization: dict[str, str] = {}
        self.history: list[ResourceRecord] = []


@dataclass(slots=True)
class Ticket:
    """One `<ticket_state>`: whether this site may run what depends on the ticket."""

    id: str
    granted: bool = False
    standby: bool = False
    last_granted: int = 0

    @classmethod
    def stated(cls, name: str, attributes: Mapping[str, str]) -> "Ticket":
        """Return what a `<ticket_state>` says; a time that is none counts as 0."""
        last = attributes.get(LAST_GRANTED, "")
        return cls(
            name,
            is_true(attributes.get("granted")),
            is_true(attributes.get("standby")),
            int(last) if last.isascii() and last.isdecimal() and len(last) < 16 else 0,
        )


@dataclass(slots=True)
class Recorded:
    """All that a CIB says besides its configuration: the attributes of `<cib>` and the status."""

    attributes: Mapping[str, str] = field(default_factory=dict)
    nodes: list[NodeRecord] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
