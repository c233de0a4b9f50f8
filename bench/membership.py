"""`./dev bench membership`: what being a member costs, by number of nodes, beside heartbeat 3.0.6.

    ./dev bench membership [--nodes 2,4,8,16] [--seconds S] [--rounds N]
    ./dev bench membership --load [--seconds S]

All nodes are namespaces of this machine on one bridge, with one broadcast medium and 100 ms between
heartbeats. Both products run with the same files and the same number of nodes, in turn; counted are
the datagrams that a node puts on its cable, and processor time: of `pulse`, of all our processes,
of all of heartbeat's. `--load`: two of our nodes, 100 ms and a deadtime of 1 s, for 600 s beside
endless loops, two for each core: nobody may be given up. Needs root, heartbeat.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.interop.heartbeat_lab import HEARTBEAT, OURS, THEIRS, Lab, Machine, lab, until
from tests.netns.vrrp_lab import why_not

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
START_S = 60.0
CALM_S = 3.0
"""After the start until counting begins."""
FILES = """logfile /var/log/ha-log
logfacility none
keepalive 100ms
deadtime {deadtime}
initdead 60
auto_failback off
bcast eth0
node {nodes}
"""
LOOP = "while True: pass"
LOOPS_A_CORE = 2


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one node: datagrams a second, and percent of a core of its messenger and of all."""

    messages: float
    messenger: float
    whole: float


def files(count: int, deadtime: str) -> dict[str, str]:
    """Return what stands in /etc/ha.d on every node."""
    nodes = " ".join(f"n{number}" for number in range(1, count + 1))
    return {
        "ha.cf": FILES.format(nodes=nodes, deadtime=deadtime),
        "authkeys": "auth 1\n1 sha1 benchSecret\n",
        "haresources": "# nothing: the nodes only watch each other\n",
    }


