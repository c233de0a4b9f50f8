"""Changes of a CIB: the only ways in which it ever becomes another one.

A change of the configuration adds one to `epoch` and begins `num_updates` anew; a change of the
status adds one to `num_updates`. A change that changes nothing is none.
Source: facts/formats/CIB-STATUS.md section 6.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from standfest.core.cib import edit
from standfest.core.cib.document import Author, Cib
from standfest.core.cib.history import cancelled, recorded
from standfest.core.cib.patch import Patch, applied
from standfest.core.cib.roster import Roster, written
from standfest.model.element import Element
from standfest.model.operations import OperationResult
from standfest.model.status import Join, NodeState, Status, Version
from standfest.model.tickets import TicketState
from standfest.model.time import Duration


@dataclass(frozen=True, slots=True)
class RecordResult:
    """An operation ended on a node."""

    node: str
    result: OperationResult


@dataclass(frozen=True, slots=True)
class ForgetHistory:
    """Drop a node's history of one resource, or of all when `resource` is empty."""

    node: str
    resource: str


@dataclass(frozen=True, slots=True)
class ForgetRecurring:
    """A recurring operation was cancelled: what it said last counts no more."""

    node: str
    resource: str
    task: str
    interval: Duration


@dataclass(frozen=True, slots=True)
class SetNodeState:
    """A node came or went; history and attributes stay."""

    node: str
    in_membership: bool
    online: bool
    join: Join
    expected: bool


@dataclass(frozen=True, slots=True)
class SetTransientAttribute:
    """Set a node attribute that a restart forgets, or remove it when `value` is None."""

    node: str
    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class SetTicket:
    """Make this a ticket's state; None: forget the ticket."""

    ticket: str
    attributes: tuple[tuple[str, str], ...] | None


@dataclass(frozen=True, slots=True)
class SetQuorum:
    """The partition's quorum and its coordinator."""

    have_quorum: bool
    coordinator: str


@dataclass(frozen=True, slots=True)
class SetNodeAttribute:
    """Set a permanent node attribute, or remove it when `value` is None."""

    node: str
    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class SetResourceMeta:
    """Set a resource's meta-attribute, or remove it when `value` is None."""

    resource: str
    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class AddConstraint:
    """Add a constraint; its id must be new."""

    constraint: Element


@dataclass(frozen=True, slots=True)
class RemoveConstraint:
    """Remove the constraint with this id."""

    id: str


@dataclass(frozen=True, slots=True)
class ReplaceConfiguration:
    """Replace the whole configuration."""

    configuration: Element


@dataclass(frozen=True, slots=True)
class EditConfiguration:
    """Change the configuration by a patch; it has been checked what comes of it."""

    patch: Patch


@dataclass(frozen=True, slots=True)
class CountUp:
    """Begin a new epoch though nothing has changed, or this admin_epoch if it is a greater one."""

    admin_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Sign:
    """Say whose change of the configuration this is; comes with one, and is none by itself."""

    author: Author


@dataclass(frozen=True, slots=True)
class SetRoster:
    """Say who is a node of the cluster."""

    roster: Roster


@dataclass(frozen=True, slots=True)
class ForgetNode:
    """A node was removed: its history, its failures and its attributes go."""

    node: str


StatusChange = (
    ForgetNode
    | RecordResult
    | ForgetHistory
    | ForgetRecurring
    | SetNodeState
    | SetTransientAttribute
    | SetTicket
    | SetQuorum
)
ConfigurationChange = (
    SetNodeAttribute
    | SetResourceMeta
    | AddConstraint
    | RemoveConstraint
    | ReplaceConfiguration
    | EditConfiguration
    | SetRoster
)
Change = (
    ForgetNode
    | SetRoster
    | RecordResult
    | ForgetHistory
    | ForgetRecurring
    | SetNodeState
    | SetTransientAttribute
    | SetTicket
    | SetQuorum
    | SetNodeAttribute
    | SetResourceMeta
    | AddConstraint
    | RemoveConstraint
    | ReplaceConfiguration
    | EditConfiguration
    | CountUp
    | Sign
)


