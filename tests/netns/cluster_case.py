"""What the tests of the real daemons do inside namespaces.

Run as `python -m tests.netns.cluster_case CASE`.

Prints one JSON value. A process of its own, so that pytest never enters a namespace.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from standfest.config import cib, hacf
from standfest.daemons import seed
from standfest.lab import measure, sandbox
from standfest.lab.lab import Lab
from standfest.lab.plan import LabPlan, make_plan

EXAMPLE = Path(__file__).parents[2] / "examples" / "mail-server"
DAEMONS = ("log", "pulse", "cluster", "supervisor")

FLOOD = """import os, random, socket
source = random.Random(1)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
good = b"###\\n8:(0)t=abc,8:(0)src=x,%%%\\n42:1 " + b"0" * 40 + b","
for number in range(400):
    kind = number % 4
    if kind == 0:
        data = source.randbytes(source.randint(0, 1400))
    elif kind == 1:
        data = good
    elif kind == 2:
        data = good[: source.randint(1, len(good))]
    else:
        data = b"###\\n" + b"9" * 60000
    s.sendto(data, ("192.168.0.50", 694))
    s.sendto(data, ("192.168.0.51", 694))
"""
FIND = """import os
for name in os.listdir("/proc"):
    if name.isdigit():
        try:
            words = open(f"/proc/{name}/cmdline", "rb").read().split(b"\\0")
        except OSError:
            continue
        if b"standfest.daemons.%s" in words:
            print(name)
"""


SIGNED = "auth 1\n1 sha1 labSecret\n"
ENCRYPTED = "auth 1\n1 aes256-gcm labSecretlabSecret\n"


def new_plan(*nodes: str, votes: bool = False) -> tuple[LabPlan, str]:
    """Return the mail server's plan with these nodes, and its ha.cf."""
    text = (EXAMPLE / "ha.cf").read_text(encoding="utf-8")
    text = text.replace("node node-1 node-2", "node " + " ".join(nodes))
    for number in range(2, len(nodes)):
        text = text.replace("udpport", f"ucast eth1 192.168.0.{50 + number}\nudpport")
    settings, _ = hacf.parse(text, "ha.cf")
    seeded = seed.from_files(sorted(EXAMPLE.glob("cib*.xml")), settings.nodes, votes=votes)
    element = seeded.cib.configuration
    configuration, _ = cib.compile_configuration(element)
    return make_plan(settings, element, configuration, "cib"), text


def new_lab(*nodes: str, keys: str = SIGNED) -> Lab:
    """Return the mail server's lab, with these nodes; not yet entered."""
    plan, text = new_plan(*nodes)
    logd = (EXAMPLE / "ha_logd.cf").read_text(encoding="utf-8")
    return Lab(plan, {"ha.cf": text, "ha_logd.cf": logd, "authkeys": keys})


