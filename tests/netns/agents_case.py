"""What the tests of the built-in agents do on a machine of their own.

Run as `python -m tests.netns.agents_case CASE`; prints one JSON value.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from standfest.adapters.linux.host import LinuxHost
from standfest.agents.filesystem import Filesystem
from standfest.agents.invoke import invoke
from standfest.agents.ipaddr import IPaddr
from standfest.agents.ipaddr2 import IPaddr2
from standfest.agents.service import Service
from standfest.lab import sandbox, syscalls

OK, GENERIC, NOT_INSTALLED, NOT_CONFIGURED, NOT_RUNNING = 0, 1, 5, 6, 7
ETHERTYPE_ARP = 0x0806


def cable() -> None:
    """Make the pair eth0 and peer, both down and without an address."""
    from pyroute2 import IPRoute

    warnings.simplefilter("ignore", DeprecationWarning)
    with IPRoute() as ip:
        ip.link("add", ifname="eth0", kind="veth", peer={"ifname": "peer"})
        ip.link("set", index=ip.link_lookup(ifname="peer")[0], state="up")


def address() -> object:
    """A floating address on an interface that is down and has none."""
    cable()
    host = LinuxHost()
    values = {
        "ip": "123.123.123.1",
        "nic": "eth0:0",
        "netmask": "255.255.255.0",
        "gateway": "123.123.123.254",
    }
    watcher = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_ARP))
    watcher.bind(("peer", ETHERTYPE_ARP))
    watcher.settimeout(5)
    codes = [invoke(IPaddr, action, values, host) for action in ("monitor", "start", "start")]
    announced = watcher.recv(100)
    codes.append(invoke(IPaddr, "monitor", values, host))
    held = [(a.device, a.ip, a.prefix) for a in host.addresses() if a.device == "eth0"]
    route = host.default_route()
    link = host.link("eth0")
    peer_down = subprocess.run(
        [sys.executable, "-c", PEER_DOWN], check=False, env={**os.environ}
    ).returncode
    codes.append(invoke(IPaddr, "monitor", values, host))
    codes += [invoke(IPaddr, action, values, host) for action in ("stop", "stop", "monitor")]
    wrong = [
        invoke(IPaddr, "start", {**values, **change}, host)
        for change in ({"ip": "1.2.3"}, {"ip": ""}, {"netmask": "99"}, {"nic": "eth7"})
    ]
    return {
        "codes": codes,
        "held": held,
        "route": route,
        "announced": socket.inet_ntoa(announced[28:32]),
        "sender": link is not None and announced[22:28] == link.mac,
        "peer down": peer_down,
        "left": [a.ip for a in host.addresses() if a.device == "eth0" and ":" not in a.ip],
        "route left": host.default_route(),
        "wrong": wrong,
    }


PEER_DOWN = """import warnings
warnings.simplefilter("ignore")
from pyroute2 import IPRoute
with IPRoute() as ip:
    ip.link("set", index=ip.link_lookup(ifname="peer")[0], state="down")
