"""`IPaddr2`: a floating address, or as a clone's instance one bucket of an address that is shared.

Instance N of a clone of M answers bucket N of M: start adds it, stop takes it away, and with the
last one on this node goes the address. The cluster stops an instance before it starts it elsewhere,
so the kernel is given a bucket until it is told otherwise (docs/adr/0024).
Source: TUM-I0828 section 5.4.2 and appendix B.12; ocf_heartbeat_IPaddr2(7) for the parameters;
what that agent does with them was observed from outside (resource-agents 4.12).
"""

import hashlib
import ipaddress
import re

from standfest.agents.ipaddr import IPaddr
from standfest.agents.kit import AgentError, Parameter
from standfest.model.operations import ExitCode
from standfest.model.sharing import (
    MAX_BUCKETS,
    Answering,
    Established,
    HashMode,
    Layout,
    SharedAddress,
    Target,
    name_of,
)
from standfest.ports.host import Host

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
_FALSE = ("", "no", "false", "0", "off", "n")
IGNORED = (
    "lvs_support",
    "lvs_ipv6_addrlabel",
    "lvs_ipv6_addrlabel_value",
    "arp_interval",
    "arp_count",
    "arp_count_refresh",
    "arp_bg",
    "arp_sender",
    "send_arp_opts",
    "flush_routes",
    "run_arping",
    "nodad",
    "noprefixroute",
    "preferred_lft",
)


