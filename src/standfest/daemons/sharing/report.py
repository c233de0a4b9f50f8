"""What a member says when it is asked: who is there, who answers how much, for how much longer."""

from typing import Any

from standfest.core.sharing.machine import Sharing
from standfest.daemons.sharing.reading import Task
from standfest.model.sharing import Buckets
from standfest.model.time import Instant, in_milliseconds


def report(now: Instant, task: Task, machine: Sharing) -> dict[str, Any]:
    """Return everything that there is to know, as JSON has it; sets of buckets are hexadecimal."""
    file = task.file
    shared, settings = file.shared, file.settings
    layout = shared.layout
    members = _members(now, task, machine)
    held = 0
    for member in members:
        held |= int(member["holds"], 16)
    gate = machine.gate
    return {
        "name": shared.name,
        "member": task.name,
        "addresses": [str(address) for address in shared.addresses],
        "interface": shared.interface,
        "mac": shared.mac.hex(":"),
        "mode": layout.mode.value,
        "buckets": layout.buckets,
        "seed": layout.seed,
        "established": shared.established.value,
        "no_quorum": settings.no_quorum.value,
        "keepalive_ms": in_milliseconds(settings.keepalive),
        "deadtime_ms": in_milliseconds(settings.deadtime),
        "quorum": machine.quorum,
        "lease_left_ms": max(0, in_milliseconds(gate - now)) if gate is not None else None,
        "unanswered": layout.buckets - held.bit_count(),
        "members": members,
    }


def _members(now: Instant, task: Task, machine: Sharing) -> list[dict[str, Any]]:
    total = sum(member.weight for member in task.file.settings.members)
    buckets = task.file.shared.layout.buckets
    wishes = machine.wishes(now)
    found = []
    for member in task.file.settings.members:
        here = member.name == task.name
        peer = machine.peers.get(member.name)
        if here:
            alive, silent, draining, same = True, 0, machine.draining, True
            holds, former = machine.holds, machine.former
        elif peer is not None and peer.alive:
            alive, silent = True, in_milliseconds(now - peer.heard_at)
            draining, same = peer.beat.draining, peer.beat.layout == task.digest
            holds, former = (peer.beat.holds, peer.beat.former) if same else (0, 0)
        else:
            alive, silent, draining, same, holds, former = False, None, False, True, 0, 0
        found.append(
            {
                "name": member.name,
                "weight": member.weight,
                "here": here,
                "alive": alive,
                "silent_ms": silent,
                "draining": draining,
                "same_layout": same,
                "holds": f"{holds:x}",
                "former": f"{former:x}",
                "wished": f"{wishes.get(member.name, 0):x}",
                "share_percent": _percent(holds, buckets),
                "weight_percent": round(100 * member.weight / total, 2),
            }
        )
    return found


def _percent(some: Buckets, buckets: int) -> float:
    return round(100 * some.bit_count() / buckets, 2)
