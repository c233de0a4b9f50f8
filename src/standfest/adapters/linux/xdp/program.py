"""The balancer's program: what happens to each packet that an interface receives.

Assembled here, for each interface with its own MAC; the kernel verifies and compiles it. Needs
Linux 5.12. Source: docs/adr/0018-xdp-backend.md.
"""

from collections.abc import Mapping

from standfest.adapters.linux.xdp import choosing, parsing, sending
from standfest.adapters.linux.xdp.choosing import Limits
from standfest.adapters.linux.xdp.emitting import LAYOUTS
from standfest.adapters.linux.xdp.maps import GROWN_ON_DEMAND, MAPPED, Kind, Shape
from standfest.model.vrrp import Family
from standfest.wire import xdp
from standfest.wire.bpf import Assembler, Code

SERVICES, SERVERS, SLOTS = 16_384, 16_384, 1 << 20
CONNECTIONS = {Family.IPV4: 1 << 18, Family.IPV6: 1 << 17}
"""Connections that are remembered: about 25 MB of kernel memory for IPv4's."""


def balancer(mac: bytes, limits: Limits) -> Code:
    """Return the program for an interface with this MAC."""
    code = Assembler()
    parsing.begin(code, LAYOUTS)
    for layout in LAYOUTS:
        parsing.parse(code, layout)
        parsing.find_service(code, layout, mac)
        choosing.choose(code, layout, limits)
        sending.send(code, layout)
    sending.finish(code)
    return code.assemble()


def shapes(connections: Mapping[Family, int] = CONNECTIONS) -> tuple[Shape, ...]:
    """Return the maps that the program uses; connections: how many to remember."""
    found = [
        Shape("servers", Kind.ARRAY, 4, xdp.SERVER.size, SERVERS, MAPPED),
        Shape("slots", Kind.ARRAY, 4, 8, SLOTS, MAPPED),
        Shape("turns", Kind.ARRAY, 4, 8, SERVICES),
        Shape("carried", Kind.PERCPU_ARRAY, 4, xdp.CARRIED.size, SERVERS),
    ]
    for layout in LAYOUTS:
        family, name = layout.family, layout.name
        key_bytes = layout.bytes + 4
        flow, sticky = xdp.FLOW_KEY_BYTES[family], xdp.STICKY_KEY_BYTES[family]
        found += [
            Shape(
                name("services"), Kind.HASH, key_bytes, xdp.SERVICE.size, SERVICES, GROWN_ON_DEMAND
            ),
            Shape(name("flows"), Kind.LRU_HASH, flow, xdp.FLOW.size, connections[family]),
            Shape(name("clients"), Kind.LRU_HASH, sticky, xdp.FLOW.size, connections[family] // 4),
        ]
    return tuple(found)