class IPaddr2(IPaddr):
    """One IPv4 or IPv6 address on one interface, or one bucket of it."""

    name = "IPaddr2"
    short = "Floating IP address; as a clone an address that several nodes share"
    long = (
        "Adds an address to an interface and announces it. As a globally unique clone with "
        "clone-max above 1 it is shared: every node has the address, and instance N answers the "
        "N-th part of the clients, by a hash. Set clone-node-max to clone-max, so that the last "
        "node can answer everybody."
    )
    parameters = (
        *(p for p in IPaddr.parameters if p.name not in ("broadcast", "iflabel")),
        Parameter("broadcast", "Only the derived MAC address heeds it: the kernel derives its own"),
        Parameter("iflabel", "Accepted for compatibility"),
        Parameter(
            "clusterip_hash",
            "What decides about a client: sourceip, sourceip-sourceport, "
            "sourceip-sourceport-destport",
            default=HashMode.SOURCE_IP_PORT.value,
        ),
        Parameter("mac", "MAC address of a shared address; without it, a multicast one is derived"),
        Parameter("unique_clone_address", "Instance N has the address ip + N", kind="boolean"),
        Parameter("clusterip_seed", "Start value of the hash", kind="integer", default="0"),
        Parameter(
            "clusterip_established",
            "stay: connections stay when their bucket moves; move: they are reset",
            default=Established.STAY.value,
        ),
        Parameter(
            "clusterip_target",
            "What filters: auto, nftables, xt_cluster, CLUSTERIP",
            default=Target.AUTO.value,
        ),
        *(Parameter(name, "Accepted for compatibility") for name in IGNORED),
    )

    def validate(self, host: Host) -> None:
        """Check also what a shared address needs."""
        super().validate(host)
        self._target()
        if self._is_shared():
            self._bucket()
            self._layout()
            self._established()
            self._mac()

    def start(self, host: Host) -> ExitCode:
        """Add the address, or answer this instance's bucket, too."""
        if not self._is_shared():
            return super().start(host)
        device, bucket = self._ready(host), self._bucket()
        shared = self._shared(device)
        with host.sharing(shared, self._target()) as buckets:
            before = buckets.look()
            buckets.open()
            now = before or Answering()
            if bucket not in now.mine | now.orphaned:
                buckets.answer(self._with(now, bucket), None)
        self._set_route(host, device)
        if before is None:  # else the neighbours know it: the MAC address is the same on all nodes
            host.announce(device, self._ip(), shared.mac)
        return ExitCode.OK

    def _with(self, now: Answering, bucket: int) -> Answering:
        """Return what is answered with one more bucket.

        Connections of a dead node's are nobody's: they are reset. Those of a node that has let go
        of its bucket in good order stay with that node.
        """
        one, former = frozenset({bucket}), now.former - {bucket}
        if self.meta("lost_on"):
            return Answering(now.mine, now.orphaned | one, former)
        return Answering(now.mine | one, now.orphaned, former)

    def stop(self, host: Host) -> ExitCode:
        """Take the address away, or answer this instance's bucket no longer.

        Without its filter an address answers everybody: it is taken away like a plain one.
        """
        if not self._is_shared():
            return super().stop(host)
        shared, bucket = self._shared(self._held_on(host)), self._bucket()
        with host.sharing(shared, self._target()) as buckets:
            before = buckets.look() or Answering()
            mine, orphaned = before.mine - {bucket}, before.orphaned - {bucket}
            if not mine | orphaned:
                self._reset_route(host, shared.interface)
                buckets.close(keep=False)
                return super().stop(host)
            former = before.former
            if bucket in before.mine | before.orphaned and shared.established is Established.STAY:
                former |= {bucket}
            buckets.open()
            buckets.answer(Answering(mine, orphaned, former), None)
        return ExitCode.OK

    def monitor(self, host: Host) -> ExitCode:
        """The address must be here, and this instance's bucket must be answered."""
        if not self._is_shared() or not self._present(host):
            return super().monitor(host)
        with host.sharing(self._shared(self._held_on(host)), self._target()) as buckets:
            found = buckets.look()
        if found is None:
            raise AgentError(ExitCode.GENERIC, f"{self._ip()} is here without its filter")
        if self._bucket() not in found.mine | found.orphaned:
            return ExitCode.NOT_RUNNING
        return super().monitor(host)

    # --- what is shared -------------------------------------------------------------------------

    def _is_shared(self) -> bool:
        return self._count("clone_max") > 1 and not self._unique_address()

    def _held_on(self, host: Host) -> str:
        """Return the interface that the address is on, or should be; "" if nobody knows."""
        on = [address.device for address in host.addresses() if address.ip == self._ip()]
        return self._nic() or next(iter(on), "")

    def _shared(self, device: str) -> SharedAddress:
        ip = self._ip()
        interface = ipaddress.ip_interface(f"{ip}/{self._prefix()}")
        return SharedAddress(
            name_of(interface.ip),
            (interface,),
            device,
            self._mac(),
            self._layout(),
            self._established(),
        )

    def _ip(self) -> str:
        address = self._parse("ip", self.required("ip"))
        return str(address + self._count("clone") if self._unique_address() else address)

    def _unique_address(self) -> bool:
        return self.value("unique_clone_address").lower() not in _FALSE

    def _bucket(self) -> int:
        if self.meta("globally_unique") == "false":
            reason = "the clone's instances cannot be told apart; expected globally-unique=true"
            raise AgentError(ExitCode.NOT_CONFIGURED, reason)
        bucket, buckets = self._count("clone"), self._count("clone_max")
        if bucket >= buckets:
            reason = f"instance {bucket} of {buckets}; expected 0..{buckets - 1}"
            raise AgentError(ExitCode.NOT_CONFIGURED, reason)
        return bucket

    def _layout(self) -> Layout:
        mode = self._word("clusterip_hash", [mode.value for mode in HashMode])
        buckets = self._count("clone_max")
        if buckets > MAX_BUCKETS:
            reason = f"clone-max is {buckets}; expected at most {MAX_BUCKETS}"
            raise AgentError(ExitCode.NOT_CONFIGURED, reason)
        seed = self.value("clusterip_seed")
        if not seed.isdigit() or int(seed) >> 32:
            reason = f"clusterip_seed is {seed}; expected 0..4294967295"
            raise AgentError(ExitCode.NOT_CONFIGURED, reason)
        return Layout(HashMode(mode), buckets, int(seed))

    def _established(self) -> Established:
        words = [established.value for established in Established]
        return Established(self._word("clusterip_established", words))

    def _target(self) -> Target:
        return Target(self._word("clusterip_target", [target.value for target in Target]))

    def _mac(self) -> bytes:
        text = self.value("mac")
        if not text:
            return derived_mac(self._ip(), self._prefix(), self.value("broadcast"))
        mac = bytes.fromhex(text.replace(":", "")) if _MAC.fullmatch(text) else b""
        if mac in (b"", b"\0" * 6, b"\xff" * 6):
            reason = f"mac is {text}; expected six bytes, as 01:02:03:04:05:06"
            raise AgentError(ExitCode.NOT_CONFIGURED, reason)
        return mac

    def _word(self, name: str, words: list[str]) -> str:
        if self.value(name) not in words:
            reason = f"{name} is {self.value(name)}; expected {', '.join(words)}"
            raise AgentError(ExitCode.NOT_CONFIGURED, reason)
        return self.value(name)

    def _count(self, name: str) -> int:
        text = self.meta(name)
        return int(text) if text.isdigit() else 0


def derived_mac(ip: str, prefix: int, broadcast: str) -> bytes:
    """Return the multicast MAC address that resource-agents' IPaddr2 chooses for an address.

    So that routers that were given it by hand find it when the agent changes.
    """
    words = [ip, str(prefix), *([broadcast] if broadcast else [])]
    digest = hashlib.md5(" ".join(words).encode() + b"\n", usedforsecurity=False).digest()[:6]
    first = digest[0] if digest[0] & 1 else digest[0] & 0xF0 | 1
    return bytes([first]) + digest[1:]
