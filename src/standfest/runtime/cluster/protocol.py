"""What the cluster daemons of different nodes say to each other, and how it is written.

Carried by `pulse` as payloads: reliable, in the order sent, from members only.
"""

import zlib
from dataclasses import dataclass, replace

from standfest.core.cib.patch import Patch
from standfest.core.cib.replica import OutOfStep, Stored, Sync, Update
from standfest.core.membership.election import Hello
from standfest.core.membership.views import Statement
from standfest.model import xml
from standfest.model.element import Element
from standfest.model.errors import ConfigError, Ground, WireError
from standfest.model.fencing import FenceCall, FencingRecord
from standfest.model.operations import Operation, OperationResult, OperationStatus
from standfest.model.status import Version
from standfest.model.tickets import Tickets
from standfest.wire import values


@dataclass(frozen=True, slots=True)
class Lead:
    """The sender coordinates in this term; everybody else joins.

    invitation: who has joined already shall do so once more if this is greater than when it did,
    because messages may have been lost since; written: see core.cib.document.Cib.
    """

    term: int
    version: Version
    invitation: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class Join:
    """A member puts itself under the coordinator, and says all that it knows of itself.

    history: every result of its executor, and what runs or waits as pending; down: devices without
    carrier; configuration: only where it is newer than the coordinator's; written: see
    core.cib.document.Cib; invitation: of the Lead that this answers; tickets: as it has kept them.
    """

    term: int
    version: Version
    history: tuple[tuple[str, tuple[OperationResult, ...]], ...]
    down: tuple[str, ...]
    configuration: Element | None = None
    written: int = 0
    invitation: int = 0
    tickets: Tickets = Tickets()

    @property
    def pending(self) -> tuple[Operation, ...]:
        """Return what runs or waits on the sender, in its order for each resource."""
        return tuple(
            entry.operation
            for _, entries in self.history
            for entry in entries
            if entry.status is OperationStatus.PENDING
        )


@dataclass(frozen=True, slots=True)
class Execute:
    """Coordinator to member: run this operation (again: report it again)."""

    term: int
    operation: Operation


@dataclass(frozen=True, slots=True)
class Cancel:
    """Coordinator to member: end a recurring operation. interval: ns."""

    term: int
    resource: str
    task: str
    interval: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Coordinator to member: drop all that is remembered of a resource."""

    term: int
    resource: str


@dataclass(frozen=True, slots=True)
class Fail:
    """Coordinator to member: record that a resource has failed, and report it."""

    term: int
    resource: str


@dataclass(frozen=True, slots=True)
class Fence:
    """Coordinator to member: call this fence agent; `run` is never used twice in a term."""

    term: int
    run: int
    call: FenceCall


@dataclass(frozen=True, slots=True)
class Fenced:
    """Member to coordinator: how a call that the coordinator of this term asked for has ended."""

    term: int
    run: int
    succeeded: bool
    reason: str


@dataclass(frozen=True, slots=True)
class FencingHistory:
    """Coordinator to all: what was fenced lately, oldest first."""

    term: int
    records: tuple[FencingRecord, ...]


Order = Execute | Cancel | Forget | Fail | Fence | FencingHistory
"""What members do because the coordinator of their term says so."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Member to coordinator: how an operation ended."""

    result: OperationResult


@dataclass(frozen=True, slots=True)
class Links:
    """Member to coordinator: the devices that have no carrier now."""

    down: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reachable:
    """Member to coordinator: what the ping nodes that it reaches count; None: not known yet."""

    number: int | None


@dataclass(frozen=True, slots=True)
class Gone:
    """`pulse` to all, in the name of a cluster daemon that closed its connection."""


@dataclass(frozen=True, slots=True)
class Depart:
    """Member to coordinator: hand over what runs here, then release me."""


@dataclass(frozen=True, slots=True)
class Released:
    """Coordinator to member: nothing runs on you any more; you may leave."""


@dataclass(frozen=True, slots=True)
class Standby:
    """Request: put a node into standby, or bring it back."""

    node: str
    on: bool


