"""What all commands of `crm_resource` share: what was asked, of which CIB, how it is refused."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from standfest.cli.tools.codes import MESSAGES, Exit, ToolError
from standfest.cli.tools.members import with_members
from standfest.cli.tools.saying import Saying
from standfest.cli.tools.source import Source
from standfest.core.scheduler.entities import Node, Resource
from standfest.model.element import Element
from standfest.model.errors import ConfigError
from standfest.monitor.crm.situation import Situation, read
from standfest.monitor.resource.found import found

TOOL = "crm_resource"


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of one command line; empty: not given. timeout: seconds, 0: none.

    argument: of the command itself, e.g. the name of a parameter; instead: NAME=VALUE words.
    """

    command: str
    argument: str = ""
    resource: str = ""
    node: str = ""
    kind: str = "instance_attributes"
    value: str | None = None
    set_id: str = ""
    pair_id: str = ""
    tag: str = ""
    operation: str = ""
    interval: str = ""
    lifetime: str = ""
    agent: tuple[str, str, str] = ("", "", "")
    parameters: Mapping[str, str] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    level: str = ""
    timeout: float = 0
    promoted: bool = False
    expired: bool = False
    recursive: bool = False
    force: bool = False
    quiet: bool = False


class Run:
    """One command: what is asked, the CIB and the view of it (read when first needed)."""

    def __init__(self, source: Source, asked: Asked, saying: Saying) -> None:
        self.source = source
        self.asked = asked
        self.saying = saying

    @cached_property
    def cib(self) -> Element:
        """Return the whole <cib>; raises ToolError."""
        try:
            return self.source.read()
        except ToolError as error:
            raise performing(error.code, f"{TOOL}: {error.text}") from error

    @cached_property
    def situation(self) -> Situation:
        """Return the view of it; raises ToolError."""
        return self.view(self.whole)

    @cached_property
    def whole(self) -> Element:
        """Return the <cib> with all nodes of a running cluster, to look at."""
        return with_members(self.source, self.cib)

    def view(self, cib: Element) -> Situation:
        """Return the view of a CIB; raises ToolError."""
        try:
            return read(cib)
        except ConfigError as error:
            raise performing(Exit.CONFIG, f"{TOOL}: {error}") from error

    @property
    def name(self) -> str:
        """Return the resource's name as it was given; raises ToolError without one."""
        if not self.asked.resource:
            raise ToolError(Exit.USAGE, f"{TOOL}: Must supply a resource id with -r")
        return self.asked.resource

    def resource(self, *, parts: bool = False) -> Resource:
        """Return the resource asked for; parts: what a unique clone is made of counts, too."""
        resource = found(self.situation.cluster, self.name, parts=parts)
        if resource is None:
            raise performing(Exit.NO_SUCH, f"{TOOL}: Resource '{self.name}' not found")
        return resource

    def node(self) -> Node | None:
        """Return the node asked for; None if none is."""
        if not self.asked.node:
            return None
        wanted = self.asked.node.lower()
        nodes = self.situation.cluster.nodes
        node = next((one for one in nodes if one.name.lower() == wanted), None)
        if node is None:
            raise performing(Exit.NO_SUCH, f"{TOOL}: Node '{self.asked.node}' not found")
        return node

    def needed_node(self) -> Node:
        """Return the node asked for; raises ToolError without one."""
        if not self.asked.node:
            raise ToolError(Exit.USAGE, f"{TOOL}: Must supply a node name with -N")
        node = self.node()
        assert node is not None, "one was named"
        return node

    def change(self, after: Element) -> None:
        """Keep a changed CIB; raises ToolError with all that is wrong with it."""
        try:
            self.source.change(self.cib, after)
        except ToolError as error:
            lines = [line for line in error.text.splitlines() if not line.startswith("Call failed")]
            last = f"{TOOL}: Error performing operation: {MESSAGES[error.code]}"
            raise ToolError(error.code, "\n".join([*lines, last])) from error


def performing(code: Exit, text: str) -> ToolError:
    """Return how a command ends that could not be done: why, and the code in words."""
    return ToolError(code, f"{text}\nError performing operation: {MESSAGES[code]}")


def ended(code: Exit) -> ToolError:
    """Return how a command ends of which everything has been said."""
    return ToolError(code, f"{TOOL}: Error performing operation: {MESSAGES[code]}")


def moment_now() -> int:
    """Return the time by the wall clock, in seconds since 1970."""
    return int(time.time())
