"""What is simulated: nodes, heartbeat settings, resources, and what the operator has accepted.

Drawn from a seed, so that a seed names the whole run.
"""

import random
from dataclasses import dataclass, replace
from functools import cache

from standfest.config.cib import compile_configuration, load
from standfest.model.element import Element
from standfest.model.pinging import DAMPENING_ECHOES, Pinging, PingNode
from standfest.model.settings import Autojoin, HeartbeatSettings
from standfest.model.time import Duration, milliseconds

SECRET = "correct-horse-battery-staple"  # noqa: S105  made up, and looked for in all output
"""The value of a resource's password: no log line and no answer may hold it."""

UNMANAGED = "legacy"

NAMES = "abcdefghijklmnopqrstuvwxyz"
RHYTHMS: tuple[tuple[int, int, int], ...] = (
    (1000, 10_000, 6),
    (2000, 30_000, 3),
    (1000, 30_000, 3),
    (500, 5_000, 2),
    (250, 2_000, 1),
)
"""(keepalive ms, deadtime ms, how often drawn)."""

_PRIMITIVE = '<primitive id="{id}" class="ocf" provider="x" type="{type}">{inside}</primitive>'
_MONITOR = (
    '<operations><op id="{id}-m" name="monitor" interval="{interval}s" timeout="20s"/>'
    '<op id="{id}-s" name="start" interval="0" timeout="20s"/>'
    '<op id="{id}-p" name="stop" interval="0" timeout="20s"/></operations>'
)


@dataclass(frozen=True, slots=True)
class Scene:
    """One installation.

    names: all nodes; settings: the ha.cf of all, which names those that are nodes from the start.
    policy: no-quorum-policy; fencing: whether nodes are fenced; roster: whether nodes are removed
    and added; fencing off with `ignore` or `stop` means that a cut-off or paused node may own
    what others took over: its operator accepted that in writing.
    """

    names: tuple[str, ...]
    settings: HeartbeatSettings
    policy: str
    fencing: bool
    resources: str
    configuration: Element
    links: tuple[str, ...]
    roster: bool = False

    @property
    def primitives(self) -> tuple[str, ...]:
        """Return the ids of all primitives."""
        return tuple(p.id for p in compile_configuration(self.configuration)[0].primitives())

    @property
    def movable(self) -> tuple[str, ...]:
        """Return the ids of what an operator may move."""
        return ("web",) if self.resources == "web-after-database" else ("mail",)

    @property
    def deadtime(self) -> Duration:
        """Return after which silence a node counts as dead."""
        return self.settings.deadtime

    @property
    def trusts_silence(self) -> bool:
        """Return whether the operator accepted that who is silent is taken for dead."""
        return not self.fencing

    @property
    def may_split(self) -> bool:
        """Return whether the operator accepted that several partitions act at once."""
        return self.policy == "ignore"

    @property
    def outlives_a_node(self) -> bool:
        """Return whether the others may act when one node has died."""
        return self.may_split or 2 * (len(self.names) - 1) > len(self.names)


