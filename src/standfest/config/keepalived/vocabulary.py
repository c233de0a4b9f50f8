"""The whole vocabulary: which keyword stands in which kind of block, and what it takes.

One declarative table, in three files by subject: validation, "did you mean" and printing read it.
Source: facts/KEEPALIVED-FEATURES.md (every keyword probed in every block of 2.2.7; 2.4.3's list).
"""

from typing import Final

from standfest.config.keepalived import words_balancer, words_global, words_vrrp
from standfest.config.keepalived.grammar import Kind
from standfest.config.keepalived.shapes import COMMAND

OUTSIDE: Final = "outside of all blocks"

KINDS: Final[dict[str, Kind]] = (
    words_global.KINDS
    | words_vrrp.KINDS
    | words_balancer.KINDS
    | {OUTSIDE: Kind(words_global.OUTSIDE | words_vrrp.OUTSIDE | words_balancer.OUTSIDE)}
)

_ESCAPED: Final = ("script", "process", "regex", "misc_path")
COMMANDS: Final = frozenset(_ESCAPED) | {
    word
    for kind in KINDS.values()
    for word, keyword in kind.keywords.items()
    if keyword.shape is COMMAND
}
"""Keywords whose arguments know backslashes and both kinds of quotes."""

_AMBIGUOUS: Final = frozenset({"track_file", "SSL", "track_group", "interfaces"})
OUTERMOST: Final = frozenset(
    word
    for word, keyword in KINDS[OUTSIDE].keywords.items()
    if keyword.block and word not in _AMBIGUOUS
)
"""Blocks that stand in no other block: one of them inside another says that a `}` is missing."""

GONE: Final = {
    "nat_mask": "nothing: keepalived dropped it, and NAT needs no mask",
    "lvs_id": '"router_id"',
    "lvs_daemon_name": '"lvs_process_name"',
    "vrrp_unicast_bind": '"unicast_src_ip"',
    "vrrp_unicast_peer": '"unicast_peer"',
    "lvs_sync_daemon_interface": '"lvs_sync_daemon"',
}
"""Keywords of old versions and of forks that the nearest known one would not explain."""


def where_known(word: str) -> tuple[str, ...]:
    """Return the kinds of block that know a keyword, in alphabetical order."""
    return tuple(sorted(name for name, kind in KINDS.items() if word in kind.keywords))