def processes(machine: Machine) -> Iterator[tuple[str, float]]:
    """Yield the command line and the seconds on a processor of each process of a node."""
    namespace = os.readlink(f"/proc/{machine.inside}/ns/pid")
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(path / "ns" / "pid") == namespace:
                fields = (path / "stat").read_text().rpartition(") ")[2].split()
                spent = (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
                yield (path / "cmdline").read_text().replace("\0", " "), spent
        except OSError:
            continue  # it has ended


def spent(machine: Machine) -> tuple[float, float]:
    """Return the seconds of a node's messenger and of everything that was started on it."""
    messenger = whole = 0.0
    for command, seconds in processes(machine):
        if "heartbeat_node" in command:
            continue  # the node itself
        whole += seconds
        if machine.product == THEIRS or "standfest.daemons.pulse" in command:
            messenger += seconds
    return messenger, whole


def sent(made: Lab) -> dict[str, int]:
    """Return how many frames came from each node."""
    words = ("ip", "-n", made.switch, "-s", "-j", "link")
    found = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    return {link["ifname"]: link["stats64"]["rx"]["packets"] for link in found}


def all_see_all(made: Lab) -> bool:
    """Return whether every node sees every other as active."""
    names = [machine.name for machine in made.machines]
    for machine in reversed(made.machines):
        others = [name for name in names if name != machine.name]
        if machine.product == THEIRS:
            seen = {name: machine.sees(name) for name in others}
        else:
            seen = dict(machine.links().get("nodes", {}))
        if any(seen.get(name) != "active" for name in others):
            return False
    return True


@contextmanager
def running(product: str, count: int, deadtime: str) -> Iterator[Lab]:
    """Give so many nodes that all see each other as active."""
    with tempfile.TemporaryDirectory(prefix="standfest-bench-") as directory:
        products = (product,) * count
        with lab(Path(directory), products, files(count, deadtime)) as made:
            for machine in made.machines:
                machine.start()
            if not until(lambda: all_see_all(made), START_S):
                raise TimeoutError(f"{count} nodes with {product} did not find each other")
            time.sleep(CALM_S)
            yield made


def measure(product: str, count: int, seconds: float) -> Cost:
    """Return what a node costs, the mean of all of them."""
    with running(product, count, "10") as made:
        frames, began = sent(made), time.monotonic()
        before = [spent(machine) for machine in made.machines]
        time.sleep(seconds)
        after = [spent(machine) for machine in made.machines]
        frames_after, passed = sent(made), time.monotonic() - began
    messages = [(frames_after[m.name] - frames[m.name]) / passed for m in made.machines]
    pairs = list(zip(before, after, strict=True))
    messenger = [100 * (new[0] - old[0]) / passed for old, new in pairs]
    whole = [100 * (new[1] - old[1]) / passed for old, new in pairs]
    return Cost(*(statistics.fmean(column) for column in (messages, messenger, whole)))


def by_nodes(counts: list[int], seconds: float, rounds: int) -> None:
    """Print the table: medians of all rounds, in which the two take turns."""
    print(
        "| nodes | heartbeat msg/s | Standfest msg/s | ratio | heartbeat CPU | pulse CPU | ratio |",
        end="",
    )
    print(" all of Standfest | ratio |\n|---|---|---|---|---|---|---|---|---|")
    for count in counts:
        found: dict[str, list[Cost]] = {THEIRS: [], OURS: []}
        for number in range(rounds):
            for product in (THEIRS, OURS) if number % 2 == 0 else (OURS, THEIRS):
                found[product].append(measure(product, count, seconds))
        theirs, ours = (_median(found[product]) for product in (THEIRS, OURS))
        row = [
            str(count),
            f"{theirs.messages:.1f}",
            f"{ours.messages:.1f}",
            _ratio(ours.messages, theirs.messages),
            f"{theirs.whole:.2f} %",
            f"{ours.messenger:.2f} %",
            _ratio(ours.messenger, theirs.whole),
            f"{ours.whole:.2f} %",
            _ratio(ours.whole, theirs.whole),
        ]
        print(f"| {' | '.join(row)} |", flush=True)


def _median(costs: list[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.messages for cost in costs),
        statistics.median(cost.messenger for cost in costs),
        statistics.median(cost.whole for cost in costs),
    )


def _ratio(ours: float, theirs: float) -> str:
    return f"{ours / theirs:.2f}" if theirs else "-"


@contextmanager
def loaded() -> Iterator[int]:
    """Keep every core busy; give the number of loops."""
    count = LOOPS_A_CORE * len(os.sched_getaffinity(0))
    loops = [subprocess.Popen([sys.executable, "-I", "-S", "-c", LOOP]) for _ in range(count)]
    try:
        yield count
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def under_load(seconds: float) -> int:
    """Print whom nodes have given up beside busy loops, and the longest silence; 0: nobody."""
    with running(OURS, 2, "1") as made, loaded() as loops:
        began, load = time.monotonic(), []
        while time.monotonic() - began < seconds:
            time.sleep(min(5.0, seconds))
            load.append(os.getloadavg()[0])
        passed = time.monotonic() - began
        died = [
            line
            for machine in made.machines
            for line in machine.log().splitlines()
            if ("node-status" in line and "status=dead" in line) or " paused " in line
        ]
        reports = [json.loads(machine.ask("membership", "--json")) for machine in made.machines]
    print(f"{passed:.0f} s, {loops} busy loops, load average {min(load):.1f} to {max(load):.1f}")
    print("| node | of | heartbeats | late | lost | usual ms | 99 % ms | longest ms |")
    print("|---|---|---|---|---|---|---|---|")
    for machine, report in zip(made.machines, reports, strict=True):
        for peer in report["steadiness"]:
            keys = ("node", "heartbeats", "late", "lost", "usual", "p99", "longest")
            print(f"| {machine.name} | {' | '.join(str(peer[key]) for key in keys)} |")
    print(f"false deaths: {len(died)}")
    print("\n".join(died))
    return 1 if died else 0


def main(arguments: Sequence[str]) -> int:
    """Run `./dev bench membership`."""
    description = str(__doc__).partition("\n")[0]
    parser = argparse.ArgumentParser("./dev bench membership", description=description)
    parser.add_argument("--nodes", default="2,4,8,16", help="how many, with commas (2,4,8,16)")
    parser.add_argument("--seconds", type=float, help="of each measurement (15; --load: 600)")
    parser.add_argument("--rounds", type=int, default=1, help="of each, in turn (1)")
    parser.add_argument("--load", action="store_true", help="look for false deaths beside load")
    options = parser.parse_args(arguments)
    missing = why_not("unshare", "nsenter", "cl_status", HEARTBEAT)
    if missing:
        print(missing, file=sys.stderr)
        return 1
    if options.load:
        return under_load(options.seconds or 600.0)
    counts = [int(word) for word in options.nodes.split(",")]
    by_nodes(counts, options.seconds or 15.0, options.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
