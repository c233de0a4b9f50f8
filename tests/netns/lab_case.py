"""What the lab's tests do inside namespaces; run as `python -m tests.netns.lab_case CASE`.

Prints one JSON value. A process of its own, so that pytest never enters a namespace and the same
case runs as root and as an ordinary user. The nodes run toys instead of the daemons.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from standfest.config import cib
from standfest.daemons import reading, seed
from standfest.lab import measure, sandbox
from standfest.lab.lab import Lab
from standfest.lab.node import Node
from standfest.lab.plan import make_plan

EXAMPLE = Path(__file__).parents[2] / "examples" / "mail-server"
ADDRESS = "123.123.123.1"
SERVER = "/opt/standfest-lab/src/standfest/lab/standin.py"
DEADLINE_S = 10.0
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914  # requests of netdevice(7)
SIOCGIFADDR, SIOCSIFADDR, SIOCSIFNETMASK = 0x8915, 0x8916, 0x891C
IFF_UP = 1

ECHO = """import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("192.168.0.51", 7777))
while True:
    data, peer = s.recvfrom(100)
    s.sendto(data[::-1], peer)
"""
ASK = """import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.1)
for _ in range(50):
    s.sendto(b"abc", ("192.168.0.51", 7777))
    try:
        print(s.recv(100).decode())
        break
    except OSError:
        pass
"""
OWN = f"""import fcntl, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def address(ip):
    return struct.pack("16sHH4s8x", b"eth0", socket.AF_INET, 0, socket.inet_aton(ip))
fcntl.ioctl(s, {SIOCSIFADDR}, address("{ADDRESS}"))
fcntl.ioctl(s, {SIOCSIFNETMASK}, address("255.255.255.0"))
fcntl.ioctl(s, {SIOCSIFFLAGS}, struct.pack("16sH14x", b"eth0", {IFF_UP}))
"""
SHOW = f"""import fcntl, json, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
found = []
for _, name in sorted(socket.if_nameindex(), key=lambda entry: entry[1]):
    request = struct.pack("256s", name.encode())
    up = struct.unpack_from("H", fcntl.ioctl(s, {SIOCGIFFLAGS}, request), 16)[0] & {IFF_UP}
    try:
        ip = socket.inet_ntoa(fcntl.ioctl(s, {SIOCGIFADDR}, request)[20:24])
    except OSError:
        ip = None
    found.append([name, bool(up), ip])
print(json.dumps(found))
"""


def new_lab() -> Lab:
    """Return the lab of the mail server, not yet entered."""
    settings, _ = reading.heartbeat_settings(EXAMPLE)
    element = seed.from_files(sorted(EXAMPLE.glob("cib*.xml")), settings.nodes).cib.configuration
    configuration, _ = cib.compile_configuration(element)
    plan = make_plan(settings, element, configuration, "cib")
    files = {name: (EXAMPLE / name).read_text(encoding="utf-8") for name in ("ha.cf", "ha_logd.cf")}
    return Lab(plan, {**files, "authkeys": "auth 1\n1 crc\n"})


def python(node: Node, code: str) -> str:
    """Return what Python code printed in a node."""
    status, output = node.run(*node.python("-I", "-S", "-c", code))
    assert status == 0, output
    return output.strip()


def until(condition: Callable[[], bool]) -> bool:
    """Return whether the condition came true before the deadline."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def interpreter(lab: Lab) -> object:
    """Which C library of Python, if any, the interpreter in a node has loaded."""
    code = "print([l.split()[-1] for l in open('/proc/self/maps') if 'libpython' in l][:1])"
    return python(lab.boot("node-1"), code)


def silent(lab: Lab) -> object:
    """The owner dies and another node takes its address without a word: who is served?"""
    first, second = lab.boot("node-1"), lab.boot("node-2")
    for node in (first, second):
        command = node.python("-I", "-S", SERVER, "smtp", "25", "/run/toy.pid")
        assert node.run(*command)[0] == 0
    python(first, OWN)
    lab.start_client()
    assert until(lambda: lab.latest()[0] is not None), "the server never answered"
    time.sleep(1.2)  # the kernel keeps what it has learnt for a second, whatever it hears
    lab.kill("node-1")
    assert until(lambda: not any("node-1" in port for port in lab.wiring.ports()))
    python(second, OWN)
    time.sleep(0.5)
    answers, replies = lab.stop_client()
    new = [mac for mac, (host, _) in lab.wiring.macs.items() if host == "node-2"]
    return {
        "seen on the wire": any(reply.mac in new for reply in replies),
        "served": any(answer.node == "node-2" for answer in answers),
    }


