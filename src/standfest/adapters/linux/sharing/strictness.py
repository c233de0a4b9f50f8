"""What connection tracking must take strictly while an address is shared, and how it was before.

A packet in the middle of a connection that this machine has not seen begin is no connection, and
one outside the window belongs to another node's connection of the same name. What was changed is
written into the rule set's comment: it is there as long as the change is, whoever ends first.
Source: Documentation/networking/nf_conntrack-sysctl.rst, ip-sysctl.rst.
"""

import contextlib
from collections.abc import Iterable
from pathlib import Path

NETWORK_SYSCTLS = Path("/proc/sys/net")
WANTED = {
    "loose": ("netfilter/nf_conntrack_tcp_loose", "0"),
    "liberal": ("netfilter/nf_conntrack_tcp_be_liberal", "0"),
    # IPv6 looks at this before any of our rules can say that the packet is for us.
    "multicast": ("ipv6/conf/{}/drop_unicast_in_l2_multicast", "0"),
}
"""Short name: where, and what it must be."""


def read(interface: str) -> dict[str, str]:
    """Return what is otherwise than it must be, by its short name."""
    found = {}
    for name, (path, wanted) in WANTED.items():
        with contextlib.suppress(OSError):
            value = (NETWORK_SYSCTLS / path.format(interface)).read_text(encoding="ascii").strip()
            if value != wanted:
                found[name] = value
    return found


def apply(interface: str, names: Iterable[str]) -> None:
    """Make these as they must be."""
    write(interface, {name: WANTED[name][1] for name in names})


def write(interface: str, values: dict[str, str]) -> None:
    """Set them; one that the kernel does not have any more is left."""
    for name, value in values.items():
        with contextlib.suppress(OSError):
            (NETWORK_SYSCTLS / WANTED[name][0].format(interface)).write_text(value, "ascii")


def noted(values: dict[str, str]) -> str:
    """Return them as part of a comment."""
    return " ".join(f"{name}={value}" for name, value in values.items())


def remembered(comment: str) -> dict[str, str]:
    """Return what a comment has of them."""
    pairs = (word.split("=", 1) for word in comment.split() if "=" in word)
    return {name: value for name, value in pairs if name in WANTED and value.isdigit()}