def until(condition: Callable[[], bool], limit_s: float) -> None:
    """Wait for the condition; fails after the limit."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


def status(lab: Lab, node: str) -> dict[str, str]:
    """Return node -> status as `standfest status` on `node` says."""
    code, output = lab.command(node, "status", "--json")
    if code:
        return {}
    return {entry["name"]: entry["status"] for entry in json.loads(output)["nodes"]}


def owner(lab: Lab) -> str:
    """Return who answers for the first service now, or the empty string."""
    latest = lab.latest()[0]
    return latest[1] if latest and time.monotonic() - latest[0] < 0.1 else ""


def pid(lab: Lab, node: str, daemon: str) -> str:
    """Return the process id of a daemon inside a node, or the empty string."""
    words = lab.nodes[node].python("-I", "-S", "-c", FIND.replace("%s", daemon))
    found = lab.nodes[node].run(*words)[1].split()
    return found[0] if found else ""


def daemons(lab: Lab, names: tuple[str, ...] = DAEMONS) -> object:
    """Kill each daemon on each node: is it back, and was any service touched?"""
    lab.start()
    lab.wait_healthy(30)
    until(lambda: set(status(lab, "node-1").values()) == {"online"}, 10)
    before, began, wall = owner(lab), time.monotonic(), time.time()
    back = []
    for node in lab.plan.nodes:
        for daemon in names:
            old = pid(lab, node, daemon)
            lab.nodes[node].run("/bin/kill", "-9", old)
            until(lambda n=node, d=daemon, o=old: pid(lab, n, d) not in ("", o), 15)  # type: ignore[misc]
            back.append(daemon)
            # Whole again: both nodes take part.
            until(
                lambda: all(
                    set(status(lab, other).values()) == {"online"} for other in lab.plan.nodes
                ),
                30,
            )
    time.sleep(2)
    after, until_ = owner(lab), time.monotonic()
    answers, replies = lab.stop_client()
    gap = measure.outage(answers, 0, began, until_)
    tasks = {e.field("task") for e in lab.events() if e.at > wall and e.name == "operation-started"}
    return {
        "back": back,
        "moved": before != after,
        "interrupted": gap is None or gap.seconds > 0.2,
        "tasks": sorted(tasks),
        "twice": max(measure.answered_twice(replies, a.ip, began) for a in lab.plan.addresses),
    }


def garbage(lab: Lab) -> object:
    """Throw malformed datagrams at both nodes from a third host in their network."""
    lab.start()
    lab.wait_healthy(30)
    before = owner(lab)
    # The client host has no command channel: node-2 is as good a sender, its source is not trusted.
    words = lab.nodes["node-2"].python("-I", "-S", "-c", FLOOD)
    assert lab.nodes["node-2"].run(*words)[0] == 0
    time.sleep(2)
    _, output = lab.command("node-1", "status", "--links", "--json")
    report = json.loads(output)
    console = lab.nodes["node-1"].read("/var/log/console")
    return {
        "refused": sum(report["refused"].values()),
        "reasons": len(report["refused"]),
        "traceback": "Traceback" in console,
        "secret": "labSecret" in console + lab.nodes["node-1"].read("/var/log/ha-debug"),
        "moved": owner(lab) != before,
        "heard": sorted(report["nodes"]),
    }


def three(lab: Lab) -> object:
    """Three nodes lose the active one twice; the first one comes back and takes part again."""
    lab.start()
    first = lab.wait_healthy(30)[0]
    until(lambda: set(status(lab, first).values()) == {"online"}, 10)
    lab.kill(first)
    until(lambda: owner(lab) not in ("", first), 5)
    second = owner(lab)
    lab.bury(first)
    lab.boot(first)
    lab.launch(first)
    until(lambda: status(lab, second).get(first) == "online", 15)
    stayed = owner(lab) == second
    lab.kill(second)
    until(lambda: owner(lab) not in ("", second), 5)
    third = owner(lab)
    lab.bury(second)
    rest = next(node for node in lab.plan.nodes if node not in (second, third))
    assert lab.command(third, "node", "standby", third)[0] == 0
    until(lambda: owner(lab) == rest, 5)
    return {"distinct": len({first, second}), "stayed": stayed, "last": owner(lab) == rest}


def together(lab: Lab) -> object:
    """Both nodes are started at once, then one is stopped in order."""
    for name in lab.plan.nodes:
        lab.boot(name)
    lab.start_client()
    for name in lab.plan.nodes:
        lab.launch(name)
    active = lab.wait_healthy(20)[0]
    until(lambda: set(status(lab, active).values()) == {"online"}, 10)
    began = time.monotonic()
    lab.nodes[active].run("/bin/sh", "-c", "kill $(cat /run/standfest/supervisor.pid)")
    until(lambda: owner(lab) not in ("", active), 5)
    until(lambda: not pid(lab, active, "pulse"), 5)
    time.sleep(0.5)
    ended = time.monotonic()
    answers, replies = lab.stop_client()
    gap = measure.outage(answers, 0, began, ended)
    left = [event for event in lab.events() if event.name == "member-left"]
    return {
        "recovered": gap is not None,
        "left in order": [event.field("node") == active for event in left],
        "twice": max(measure.answered_twice(replies, a.ip, began) for a in lab.plan.addresses),
    }


def recorded(lab: Lab) -> object:
    """Daemons are killed, a node fails, another takes over: every recording is decided again."""
    lab.start()
    victim = lab.wait_healthy(30)[0]
    other = next(node for node in lab.plan.nodes if node != victim)
    until(lambda: set(status(lab, other).values()) == {"online"}, 10)
    for daemon in ("pulse", "cluster"):
        old = pid(lab, other, daemon)
        lab.nodes[other].run("/bin/kill", "-9", old)
        until(lambda d=daemon, o=old: pid(lab, other, d) not in ("", o), 15)  # type: ignore[misc]
        until(lambda: set(status(lab, victim).values()) == {"online"}, 30)
    found = Recordings(lab, victim, other)
    found.collect(victim)
    lab.kill(victim)
    until(lambda: owner(lab) == other, 10)
    time.sleep(0.5)
    found.collect(other)
    return found.replayed()


class Recordings:
    """Copies of the nodes' recordings, and what replaying them comes to, here, outside the lab."""

    def __init__(self, lab: Lab, victim: str, other: str) -> None:
        self._lab = lab
        self._death = f"NodeChanged node={victim} state=dead"
        self._takeover = f"{other} cluster.ring"
        self._copies: dict[str, bytes] = {}

    def collect(self, node: str) -> None:
        """Copy what a node has; its daemons go on writing meanwhile."""
        for path in sorted(self._lab.nodes[node].path("/run/standfest").glob("*.ring*")):
            self._copies[f"{node} {path.name}"] = path.read_bytes()

    def replayed(self) -> object:
        """Replay all copies with the command."""
        with tempfile.TemporaryDirectory() as folder:
            outputs = {}
            for name, content in self._copies.items():
                path = Path(folder, name.replace(" ", "-"))
                path.write_bytes(content)
                words = (sys.executable, "-m", "standfest.cli.main", "replay", str(path))
                done = subprocess.run(words, check=False, capture_output=True, text=True)
                outputs[name] = (done.returncode, done.stdout)
        everything = "".join(output for _, output in outputs.values())
        pulses = b"".join(ring for name, ring in self._copies.items() if "pulse" in name)
        parameters = [address.ip for address in self._lab.plan.addresses]
        return {
            "exit": [code for code, _ in outputs.values()],
            "endings": sorted(
                {output.splitlines()[-1].split(": ")[1] for _, output in outputs.values()}
            ),
            "death": self._death in everything,
            "takeover": outputs[self._takeover][1].count("StartRun") > 0,
            "printed": [value for value in parameters if value in everything],
            "in pulse": [value for value in parameters if value.encode() in pulses],
            "secret": b"labSecret" in b"".join(self._copies.values()),
        }


