"""Runs inside User Mode Linux: the scenarios of all backends, with the kernel's IPVS.

Argument: the method (NAT, DR or TUN). Prints a line for each scenario.
"""

import contextlib
import sys
import time
import traceback
from collections.abc import Iterator, Mapping

from tests.netns import balancing_lab
from tests.netns.balancing_case import SCENARIOS
from tests.netns.balancing_lab import Lab

from standfest.adapters.linux.ipvs import IpvsBackend
from standfest.model.balancing import Forwarding
from standfest.model.forwarding import Counters, DestinationKey, ServiceKey


@contextlib.contextmanager
def prepared(lab: Lab) -> Iterator[None]:
    """Let the servers' kernels end tunnels, and keep answering by way of the director."""
    for machine in lab.servers.values():
        for name in ("all", "eth0"):  # client and servers share a wire: there is a shorter way
            machine.sysctl(**{f"net__ipv6__conf__{name}__accept_redirects": 0})
    for machine in lab.servers.values() if lab.forwarding is Forwarding.TUNNEL else ():
        for device in ("tunl0", "ip6tnl0"):
            machine.ip("link", "set", device, "up")
        for name in ("all", "eth0", "tunl0"):
            machine.sysctl(**{f"net__ipv4__conf__{name}__rp_filter": 0})
    yield


LEFT_OUT = {
    "persistence-ends-with-its-time": "IPVS remembers a client while it remembers a connection",
    "each-server-is-counted": "IPVS counts on where a server that returns left off",
    "what-nobody-knows-takes-no-turn": "IPVS gives connections back to a server that returns",
}
ALONE = "ipv6-is-balanced-alike"
"""Not by TUN: there it takes an address of its own (guide)."""


class Patient(IpvsBackend):
    """The kernel's counters lag by two seconds."""

    def counters(self) -> Mapping[tuple[ServiceKey, DestinationKey], Counters]:
        """Return what every server has carried."""
        time.sleep(2.5)
        return super().counters()


def main() -> int:
    forwarding = Forwarding(sys.argv[1])
    left_out = dict(LEFT_OUT)
    if forwarding is Forwarding.TUNNEL:
        left_out[ALONE] = "not by TUN"
    failed = 0
    with balancing_lab.lab(Patient, forwarding) as lab, prepared(lab):
        lab.director.sysctl(net__ipv4__vs__expire_quiescent_template=1)
        for scenario in SCENARIOS:
            if scenario.name in left_out:
                print(f"{scenario.name}: left out: {left_out[scenario.name]}", flush=True)
                continue
            try:
                lab.clear()
                scenario.run(lab)
            except Exception:
                traceback.print_exc()
                failed += 1
                print(f"{scenario.name}: FAILED", flush=True)
            else:
                print(f"{scenario.name}: as seen with every backend", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
