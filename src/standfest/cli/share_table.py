"""The status of a shared address as lines of a terminal."""

from collections.abc import Iterator
from typing import Any


def lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield what `standfest share status` shows."""
    yield (
        f"{found['name']}: {', '.join(found['addresses'])} on {found['interface']} at "
        f"{found['mac']}"
    )
    layout = f"{found['mode']}, {found['buckets']} buckets, seed {found['seed']}"
    yield f"{layout}, by {found['target']}"
    yield _state(found)
    width = max(len("MEMBER"), *(len(member["name"]) for member in found["members"])) + 2
    yield f"  {'MEMBER':<{width}}{'STATE':<20}{'BUCKETS':>8}{'SHARE':>9}{'BY WEIGHT':>11}"
    for member in found["members"]:
        name = member["name"] + (" *" if member["here"] else "")
        buckets = int(member["holds"], 16).bit_count()
        yield (
            f"  {name:<{width}}{_member(member):<20}{buckets:>8}"
            f"{member['share_percent']:>7.1f} %{member['weight_percent']:>9.1f} %"
        )


def _state(found: dict[str, Any]) -> str:
    if not found["quorum"]:
        return "too few members hear this one: it answers nothing"
    lease = found["lease_left_ms"]
    left = f"lease ends in {lease} ms unless renewed" if lease is not None else "no lease"
    missing = found["unanswered"]
    return left + (f"; {missing} buckets are answered by nobody" if missing else "")


def _member(member: dict[str, Any]) -> str:
    if not member["alive"]:
        return "not heard"
    if not member["same_layout"]:
        return "other settings"
    words = "drains" if member["draining"] else "here"
    former = int(member["former"], 16).bit_count()
    return words + (f", {former} former" if former else "")


def client_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield who serves the client that was asked for."""
    client = found["client"]
    host = client["address"]
    source = f"[{host}]" if ":" in host else host
    source += f":{client['port']}" if client["port"] else ""
    to = f" to port {client['destination_port']}" if client["destination_port"] else ""
    by = " and ".join(client["served_by"]) or "nobody"
    yield f"{source}{to}: bucket {client['bucket']}, served by {by}"