def blind(lab: Lab) -> object:
    """The owner dies while the other node's `pulse` is just being started again."""
    for name in lab.plan.nodes:
        text = lab.boot(name).path("/etc/ha.d/ha.cf")
        settings = text.read_text(encoding="utf-8")
        text.write_text(settings.replace("initdead 10", "initdead 3"), encoding="utf-8")
    lab.start_client()
    for name in lab.plan.nodes:
        lab.launch(name)
    first = lab.wait_healthy(30)[0]
    until(lambda: set(status(lab, first).values()) == {"online"}, 10)
    second = next(name for name in lab.plan.nodes if name != first)
    old = pid(lab, second, "pulse")
    lab.kill(first)
    lab.nodes[second].run("/bin/kill", "-9", old)
    until(lambda: owner(lab) == second, 10)
    return {"heard": sorted(n for n, s in status(lab, second).items() if s == "online") == [second]}


CASES: dict[str, tuple[Callable[[Lab], object], tuple[str, ...], str]] = {
    "daemons": (daemons, ("node-1", "node-2"), SIGNED),
    "garbage": (garbage, ("node-1", "node-2"), SIGNED),
    "three": (three, ("node-1", "node-2", "node-3"), ENCRYPTED),
    "recorded": (recorded, ("node-1", "node-2"), SIGNED),
    "blind": (blind, ("node-1", "node-2"), SIGNED),
    "together": (together, ("node-1", "node-2"), SIGNED),
}


def main() -> int:
    """Run one case in a sandbox."""
    case, nodes, keys = CASES[sys.argv[1]]

    def inside() -> int:
        with new_lab(*nodes, keys=keys) as lab:
            print(json.dumps(case(lab)), flush=True)
        return 0

    return sandbox.run(inside)


if __name__ == "__main__":
    sys.exit(main())