def apply_all(cib: Cib, changes: Iterable[Change]) -> Cib:
    """Return the CIB after all changes; raises OperationError, for the whole, if one is refused."""
    for change in changes:
        cib = apply(cib, change)
    return cib


def apply(cib: Cib, change: Change) -> Cib:
    """Return the CIB after one change; the same object when nothing changed."""
    version = cib.version
    match change:
        case (
            SetNodeAttribute()
            | SetResourceMeta()
            | AddConstraint()
            | RemoveConstraint()
            | ReplaceConfiguration()
            | EditConfiguration()
            | SetRoster()
        ):
            configuration = _configured(cib.configuration, change)
            if configuration == cib.configuration:
                return cib
            version = Version(version.admin_epoch, version.epoch + 1, 0)
            return replace(cib, version=version, configuration=configuration)
        case Sign(author):
            return replace(cib, author=author)
        case CountUp(admin_epoch):
            if admin_epoch > version.admin_epoch:
                return replace(cib, version=Version(admin_epoch, version.epoch, 0))
            return replace(cib, version=Version(version.admin_epoch, version.epoch + 1, 0))
        case _:
            status = _status(cib.status, change)
            if status is cib.status:
                return cib
            version = replace(version, num_updates=version.num_updates + 1)
            return replace(cib, version=version, status=status)


def _configured(configuration: Element, change: ConfigurationChange) -> Element:
    match change:
        case SetNodeAttribute(node, name, value):
            return edit.set_node_attribute(configuration, node, name, value)
        case SetResourceMeta(resource, name, value):
            return edit.set_resource_meta(configuration, resource, name, value)
        case AddConstraint(constraint):
            return edit.add_constraint(configuration, constraint)
        case RemoveConstraint(identifier):
            return edit.remove_constraint(configuration, identifier)
        case ReplaceConfiguration(replacement):
            return replacement
        case EditConfiguration(patch):
            return applied(patch, configuration)
        case SetRoster(roster):
            return written(configuration, roster)


def _status(status: Status, change: StatusChange) -> Status:
    """Return the changed status; the same object when the change changes nothing."""
    if isinstance(change, SetQuorum):
        changed = replace(status, have_quorum=change.have_quorum, coordinator=change.coordinator)
        return status if changed == status else changed
    if isinstance(change, ForgetNode):
        rest = tuple(known for known in status.nodes if known.name != change.node)
        return status if rest == status.nodes else replace(status, nodes=rest)
    if isinstance(change, SetTicket):
        return _with_ticket(status, change)
    before = status.node(change.node)
    state = before or NodeState(change.node)
    after = state
    match change:
        case RecordResult(result=result):
            after = replace(state, history=recorded(state.history, result))
        case ForgetHistory(resource=resource):
            kept = tuple(entry for entry in state.history if resource and entry[0] != resource)
            after = replace(state, history=kept)
        case ForgetRecurring(resource=resource, task=task, interval=interval):
            after = replace(state, history=cancelled(state.history, resource, task, interval))
        case SetNodeState():
            after = replace(
                state,
                in_membership=change.in_membership,
                online=change.online,
                join=change.join,
                expected=change.expected,
            )
        case SetTransientAttribute(name=name, value=value):
            after = state.with_attribute(name, value)
    return status if after == before else status.with_node(after)


def _with_ticket(status: Status, change: SetTicket) -> Status:
    """Return the status with one ticket set, at its place or at the end, or without it."""
    kept = {state.id: state for state in status.tickets.states}
    if change.attributes is None:
        kept.pop(change.ticket, None)
    else:
        kept[change.ticket] = TicketState(change.ticket, change.attributes)
    states = tuple(kept.values())
    if states == status.tickets.states:
        return status
    return replace(status, tickets=replace(status.tickets, states=states))
