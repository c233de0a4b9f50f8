"""Which nodes `pulse` begins with: those of ha.cf, and those that came or went since.

Heartbeat's hostcache and delhostcache in our own folder. `cluster` writes them, so that no disk
delays a heartbeat; what counts in the end is the roster in the CIB, which it tells `pulse`.
"""

from dataclasses import replace
from pathlib import Path

from standfest.daemons.identity import replace_file
from standfest.daemons.places import Places
from standfest.model.settings import MAX_NODES, HeartbeatSettings, is_node_name


def known(where: Places, settings: HeartbeatSettings) -> HeartbeatSettings:
    """Return the settings with the nodes that were added, without those that were removed."""
    added, removed = _names(where.hostcache), _names(where.delhostcache)
    nodes = dict.fromkeys(n for n in (*settings.nodes, *added) if n not in removed)
    return replace(settings, nodes=tuple(nodes)[:MAX_NODES], removed=removed)


def remember(where: Places, nodes: tuple[str, ...], removed: tuple[str, ...]) -> None:
    """Keep both for the next start. Raises OSError."""
    for path, names in ((where.hostcache, nodes), (where.delhostcache, removed)):
        replace_file(path, "".join(f"{name}\n" for name in names).encode())


def _names(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="ascii").split()
    except (OSError, UnicodeDecodeError):
        return ()  # never written; what is in it comes again from the CIB
    return tuple(line for line in lines if is_node_name(line))
