"""The lab with Debian's corosync under the cluster instead of heartbeat messages."""

from dataclasses import replace

from tests.netns.cluster_case import new_plan

from standfest.lab.lab import CIB_FILE, RUN_DIR, Lab
from standfest.model.element import Element

COROSYNC = "/usr/sbin/corosync"
CONF = "/etc/corosync/corosync.conf"
TOKEN_MS = 1000
POLICY = ("no_quorum_policy", "no-quorum-policy")

CONFIGURATION = """totem {{
  version: 2
  cluster_name: lab
  transport: {transport}
  token: {token}
  crypto_cipher: none
  crypto_hash: none
}}
nodelist {{
{nodes}}}
quorum {{
  provider: corosync_votequorum
{quorum}}}
logging {{
  to_logfile: yes
  logfile: /var/log/corosync.log
  to_syslog: no
  to_stderr: no
  timestamp: hires
}}
"""


def corosync_conf(addresses: list[tuple[str, str]], *, transport: str = "knet") -> str:
    """Return the file for these nodes, each with its address."""
    nodes = "".join(
        f"  node {{\n    ring0_addr: {address}\n    name: {name}\n    nodeid: {number}\n  }}\n"
        for number, (name, address) in enumerate(addresses, 1)
    )
    quorum = "  two_node: 1\n" if len(addresses) == 2 else ""
    return CONFIGURATION.format(transport=transport, token=TOKEN_MS, nodes=nodes, quorum=quorum)


def _with_policy(element: Element, policy: str) -> Element:
    if element.tag == "nvpair" and element.get("name") in POLICY:
        return element.with_attribute("value", policy)
    return element.with_children(tuple(_with_policy(child, policy) for child in element.children))


class CorosyncLab(Lab):
    """Nodes with corosync; the product's daemons on top of it."""

    def __init__(self, *nodes: str, transport: str = "knet", policy: str = "stop") -> None:
        plan, _ = new_plan(*nodes, votes=True)
        plan = replace(plan, configuration=_with_policy(plan.configuration, policy))
        addresses = plan.network(plan.heartbeat_device).addresses
        super().__init__(
            plan, {"logd.cf": "logfile /var/log/ha-log\ndebugfile /var/log/ha-debug\n"}
        )
        self._conf = corosync_conf(list(addresses), transport=transport)
        self._rings: dict[str, int] = {}

    def _node_files(self, name: str) -> dict[str, str]:
        return {**super()._node_files(name), CONF: self._conf, "/etc/ha.d/authkeys": ""}

    def ring(self, name: str) -> None:
        """Start corosync on a node."""
        node = self.nodes[name]
        node.run("/bin/mkdir", "-p", "/var/lib/corosync", "/run/corosync")
        node.run("/bin/ln", "-sfn", "/run", "/var/run")  # where it keeps its lock
        self._rings[name] = node.spawn(COROSYNC, "-f")

    def signal_ring(self, name: str, number: str) -> None:
        """Send corosync on a node a signal: KILL, STOP, CONT."""
        self.nodes[name].run("/bin/kill", f"-{number}", str(self._rings[name]))

    def block(self, name: str) -> None:
        """Lose everything that corosync sends and receives on a node; its carrier stays."""
        device = self.plan.heartbeat_device
        for hook, way in (("input", "iifname"), ("output", "oifname")):
            chain = f"chain inet cut {hook} {{ type filter hook {hook} priority 0; }}"
            rules = f"add table inet cut; add {chain}; add rule inet cut {hook} {way} {device} drop"
            self.nodes[name].run("/usr/sbin/nft", rules)

    def unblock(self, name: str) -> None:
        """Carry everything again."""
        self.nodes[name].run("/usr/sbin/nft", "delete table inet cut")

    def launch(self, name: str) -> None:
        """Start corosync, unless it runs, and the product's daemons on a node."""
        if name not in self._rings:
            self.ring(name)
        self.daemons(name)

    def daemons(self, name: str, *, respawn: bool = True) -> None:
        """Start the product's daemons on a node."""
        node = self.nodes[name]
        words = ["-m", "standfest.cli.main", "run", "--stack", "corosync", "--cib", CIB_FILE]
        node.spawn(*node.python(*words, "--run-dir", RUN_DIR), respawn=respawn)

    def bury(self, name: str) -> None:
        """Take a killed node away, so that it can be switched on again."""
        self._rings.pop(name, None)
        super().bury(name)
