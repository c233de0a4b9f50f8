"""`./dev bench director`: our director beside keepalived, in turn, in the suite's VRRP rig.

    ./dev bench director [--runs N] [--seconds S] [--only idle|takeover]

Two directors, a client and two servers on a bridge. Idle: processor time and proportional memory
of all of a daemon's processes. Takeover: how long a client that asks every 3 ms gets no answer.
The rig is ../shared/rigs/keepalived; needs root.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("STANDFEST_SHARED", ROOT.parent / "shared"))
RIG = SHARED / "rigs" / "keepalived" / "vrrp_rig.py"
OURS, PEER = "standfest", "keepalived"
ALLOWED_RATIO = 3.0
ALLOWED_PSS_MIB = 25.0
INTERVALS = (("2", "1"), ("3", "0.1"), ("3", "0.01"))  # version, advert_int
MANY = 255
RIG_LIMIT_S = 900

ADDRESSING = ((), ("--unicast",), ("--vmac",), ("--v6",))
CELLS = tuple(
    (
        *("--version", "3" if addressing == ("--v6",) else version),
        *("--advert", interval, "--fault", fault, *addressing),
    )
    for addressing in ADDRESSING
    for version, interval in INTERVALS
    for fault in ("crash", "term")
)
"""IPv6 has version 3 only; the rig's crash is a dead machine, term an orderly stop."""


def rig(product: str, *words: str) -> Iterator[dict[str, Any]]:
    """Run the rig with a product in both places and return its records."""
    command = [sys.executable, str(RIG), *words]
    if product == OURS:
        director = f"{sys.executable} -m standfest.cli.main director {{conf}}"
        command += ["--a-cmd", director, "--a-name", OURS]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=RIG_LIMIT_S, env=environment, check=False
    )
    if done.returncode:
        print(f"bench: the rig failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def many(directory: Path, priority: int) -> str:
    """Write a file with 255 routers, the first with the rig's address; return its path."""
    text = "global_defs {\nrouter_id bench\n}\n"
    for vrid in range(1, MANY + 1):
        address = "10.77.0.100/24" if vrid == 1 else f"10.78.0.{vrid}/16"
        text += (
            f"vrrp_instance VI_{vrid} {{\ninterface eth0\nvirtual_router_id {vrid}\n"
            f"priority {priority}\nadvert_int 1\nvirtual_ipaddress {{\n{address}\n}}\n}}\n"
        )
    path = directory / f"many-{priority}.conf"
    path.write_text(text, encoding="ascii")
    return str(path)


def idle(seconds: str, directory: Path) -> None:
    """Print what a daemon costs while nothing happens."""
    print("| idle | role | keepalived CPU % | ours | ratio | keepalived PSS MiB | ours |")
    print("|---|---|---|---|---|---|---|")
    cells: list[tuple[str, tuple[str, ...]]] = [
        (f"v{version} {interval} s", ("--version", version, "--advert", interval))
        for version, interval in INTERVALS
    ]
    high, low = many(directory, 150), many(directory, 100)
    cells.append((f"{MANY} routers, v2 1 s", ("--a-conf", high, "--b-conf", low)))
    for name, words in cells:
        found = {
            (product, record["role"]): record
            for product in (PEER, OURS)
            for record in rig(product, "idle", "--seconds", seconds, *words)
            if record["bench"] == "vrrp_idle"
        }
        for role in ("master", "backup"):
            theirs, ours = found.get((PEER, role)), found.get((OURS, role))
            if theirs is None or ours is None:
                print(f"| {name} | {role} | not measured |")
                continue
            cpu, peer_cpu = ours["total_cpu_pct"], theirs["total_cpu_pct"]
            pss, peer_pss = (one["total_pss_kb"] / 1024 for one in (ours, theirs))
            ratio = cpu / peer_cpu if peer_cpu else 0.0
            over = " (over)" if ratio > ALLOWED_RATIO else ""
            fat = " (over)" if pss > ALLOWED_PSS_MIB else ""
            print(
                f"| {name} | {role} | {peer_cpu:.3f} | {cpu:.3f} | {ratio:.1f}{over} "
                f"| {peer_pss:.1f} | {pss:.1f}{fat} |",
                flush=True,
            )


def takeover(runs: int) -> None:
    """Print how long a client waits, cell by cell, the two programs in turn."""
    print("\n| takeover | runs | keepalived ms: median (min to max) | ours |")
    print("|---|---|---|---|")
    for words in CELLS:
        outages: dict[str, list[float]] = {PEER: [], OURS: []}
        for _ in range(runs):
            for product, found in outages.items():
                for record in rig(product, "takeover", "--runs", "1", *words):
                    if record["bench"] == "vrrp_takeover" and "outage_ms" in record:
                        found.append(record["outage_ms"])
        name = " ".join(word.removeprefix("--") for word in words)
        shown = " | ".join(spread(outages[product]) for product in (PEER, OURS))
        print(f"| {name} | {len(outages[OURS])} | {shown} |", flush=True)


def spread(values: list[float]) -> str:
    """Return median, least and most."""
    if not values:
        return "never"
    return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def main() -> int:
    """Measure and print; exit status 1 when something needed is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--only", choices=("idle", "takeover"))
    arguments = parser.parse_args()
    missing = [program for program in ("ip", "keepalived") if shutil.which(program) is None]
    if os.geteuid() != 0 or missing or not RIG.exists():
        print(f"bench: needs root, keepalived and {RIG}; missing: {missing}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="standfest-bench-") as directory:
        if arguments.only != "takeover":
            idle(str(arguments.seconds), Path(directory))
    if arguments.only != "idle":
        takeover(arguments.runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