def boot(lab: Lab) -> object:
    """Two nodes: what each has at boot, and a datagram there and back."""
    first, second = lab.boot("node-1"), lab.boot("node-2")
    second.spawn(*second.python("-I", "-S", "-c", ECHO))
    host_name = python(first, "import os; print(os.uname().nodename)")
    mode = python(first, "import os; print(oct(os.stat('/etc/ha.d/authkeys').st_mode & 0o777))")
    processes = python(
        first, "import os; print(sum(name.isdigit() for name in os.listdir('/proc')))"
    )
    return {
        "name": host_name,
        "authkeys": mode,
        "processes": int(processes),
        "network": json.loads(python(first, SHOW)),
        "echo": python(first, ASK),
    }


def kill(lab: Lab) -> object:
    """A killed node's cables leave the switch; it can be switched on again."""
    lab.boot("node-1")
    lab.boot("node-2")
    before = lab.wiring.ports()
    lab.kill("node-1")
    gone = until(lambda: not any("node-1" in port for port in lab.wiring.ports()))
    after = lab.wiring.ports()
    lab.bury("node-1")
    lab.boot("node-1")
    return {"before": before, "gone": gone, "after": after, "again": lab.wiring.ports()}


def owners(lab: Lab, *names: str) -> float:
    """Return for how many seconds two MACs answered while the named nodes held one address."""
    nodes = [lab.boot(name) for name in lab.plan.nodes]
    began = time.monotonic()
    lab.start_client()
    for node in nodes:
        if node.name in names:
            python(node, OWN)
    time.sleep(0.5)
    _, replies = lab.stop_client()
    assert any(reply.ip == ADDRESS for reply in replies), "nobody answered at all"
    return measure.answered_twice(replies, ADDRESS, began)


def one_owner(lab: Lab) -> object:
    """One node holds the address."""
    return owners(lab, "node-1")


def two_owners(lab: Lab) -> object:
    """Both nodes hold the address."""
    return owners(lab, "node-1", "node-2")


def dead_owner(lab: Lab) -> object:
    """The owner loses its power: until when does anybody answer for its address?"""
    node = lab.boot("node-1")
    python(node, OWN)
    lab.start_client()
    time.sleep(0.3)
    lab.kill("node-1")
    assert until(lambda: not any("node-1" in port for port in lab.wiring.ports()))
    quiet_from = time.monotonic() + 0.05
    time.sleep(0.3)
    _, replies = lab.stop_client()
    return {"before": len(replies) > 0, "after": sum(reply.at > quiet_from for reply in replies)}


def restart(lab: Lab) -> object:
    """A toy server is down for 0.3 s: what does the client see?"""
    node = lab.boot("node-1")
    python(node, OWN)
    command = node.python("-I", "-S", SERVER, "smtp", "25", "/run/toy.pid")
    lab.start_client()
    assert node.run(*command)[0] == 0
    assert until(lambda: lab.latest()[0] is not None), "the server never answered"
    time.sleep(0.2)
    fault = time.monotonic()
    node.run("/bin/sh", "-c", "read pid < /run/toy.pid && kill -9 $pid")
    down = time.monotonic()
    time.sleep(0.3)
    back = time.monotonic()
    node.run(*command)
    time.sleep(0.3)
    answers, _ = lab.stop_client()
    found = measure.outage(answers, 0, fault, time.monotonic())
    assert found is not None, "the server did not come back"
    return {
        "outage": found.seconds,
        "at_least": back - down,
        "before": found.before,
        "after": found.after,
    }


CASES: dict[str, Callable[[Lab], object]] = {
    case.__name__: case
    for case in (boot, interpreter, kill, one_owner, two_owners, dead_owner, silent, restart)
}


def main(name: str) -> int:
    """Run one case in a lab of its own."""

    def inside() -> int:
        with new_lab() as lab:
            print(json.dumps(CASES[name](lab)), flush=True)
        return 0

    return sandbox.run(inside)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
