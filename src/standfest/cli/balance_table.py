"""What `standfest balance status` prints: as `ipvsadm -Ln` does, with state and reason."""

from collections.abc import Iterator
from typing import Any

COUNTED = ("connections", "packets_in", "packets_out", "bytes_in", "bytes_out")
Status = dict[str, Any]


def lines(found: Status, *, now: float) -> Iterator[str]:
    """Yield the lines of a table; now: seconds since 1970."""
    yield f"backend {found['backend']}" + (", forwards on after its end" if found["keep"] else "")
    rows = list(_rows(found, now))
    columns = max((len(row) for row in rows), default=0)
    cells_of = [row for row in rows if len(row) > 1]
    widths = [max(len(row[n]) for row in cells_of if n < len(row)) for n in range(columns)]
    for row in rows:
        if len(row) == 1:
            yield row[0]
            continue
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        yield "  ".join(cells).rstrip()
    for service in found["services"]:
        for server in service["servers"]:
            for check, reason in server["failures"].items():
                yield f"{check}: {reason}"


def with_rates(before: Status, after: Status, seconds: float) -> Status:
    """Return the later status with `rates`, per second, for each server that is in both."""
    earlier = {
        (service["service"], server["server"]): server
        for service in before["services"]
        for server in service["servers"]
    }
    for service in after["services"]:
        for server in service["servers"]:
            was = earlier.get((service["service"], server["server"]))
            if was is not None:
                server["rates"] = {
                    word: round((server[word] - was[word]) / seconds, 1) for word in COUNTED
                }
    return after


def address(server: str) -> str:
    """Return the address of `192.0.2.10:80` or `[2001:db8::1]:80`."""
    return server.rpartition(":")[0].strip("[]")


def _rows(found: Status, now: float) -> Iterator[tuple[str, ...]]:
    rated = any("rates" in server for one in found["services"] for server in one["servers"])
    rates = ("conn/s", "in/s", "out/s") if rated else ()
    head = ("  -> server", "method", "weight", "state", "for", "active", "inactive", "in", "out")
    yield (*head, *rates)
    for service in found["services"]:
        yield (_title(service),)
        for server in service["servers"]:
            since = _duration(now - server["since"]) if server["since"] else "-"
            cells = (f"  -> {server['server']}", server["method"], _weight(server))
            state = (server["state"], since)
            yield (*cells, *state, *_counted(server), *_rates(server, wanted=rated))
        sorry = service["sorry_server"]
        if sorry is not None:
            cells = (f"  -> {sorry['server']}", sorry["method"], "1" if sorry["serves"] else "0")
            yield (*cells, "sorry" if sorry["serves"] else "waits", "-", *_counted(sorry))


def _title(service: Status) -> str:
    words = [service["service"], service["scheduler"], *service["flags"]]
    if service["persistence_s"]:
        words.append(f"persistent {service['persistence_s']}")
    quorum = service["quorum"]
    if not quorum["up"]:
        words.append(f"(quorum lost: weight {quorum['is']} of {quorum['needed']})")
    if service["suspended"]:
        words.append("(not checked: the address is elsewhere)")
    return " ".join(words)


def _weight(server: Status) -> str:
    weight, wanted = server["weight"], server["weight_wanted"]
    return str(weight) if weight == wanted else f"{weight} of {wanted}"


def _counted(server: Status) -> tuple[str, ...]:
    sizes = (_size(server["bytes_in"]), _size(server["bytes_out"]))
    return (str(server["active"]), str(server["inactive"]), *sizes)


def _rates(server: Status, *, wanted: bool) -> tuple[str, ...]:
    if not wanted:
        return ()
    rates = server.get("rates", dict.fromkeys(COUNTED, 0.0))
    return (f"{rates['connections']:g}", _size(rates["bytes_in"]), _size(rates["bytes_out"]))


def _size(count: float) -> str:
    for unit in ("", "k", "M", "G"):
        if count < 10_000:
            return f"{count:.0f}{unit}"
        count /= 1000
    return f"{count:.0f}T"


def _duration(seconds: float) -> str:
    whole = max(0, int(seconds))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"
