"""Administrators' requests as changes of the CIB."""

from collections.abc import Iterator, Set
from dataclasses import dataclass

from standfest.core.cib.changes import (
    AddConstraint,
    Change,
    ConfigurationChange,
    CountUp,
    ForgetHistory,
    RemoveConstraint,
    SetNodeAttribute,
    SetTransientAttribute,
    Sign,
)
from standfest.core.cib.document import Author, Cib
from standfest.model.configuration import Clone, Configuration, Group, NoQuorumPolicy, Resource
from standfest.model.element import Element
from standfest.model.errors import Ground, OperationError, RefusedError
from standfest.model.status import NodeState, Status
from standfest.runtime.cluster.editing import edited
from standfest.runtime.cluster.effects import MemberEffect, Send, note
from standfest.runtime.cluster.failures import forget_failures, has_failed
from standfest.runtime.cluster.inventing import check_invented
from standfest.runtime.cluster.partition import Partition
from standfest.runtime.cluster.protocol import (
    AddNode,
    ChangeConfiguration,
    ChangeTicket,
    Cleanup,
    Clear,
    Fail,
    FailResource,
    FenceConfirm,
    FenceForget,
    FenceNode,
    Forget,
    ForgetTicket,
    Move,
    Refresh,
    RemoveNode,
    Request,
    SetAttribute,
    Standby,
    Told,
)
from standfest.runtime.cluster.ticketing import ticket_changes


@dataclass(frozen=True, slots=True)
class Keepers:
    """Who would have a changed configuration on disk: a quorum by themselves, or it is refused."""

    partition: Partition
    joined: Set[str]
    policy: NoQuorumPolicy

    @property
    def suffice(self) -> bool:
        """Return whether what they keep outlives the loss of any minority (docs/adr/0027)."""
        return self.policy is NoQuorumPolicy.IGNORE or self.partition.suffices(self.joined)

    def check(self, request: Request) -> None:
        """Raise OperationError without quorum; failures may be forgotten at any time."""
        if not isinstance(request, Cleanup) and not self.suffice:
            names, all_nodes = (
                ", ".join(sorted(self.joined)),
                len(self.partition.quorum.rules.nodes),
            )
            text = f"no quorum: of {all_nodes} nodes only {names} would keep it"
            raise RefusedError(Ground.NO_QUORUM, text)

    def told(self, number: int, text: str) -> Told:
        """Return the answer to a request whose change all of them have on disk."""
        if self.suffice:
            return Told(number, True, text)
        open_ = f"open whether it stays, quorum was lost meanwhile: {text}"
        return Told(number, False, open_, Ground.NO_QUORUM)


def changes_for(  # noqa: PLR0917 (all that a request may be about)
    request: Request,
    cib: Cib,
    configuration: Configuration,
    nodes: tuple[str, ...],
    wall: int,
    origin: str,
) -> tuple[tuple[Change, ...], str]:
    """Return what the request changes, signed, and the sentence that tells the administrator.

    nodes: all of the cluster; wall: seconds since 1970; origin: the node where it was asked.
    Raises OperationError as `_changes_for` does.
    """
    changes, text = _changes_for(request, cib, configuration, nodes, wall)
    return _signed(changes, request, wall, origin), text


def noted(request: Request, text: str) -> list[MemberEffect]:
    """Return what goes into the log of a request that is granted."""
    effects: list[MemberEffect] = [note("request", request=type(request).__name__, text=text)]
    if isinstance(request, Standby):
        event = "standby-requested" if request.on else "online-requested"
        effects.append(note(event, node=request.node))
    return effects


def orders_for(
    request: Request, term: int, configuration: Configuration, status: Status
) -> list[MemberEffect]:
    """Return what members are to do for a request that is granted; status: as it was before."""
    match request:
        case Cleanup() | Refresh():
            forgotten = to_forget(configuration, status, request)
            return [Send(node, Forget(term, resource)) for node, resource in forgotten]
        case FailResource(resource, node):
            return [Send(node, Fail(term, resource))]
        case _:
            return []