"""


def mount() -> object:
    """A bind mount: started twice, held by a process that ignores SIGTERM, stopped twice."""
    host = LinuxHost()
    with tempfile.TemporaryDirectory() as name:
        syscalls.mount("tmpfs", name, "tmpfs")
        source, target = Path(name) / "source", Path(name) / "target"
        source.mkdir()
        (source / "file").write_text("there")
        values = {
            "device": str(source),
            "directory": str(target),
            "fstype": "none",
            "options": "bind",
        }
        codes = [
            invoke(Filesystem, action, values, host)
            for action in ("monitor", "start", "start", "monitor")
        ]
        seen = (target / "file").read_text()
        holder = subprocess.Popen(
            ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"], cwd=target
        )
        time.sleep(0.1)
        codes += [
            invoke(Filesystem, action, values, host) for action in ("stop", "monitor", "stop")
        ]
        ended = holder.wait(10)
        syscalls.unmount(name)
        return {"codes": codes, "seen": seen, "holder": ended}


SCRIPT = """#!/bin/sh
case $1 in
start) sleep 300 & echo $! > %(pid)s; exit 0;;
stop) kill $(cat %(pid)s); rm -f %(pid)s; exit 0;;
status) [ -f %(pid)s ] && exit 0; exit 1;;
esac
"""


def service() -> object:
    """An init script that is not LSB's: its status says 1 for stopped, as Gentoo's did."""
    host = LinuxHost()
    syscalls.mount("tmpfs", "/etc/init.d", "tmpfs")
    syscalls.mount("tmpfs", "/run", "tmpfs")
    script = Path("/etc/init.d/thing")
    script.write_text(SCRIPT % {"pid": "/run/thing.pid"})
    script.chmod(0o755)
    values = {"service": "thing"}
    actions = ("monitor", "start", "start", "monitor", "stop", "stop", "monitor")
    codes = [invoke(Service, action, values, host) for action in actions]
    liar = Path("/etc/init.d/liar")
    liar.write_text("#!/bin/sh\n[ $1 = status ] && exit 3\nexit 0\n")
    liar.chmod(0o755)
    failed = invoke(Service, "start", {"service": "liar"}, host)
    unknown = invoke(Service, "start", {"service": "nothing"}, host)
    path = invoke(Service, "start", {"service": "../../bin/true"}, host)
    return {"codes": codes, "liar": failed, "unknown": unknown, "path": path}


INSTANCES = 6


def shared() -> object:
    """All instances of a shared address on one node, each action of theirs at the same time."""
    cable()
    syscalls.mount("tmpfs", "/run", "tmpfs")

    def values(number: int) -> dict[str, str]:
        return {
            "ip": "123.123.123.1",
            "nic": "eth0",
            "cidr_netmask": "24",
            "clusterip_hash": "sourceip",
            "CRM_meta_clone": str(number),
            "CRM_meta_clone_max": str(INSTANCES),
            "CRM_meta_globally_unique": "true",
        }

    def all_at_once(action: str, which: range = range(INSTANCES)) -> list[int]:
        processes = []
        for number in which:
            process = os.fork()
            if process == 0:
                os._exit(invoke(IPaddr2, action, values(number), LinuxHost()))
            processes.append(process)
        return [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]

    def there() -> list[object]:
        held = [(a.ip, a.prefix) for a in LinuxHost().addresses() if a.device == "eth0"]
        tables = subprocess.run(
            ["/usr/sbin/nft", "list", "tables"], check=True, capture_output=True, text=True
        ).stdout.splitlines()
        heard = Path("/proc/net/dev_mcast").read_text().count("99225f63ab95")
        return [[ip for ip, _ in held if ":" not in ip], len(tables), heard]

    found: dict[str, object] = {"before": all_at_once("monitor"), "start": all_at_once("start")}
    found["running"] = [all_at_once("monitor"), there()]
    found["one less"] = [all_at_once("stop", range(1)), all_at_once("monitor")]
    subprocess.run(["/usr/sbin/nft", "flush", "ruleset"], check=True)
    found["flushed"] = [all_at_once("monitor", range(1)), all_at_once("stop"), there()]
    found["again"] = [all_at_once("start"), all_at_once("stop"), there(), all_at_once("monitor")]
    return found


def by_hand() -> object:
    """The report's `echo +2` and `echo -2`, by command."""
    cable()
    syscalls.mount("tmpfs", "/run", "tmpfs")
    instance = {"ip": "123.123.123.1", "nic": "eth0", "cidr_netmask": "24", "CRM_meta_clone": "0"}
    instance |= {"CRM_meta_clone_max": "2", "CRM_meta_globally_unique": "true"}
    other = instance | {"CRM_meta_clone": "1"}

    def answer(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "standfest.cli.main", "share", "answer", *words],
            check=False,
            capture_output=True,
            text=True,
        )
        return f"{done.returncode} {done.stdout}{done.stderr}".strip()

    found = [answer("+2", "123.123.123.1"), invoke(IPaddr2, "start", instance, LinuxHost())]
    words = ("+2", "+2", "-2", "-2", "-1", "+1", "+3", "+0", "2")
    found += [answer(word, "123.123.123.1") for word in words]
    # The cluster sees what was done by hand.
    answer("+2", "123.123.123.1")
    found += [invoke(IPaddr2, "monitor", one, LinuxHost()) for one in (instance, other)]
    found += [invoke(IPaddr2, "stop", one, LinuxHost()) for one in (instance, other)]
    found.append(sorted(path.name for path in Path("/run/standfest/clusterip").iterdir()))
    return found


CASES: dict[str, Callable[[], object]] = {
    "address": address,
    "mount": mount,
    "service": service,
    "shared": shared,
    "by hand": by_hand,
}


def main() -> int:
    """Run one case in a sandbox."""

    def inside() -> int:
        print(json.dumps(CASES[sys.argv[1]]()), flush=True)
        return 0

    return sandbox.run(inside)


if __name__ == "__main__":
    sys.exit(main())