def draw(
    source: random.Random,
    nodes: int,
    *,
    fencing: bool | None = None,
    pings: bool = False,
    roster: bool = False,
    autojoin: bool = False,
) -> Scene:
    """Return an installation of so many nodes; pings: with ping nodes and ipfail.

    roster: nodes are removed and added, of an odd number; autojoin: the last of an odd number is in
    no ha.cf and joins by itself, so that half of those who are named are never half of all.
    """
    weights = [weight for _, _, weight in RHYTHMS]
    keepalive, deadtime, _ = source.choices(RHYTHMS, weights)[0]
    names = tuple(NAMES[:nodes]) if nodes <= len(NAMES) else tuple(f"n{i:02}" for i in range(nodes))
    settings = HeartbeatSettings(
        nodes=names,
        media=(),
        keepalive=milliseconds(keepalive),
        deadtime=milliseconds(deadtime),
        warntime=milliseconds(deadtime // 2),
        initdead=milliseconds(max(deadtime, 10_000)),
    )
    if autojoin:
        settings = replace(settings, nodes=names[:-1], autojoin=Autojoin.ANY)
    if pings:
        settings = replace(settings, pinging=_pinging(settings))
    fenced = source.random() < 0.6 if fencing is None else fencing
    policy = "stop"
    if nodes == 2:
        policy = "ignore"
    elif not fenced:
        policy = source.choice(("stop", "stop", "freeze"))
    resources = source.choice(tuple(RESOURCES))
    links = ("eth0",) if source.random() < 0.7 else ("eth0", "eth1")
    configuration = _configuration(resources, policy, fenced)
    return Scene(names, settings, policy, fenced, resources, configuration, links, roster)


def _pinging(settings: HeartbeatSettings) -> Pinging:
    """Return a router, and a group of two hosts behind it, asked as ha.cf's defaults say."""
    nodes = (PingNode("10.0.0.1", ("10.0.0.1",)), PingNode("beyond", ("10.0.1.1", "10.0.1.2")))
    keepalive = settings.keepalive
    return Pinging(
        nodes, keepalive, settings.deadtime, dampen=DAMPENING_ECHOES * keepalive, ipfail=True
    )


def _primitive(name: str, kind: str = "Dummy", inside: str = "", interval: int = 60) -> str:
    monitor = _MONITOR.format(id=name, interval=interval)
    return _PRIMITIVE.format(id=name, type=kind, inside=inside + monitor)


_PASSWORD = (
    '<instance_attributes id="db-i"><nvpair id="db-password" name="password" '
    f'value="{SECRET}"/></instance_attributes>'
)
_MAIL = "".join(
    (
        '<group id="mail">',
        _primitive("files", interval=30),
        _primitive("smtp"),
        _primitive("address", "IPaddr"),
        "</group>",
    )
)
_LEGACY = _primitive(
    UNMANAGED,
    inside='<meta_attributes id="l-m"><nvpair id="l-u" name="is-managed" value="false"/>'
    "</meta_attributes>",
)
_WEB = _primitive("web", "IPaddr") + _primitive("db", inside=_PASSWORD)
_CLONE = f'<clone id="lsd-clone">{_primitive("lsd")}</clone>'

_DEVICE = (
    '<primitive id="power" class="stonith" type="fence_simulated"><operations>'
    '<op id="power-m" name="monitor" interval="300s" timeout="20s"/></operations></primitive>'
)
"""One device that may fence anybody."""

RESOURCES: dict[str, tuple[str, str]] = {
    "mail": (_MAIL, ""),
    "mail-and-unmanaged": (_MAIL + _LEGACY, ""),
    "web-after-database": (
        _WEB + _LEGACY,
        '<rsc_order id="order-1" first="db" then="web"/>'
        '<rsc_colocation id="c1" rsc="web" with-rsc="db" score="INFINITY"/>',
    ),
    "clone-and-mail": (
        _CLONE + _MAIL,
        '<rsc_order id="order-1" first="lsd-clone" then="mail"/>'
        '<rsc_colocation id="c1" rsc="mail" with-rsc="lsd-clone" score="INFINITY"/>',
    ),
}
"""Name -> (resources, constraints)."""


@cache
def _configuration(name: str, policy: str, fencing: bool) -> Element:
    resources, constraints = RESOURCES[name]
    text = (
        '<configuration><crm_config><cluster_property_set id="o">'
        f'<nvpair id="o1" name="stonith-enabled" value="{"true" if fencing else "false"}"/>'
        f'<nvpair id="o2" name="no-quorum-policy" value="{policy}"/></cluster_property_set>'
        f"</crm_config><resources>{resources}{_DEVICE if fencing else ''}</resources>"
        f"<constraints>{constraints}</constraints></configuration>"
    )
    return load([("simulated cib.xml", text)]).configuration