def _changes_for(
    request: Request, cib: Cib, configuration: Configuration, nodes: tuple[str, ...], wall: int
) -> tuple[tuple[Change, ...], str]:
    """Return what the request changes, and the sentence that tells the administrator.

    Raises OperationError when it names something that does not exist or cannot be done.
    """
    match request:
        case Standby(node, on):
            _known("node", node, nodes)
            value = "on" if on else None
            text = f"{node} goes into standby" if on else f"{node} takes part again"
            return (SetNodeAttribute(node, "standby", value),), text
        case Move(resource, node):
            return _move(resource, node, cib, configuration, nodes)
        case Clear(resource):
            whole = _found(configuration, resource)[0].id
            gone = tuple(RemoveConstraint(name) for name in _moves(cib, whole))
            return gone, f"{whole} may run anywhere again" if gone else f"{whole} was not moved"
        case Cleanup(resource, node):
            if node:
                _known("node", node, nodes)
            cleaned = tuple(_cleanup(cib, to_forget(configuration, cib.status, request)))
            if not cleaned:
                return (), f"no failure of {resource} is on record"
            return cleaned, f"failures of {resource} are forgotten"
        case ChangeConfiguration():
            return edited(request, cib, wall, nodes)
        case SetAttribute(node, name, value):
            _known("node", node, nodes)
            what = f"{name} of {node}"
            text = f"{what} is forgotten" if value is None else f"{what} is {value} until a restart"
            return (SetTransientAttribute(node, name, value),), text
        case ChangeTicket() | ForgetTicket():
            return ticket_changes(request, cib.status, wall)
        case FailResource(resource, node):
            _known("node", node, nodes)
            names = histories(configuration, cib.status, resource)
            return (), check_invented(request, names, cib.status)
        case Refresh(resource, node):
            if node:
                _known("node", node, nodes)
            return tuple(_cleanup(cib, to_forget(configuration, cib.status, request))), (
                f"{resource or 'everything'} is looked at again{f' on {node}' if node else ''}"
            )
        case FenceNode() | FenceConfirm() | FenceForget() | AddNode() | RemoveNode():
            raise AssertionError("neither fencing nor the roster is changed in this way")


def _signed(
    changes: tuple[Change, ...], request: Request, wall: int, origin: str
) -> tuple[Change, ...]:
    """Return the changes with who wanted them, where they are of the configuration."""
    if not any(isinstance(change, ConfigurationChange | CountUp) for change in changes):
        return changes
    user, client = "root", "standfest"
    if isinstance(request, ChangeConfiguration):
        user, client = request.user or user, request.client or client
    return (*changes, Sign(Author(wall, user, client, origin)))


def histories(configuration: Configuration, status: Status, resource: str) -> tuple[str, ...]:
    """Return under which names operations of a resource, or of what is in it, are recorded.

    Instances of globally unique clones are `ID:NUMBER`, as far as any node knows of them; a number
    may also be asked for. Raises OperationError if the resource is unknown.
    """
    _, names = _found(configuration, resource)
    recorded = {name for state in status.nodes for name, _ in state.history}
    numbered = {name for name in recorded if name.rpartition(":")[0] in names}
    return (*names, *sorted(numbered))


def to_forget(
    configuration: Configuration, status: Status, request: Cleanup | Refresh
) -> tuple[tuple[str, str], ...]:
    """Return (node, resource) of all that a clean-up forgets, and that is probed again.

    A refresh forgets all. A clean-up only where a failure is on record: what is well is not looked
    at again, since until it has been looked at whatever needs it would be stopped. For the same
    reason a group's members go together. Raises OperationError if the resource is unknown.
    """
    if isinstance(request, Refresh):
        return tuple(_all_of(configuration, status, request))
    names = histories(configuration, status, request.resource)
    top, _ = _found(configuration, request.resource)
    together = histories(configuration, status, top.id) if isinstance(top, Group) else ()
    found: list[tuple[str, str]] = []
    for state in status.nodes:
        failed = [name for name in names if has_failed(state, name)]
        if failed and request.node in {"", state.name}:
            found += [(state.name, name) for name in together or failed]
    return tuple(found)


