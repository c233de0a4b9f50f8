"""What happens in a transition, as tools tell it: to resources and nodes, and step by step."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deed:
    """One line: what happens to a resource, or to a node.

    source, target: nodes, the same where it stays; role, next_role: empty where nobody asks;
    reason: "" if none is known; blocked: it cannot be done.
    """

    task: str
    resource: str
    source: str = ""
    target: str = ""
    role: str = ""
    next_role: str = ""
    reason: str = ""
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class NodeDeed:
    """A node is fenced; container: of a guest node, which is stopped with it."""

    task: str
    node: str
    container: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Executed:
    """One step; kind: resource, pseudo, fencing, cluster; interval: ms; action: its number.

    failed: the exit code with which it was made to fail.
    """

    kind: str
    task: str
    node: str = ""
    resource: str = ""
    interval: int = 0
    action: int = 0
    failed: int | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """What a resource's place on a node is worth; function: whose turn it was when it was said.

    Without a function it is an instance's claim to be promoted; node: "" where it has none.
    """

    function: str
    resource: str
    node: str
    score: int
