"""A cluster's situation as the lines of its CIB, section by section."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import quoteattr

NOW = 1_760_011_200  # 2025-10-09 12:00:00 UTC
MOMENT = "2025-10-09 12:00:00Z"


def attributes(values: Mapping[str, str]) -> str:
    return "".join(f" {name}={quoteattr(value)}" for name, value in values.items())


def pairs(tag: str, owner: str, values: Mapping[str, str], rule: str = "") -> str:
    """Return a block of nvpairs such as <meta_attributes>, or nothing for no values."""
    if not values:
        return ""
    inner = "".join(
        f'<nvpair id="{owner}-{name.replace("#", "_")}" name="{name}" value={quoteattr(value)}/>'
        for name, value in values.items()
    )
    return f'<{tag} id="{owner}">{rule}{inner}</{tag}>'


def digest(values: Mapping[str, str]) -> str:
    """Return the op-digest of parameters (facts/formats/CIB-STATUS.md section 4)."""
    text = f" <parameters{attributes(dict(sorted(values.items())))}/>\n"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Node:
    """A node, what the cluster knows of its state, and what was recorded there."""

    number: int
    name: str
    state: str = "online"
    permanent: dict[str, str] = field(default_factory=dict)
    capacity: dict[str, str] = field(default_factory=dict)
    transient: dict[str, str] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)

    @property
    def remembers(self) -> bool:
        """Whether the status still holds operations of this node."""
        return self.state not in ("down", "unseen")

    def configured(self) -> str:
        inner = pairs("instance_attributes", f"{self.name}-i", self.permanent)
        inner += pairs("utilization", f"{self.name}-u", self.capacity)
        return f'<node id="{self.number}" uname="{self.name}">{inner}</node>'

    def status(self) -> str:
        if self.state == "unseen":
            return ""
        ccm, crmd, join, expected = STATES.get(self.state, STATES["online"])
        told = f'in_ccm="{ccm}" crmd="{crmd}" join="{join}" expected="{expected}"'
        inner = ""
        if self.transient:
            kept = pairs("instance_attributes", f"status-{self.number}", self.transient)
            inner = f'<transient_attributes id="{self.number}">{kept}</transient_attributes>'
        if self.remembers:
            lines = "".join(self.history)
            inner += f'<lrm id="{self.number}"><lrm_resources>{lines}</lrm_resources></lrm>'
        return f'<node_state id="{self.number}" uname="{self.name}" {told}>{inner}</node_state>'


STATES = {
    "online": ("true", "online", "member", "member"),
    "lost": ("false", "offline", "down", "member"),
    "down": ("false", "offline", "down", "down"),
    "crashed": ("true", "offline", "down", "member"),
    "pending": ("true", "online", "pending", "member"),
}


@dataclass(slots=True)
class Situation:
    """Everything in a CIB; `text` writes it."""

    root: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    defaults: dict[str, str] = field(default_factory=dict)
    tickets: list[str] = field(default_factory=list)
    states: list[Node] = field(default_factory=list)  # the order of the status section

    def text(self) -> str:
        root = {
            "crm_feature_set": "3.16.1",
            "validate-with": "pacemaker-3.9",
            "epoch": "1",
            "num_updates": "1",
            "admin_epoch": "0",
            "have-quorum": "1",
        } | self.root
        options = pairs("cluster_property_set", "options", self.options)
        defaults = pairs("meta_attributes", "rsc-options", self.defaults)
        tickets = f"<tickets>{''.join(self.tickets)}</tickets>" if self.tickets else ""
        states = "".join(node.status() for node in self.states or self.nodes)
        return (
            f"<cib{attributes(root)}><configuration><crm_config>{options}</crm_config>"
            f"<nodes>{''.join(node.configured() for node in self.nodes)}</nodes>"
            f"<resources>{''.join(self.resources)}</resources>"
            f"<constraints>{''.join(self.constraints)}</constraints>"
            + (f"<rsc_defaults>{defaults}</rsc_defaults>" if defaults else "")
            + f"</configuration><status>{states}{tickets}</status></cib>"
        )
