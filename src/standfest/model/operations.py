"""Operations on resources: what is asked of an agent, and what came of it.

Source: OCF Resource Agent API 1.1, facts/formats/RA-API.md, CIB-STATUS.md section 3.
"""

from dataclasses import dataclass
from enum import IntEnum

from standfest.model.time import Duration


class ExitCode(IntEnum):
    """Exit codes of OCF agents."""

    OK = 0
    GENERIC = 1
    ARGUMENTS = 2
    UNIMPLEMENTED = 3
    PERMISSION = 4
    NOT_INSTALLED = 5
    NOT_CONFIGURED = 6
    NOT_RUNNING = 7
    RUNNING_PROMOTED = 8
    FAILED_PROMOTED = 9
    DEGRADED = 190
    DEGRADED_PROMOTED = 191
    NONE = 193  # the rc-code of an operation that has not ended yet


class OperationStatus(IntEnum):
    """The `op-status` of a history entry (facts/formats/CIB-STATUS.md section 3)."""

    PENDING = -1
    DONE = 0
    CANCELLED = 1
    TIMEOUT = 2
    UNSUPPORTED = 3
    ERROR = 4
    NOT_INSTALLED = 7


@dataclass(frozen=True, slots=True)
class Agent:
    """Which agent: standard `ocf`, `lsb`, `systemd`, `service`, `heartbeat` or `stonith`."""

    standard: str
    type: str
    provider: str = ""

    def __str__(self) -> str:
        """Return the name as administrators write it, `ocf:heartbeat:IPaddr2`."""
        return ":".join(part for part in (self.standard, self.provider, self.type) if part)


@dataclass(frozen=True, slots=True)
class Operation:
    """One call of an agent.

    interval: 0 for one-shot, else the period of a recurring operation; timeout: of one run.
    parameters: instance attributes, sorted by name; meta: CRM_meta_* without the prefix, sorted.
    key: the transition-key `ACTION:TRANSITION:EXPECTED_RC:UUID`; expected: the exit code in it.
    """

    resource: str
    agent: Agent
    task: str
    interval: Duration
    timeout: Duration
    parameters: tuple[tuple[str, str], ...] = ()
    meta: tuple[tuple[str, str], ...] = ()
    key: str = ""
    expected: int = ExitCode.OK
    start_delay: Duration = 0


_CHANGES = frozenset({"start", "promote", "demote", "migrate_to", "migrate_from"})


@dataclass(frozen=True, slots=True)
class OperationResult:
    """How a run of an operation ended on one node; becomes an lrm_rsc_op.

    call_id: counts up per node, orders the history; last_run and last_change: seconds since 1970.
    """

    operation: Operation
    status: OperationStatus
    exit_code: int
    call_id: int
    exit_reason: str = ""
    last_run: int = 0
    last_change: int = 0
    run_time: Duration = 0
    queue_time: Duration = 0

    @property
    def succeeded(self) -> bool:
        """Return whether the operation ended as expected (degraded counts as running)."""
        plain = {190: 0, 191: 8}.get(self.exit_code, self.exit_code)
        return self.status is OperationStatus.DONE and plain == self.operation.expected

    @property
    def ends_recurring(self) -> bool:
        """Return whether the resource's recurring operations from before this one are over.

        A node ends them before it changes a state, since they would see it half done; those for the
        new state are begun anew. A stop that failed leaves the state, and what is known of it.
        """
        return self.operation.task in _CHANGES or (self.operation.task == "stop" and self.succeeded)