@dataclass(frozen=True, slots=True)
class Move:
    """Request: prefer a node for a resource, or ban it from where it runs when `node` is empty."""

    resource: str
    node: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Request: take back what `Move` did."""

    resource: str


@dataclass(frozen=True, slots=True)
class Cleanup:
    """Request: forget failures and history of a resource, everywhere or on one node."""

    resource: str
    node: str


@dataclass(frozen=True, slots=True)
class ChangeConfiguration:
    """Request: change the configuration, as a whole or not at all.

    patch: made for version `base`, None to count up only; admin_epoch: the new one, 0 to keep it;
    client: by which tool; user, groups: who asks, as the daemon knows it, empty for root;
    trial: seconds after which it is taken back unless it is confirmed, 0 for a change that stays.
    """

    patch: Patch | None
    base: Version
    admin_epoch: int = 0
    client: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    trial: int = 0


@dataclass(frozen=True, slots=True)
class SetAttribute:
    """Request: set a node attribute that a restart forgets, or remove it when `value` is None."""

    node: str
    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Refresh:
    """Request: forget all that is known of a resource, and look again; all when it is empty."""

    resource: str
    node: str


@dataclass(frozen=True, slots=True)
class ChangeTicket:
    """Request: set attributes of a ticket, or remove those whose value is None."""

    ticket: str
    changes: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class ForgetTicket:
    """Request: forget a ticket, as if it had never been granted."""

    ticket: str


@dataclass(frozen=True, slots=True)
class FailResource:
    """Request: let a resource count as failed on a node, as its monitor would say it."""

    resource: str
    node: str


@dataclass(frozen=True, slots=True)
class FenceNode:
    """Request: fence a node; action: `reboot`, `off` or `on`."""

    node: str
    action: str


@dataclass(frozen=True, slots=True)
class FenceConfirm:
    """Request: an administrator has seen to it that nothing runs on a node."""

    node: str


@dataclass(frozen=True, slots=True)
class FenceForget:
    """Request: forget the fencings of a node that have ended, of all nodes when it is empty."""

    node: str


@dataclass(frozen=True, slots=True)
class AddNode:
    """Request: a node belongs to the cluster from now on, and has a vote."""

    node: str


@dataclass(frozen=True, slots=True)
class RemoveNode:
    """Request: a node that is stopped belongs to the cluster no longer."""

    node: str


RosterRequest = AddNode | RemoveNode
FencingRequest = FenceNode | FenceConfirm | FenceForget
PACKED_FROM = 64 * 1024
"""Payloads of so many bytes are packed: a whole CIB may have megabytes, and says much twice."""
DOCUMENT = b"\0"
"""Begins the XML of a configuration behind a message; JSON has no such byte."""
ELSEWHERE = Element("configuration")
ZLIB = b"x"
"""The first byte of what zlib packs (RFC 1950: deflate, 32 KiB); our own values begin with [."""

TicketRequest = ChangeTicket | ForgetTicket
CibRequest = ChangeConfiguration | SetAttribute | Refresh | TicketRequest | FailResource
Request = Standby | Move | Clear | Cleanup | FencingRequest | RosterRequest | CibRequest


@dataclass(frozen=True, slots=True)
class Ask:
    """Member to coordinator: an administrator's request; `id` is unique for the sender."""

    id: int
    request: Request


@dataclass(frozen=True, slots=True)
class Told:
    """Coordinator to member: the answer to an Ask."""

    id: int
    accepted: bool
    text: str
    ground: Ground = Ground.NONE


ClusterMessage = (
    Hello
    | Lead
    | Join
    | Sync
    | Update
    | Stored
    | OutOfStep
    | Execute
    | Cancel
    | Forget
    | Fail
    | Fence
    | Fenced
    | FencingHistory
    | Outcome
    | Links
    | Reachable
    | Gone
    | Depart
    | Released
    | Ask
    | Told
    | Statement
)

_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(Hello, Lead, Join, Sync, Update, Stored, OutOfStep, Execute, Cancel, Forget),
        *(
            Fail,
            Fence,
            Fenced,
            FencingHistory,
            Outcome,
            Links,
            Reachable,
            Gone,
            Depart,
            Released,
            Ask,
            Told,
            Statement,
        ),
    )
}


def encode(message: ClusterMessage) -> bytes:
    """Return the payload for a message; a large one is packed.

    A configuration stands behind it as XML, which expat reads five times as fast as we read values:
    who reads 5 MB for seconds is not heard for seconds.
    """
    document = b""
    if isinstance(message, Sync | Join) and message.configuration is not None:
        document = DOCUMENT + xml.serialise(message.configuration, indent=0).encode()
        message = replace(message, configuration=ELSEWHERE)
    content = values.encode(message) + document
    return content if len(content) < PACKED_FROM else zlib.compress(content, 1)


def decode(payload: bytes) -> ClusterMessage:
    """Return the message in a payload; raises WireError."""
    if payload[:1] == ZLIB:
        payload = _unpacked(payload)
    content, mark, document = payload.partition(DOCUMENT)
    message: ClusterMessage = values.decode(content, _TYPES)
    if isinstance(message, Sync | Join) and mark:
        return replace(message, configuration=_configuration(document))
    return message


def _configuration(document: bytes) -> Element:
    try:
        return xml.parse(document, "message")
    except ConfigError as error:
        raise WireError("document", str(error)) from error


def _unpacked(payload: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(payload, values.MAX_BYTES)
    except zlib.error as error:
        raise WireError("packed", str(error)) from error
    if not unpacker.eof:
        raise WireError("packed", f"{len(payload)} bytes that are no whole, or too large")
    return content


_REQUESTS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(ChangeConfiguration, SetAttribute, Refresh),
        *(ChangeTicket, ForgetTicket, FailResource),
    )
}


def encode_request(request: CibRequest) -> bytes:
    """Return a request as a tool on this node hands it to its daemon."""
    return values.encode(request)


def decode_request(content: bytes) -> CibRequest:
    """Return the request in what a tool has said; raises WireError."""
    request: CibRequest = values.decode(content, _REQUESTS)
    return request