def _all_of(
    configuration: Configuration, status: Status, request: Refresh
) -> Iterator[tuple[str, str]]:
    chosen: Set[str] | None = None
    if request.resource:
        top, _ = _found(configuration, request.resource)
        chosen = set(histories(configuration, status, top.id))
    for state in status.nodes:
        if request.node in {"", state.name}:
            for name, _ in state.history:
                if chosen is None or name in chosen:
                    yield state.name, name


def _found(configuration: Configuration, resource: str) -> tuple[Resource, tuple[str, ...]]:
    """Return the outermost resource around one, and the primitives that the id stands for."""
    for top in configuration.resources:
        inner = top.child if isinstance(top, Clone) else top
        primitives = inner.members if isinstance(inner, Group) else (inner,)
        names = tuple(primitive.id for primitive in primitives)
        if resource in (top.id, inner.id):
            return top, names
        unique = isinstance(top, Clone) and top.globally_unique
        if resource in names or (unique and resource.rpartition(":")[0] in names):
            return top, (resource,)
    known = [resource.id for resource in configuration.resources]
    text = f"no resource {resource}; expected one of: {', '.join(known) or 'none'}"
    raise RefusedError(Ground.NO_SUCH, text)


def _move(
    resource: str, node: str, cib: Cib, configuration: Configuration, nodes: tuple[str, ...]
) -> tuple[tuple[Change, ...], str]:
    """Move the resource with all around it; of a promotable clone, the promoted role."""
    top, _ = _found(configuration, resource)
    whole = top.id
    promotable = isinstance(top, Clone) and top.promotable
    role = "Promoted" if promotable else "Started"
    what = f"{whole}'s promoted role" if promotable else whole
    before = tuple(RemoveConstraint(name) for name in _moves(cib, whole))
    if node:
        _known("node", node, nodes)
        prefer = _location(f"cli-prefer-{whole}", whole, role, node, "INFINITY")
        return (*before, AddConstraint(prefer)), f"{what} goes to {node} and stays there"
    names = histories(configuration, cib.status, whole)
    active = NodeState.promoted if promotable else NodeState.runs
    here = [state.name for state in cib.status.nodes if any(active(state, n) for n in names)]
    if len(here) != 1:
        where = " and ".join(here) or "no node"
        raise OperationError(f"{what} is on {where}; expected one node, or name the target")
    ban = _location(f"cli-ban-{whole}-on-{here[0]}", whole, role, here[0], "-INFINITY")
    return (*before, AddConstraint(ban)), f"{what} leaves {here[0]} until it is cleared"


def _location(identifier: str, resource: str, role: str, node: str, score: str) -> Element:
    return Element(
        "rsc_location",
        (
            ("id", identifier),
            ("rsc", resource),
            ("role", role),
            ("node", node),
            ("score", score),
        ),
    )


def _moves(cib: Cib, resource: str) -> Iterator[str]:
    constraints = cib.configuration.child("constraints")
    for constraint in constraints.children if constraints else ():
        if constraint.id == f"cli-prefer-{resource}" or constraint.id.startswith(
            f"cli-ban-{resource}-on-"
        ):
            yield constraint.id


def _cleanup(cib: Cib, what: tuple[tuple[str, str], ...]) -> Iterator[Change]:
    for node, resource in what:
        yield ForgetHistory(node, resource)
        state = cib.status.node(node)
        assert state is not None, "its failures were found there"
        yield from forget_failures(state, resource)


def _known(kind: str, name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        text = f"no {kind} {name}; expected one of: {', '.join(names)}"
        raise RefusedError(Ground.NO_SUCH, text)
