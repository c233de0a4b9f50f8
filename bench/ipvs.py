"""`./dev bench ipvs`: IPVS by keepalived and by Standfest beside forwarding and iptables' NAT.

    ./dev bench ipvs [--rounds N] [--seconds S]

In User Mode Linux, whose kernel has IPVS: a client, a director and four servers as network
namespaces of one kernel, on one processor with the generator. The ways come in turn, and each
program is started anew for each of its turns. Packets: UDP datagrams of 64 bytes of 256 clients'
ports, sent from a ring, counted at the servers, whose filter drops them; `received`: what comes to
the director if it drops everything. Connections: wrk, one connection a request, two nginx.
Needs root and user-mode-linux.
"""

import argparse
import contextlib
import ctypes
import json
import mmap
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VIP, DIRECT = "10.9.0.99", "10.8.0.11"
SERVERS = ("10.8.0.11", "10.8.0.12", "10.8.0.13", "10.8.0.14")
PORT, WEB_PORT = 5300, 80
FLOWS, FRAME_BYTES, SLOT_BYTES = 256, 64, 256
SOL_PACKET, PACKET_TX_RING, PACKET_VERSION, PACKET_QDISC_BYPASS = 263, 13, 10, 20
TPACKET_V2, SEND_REQUEST, DATA_AT = 1, 1, 32
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
HOME = Path("/run/bench")
SETTLE_S = 1.0
METHODS = {"NAT": "10.9.0.100", "DR": "10.9.0.101", "TUN": "10.9.0.102"}
"""An address each: IPVS forwards what it knows as before, whatever its services are now."""
KEEPALIVED = ("keepalived", "-n", "-l", "-D", "-C", "-p", str(HOME / "k.pid"), "-f")
STANDFEST = (sys.executable, "-m", "standfest.cli.main", "balance", "run", "--backend", "ipvs")
MODULES = ("iptable_nat", "iptable_raw", "xt_statistic", "xt_nat", "xt_conntrack")


# --- inside the guest ---------------------------------------------------------------------------


def ip(*lines: str, on: str = "") -> None:
    """Run iproute2's commands in a namespace."""
    where = ("-n", on) if on else ()
    subprocess.run(("ip", *where, "-batch", "-"), input="\n".join(lines), text=True, check=True)


@contextlib.contextmanager
def inside(name: str) -> Iterator[None]:
    """Be in a namespace for a while."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    LIBC.setns(there, CLONE_NEWNET)
    try:
        yield
    finally:
        LIBC.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(there)


def iptables(name: str, *words: str) -> None:
    """Run iptables in a namespace."""
    with inside(name):
        subprocess.run(("iptables-legacy", "-w", *words), check=True)


def set_kernel(name: str, **values: str) -> None:
    """Set variables below net/ipv4 of a namespace: conf__all__rp_filter."""
    with inside(name):
        for key, value in values.items():
            Path("/proc/sys/net/ipv4", *key.split("__")).write_text(value)


def build() -> None:
    """Make client, director and servers; all servers answer for the VIP themselves, too."""
    HOME.mkdir()
    names = ("c", "d", "s1", "s2", "s3", "s4")
    ip(*(f"netns add {name}" for name in names))
    ip("link set lo up", "link add inner type bridge", "link set inner up", on="d")
    ip("link add eth0 type veth peer name eth0 netns d", "link set eth0 up", on="c")
    ip("addr add 10.9.0.2/24 dev eth0", "route add default via 10.9.0.1", on="c")
    ip("addr add 10.9.0.1/24 dev eth0", "link set eth0 up", on="d")
    ip("addr add 10.8.0.1/24 dev inner", on="d")
    addresses = [f"addr add {address}/32 dev lo" for address in (VIP, *METHODS.values())]
    ip(*addresses, on="d")
    set_kernel("d", ip_forward="1", conf__all__rp_filter="0", conf__all__send_redirects="0")
    set_kernel("d", conf__eth0__rp_filter="0", conf__inner__rp_filter="0")
    # Servers answer clients by way of the director, which has their address, too.
    set_kernel("d", conf__inner__accept_local="1")
    for number, address in enumerate(SERVERS, 1):
        name = f"s{number}"
        cable = f"link add v{number} type veth peer name eth0 netns {name}"
        ip(cable, f"link set v{number} master inner up", on="d")
        ip("link set lo up", f"addr add {address}/24 dev eth0", "link set eth0 up", on=name)
        ip("route add default via 10.8.0.1", "link set tunl0 up", on=name)
        set_kernel(name, conf__all__arp_ignore="1", conf__all__arp_announce="2")
        set_kernel(name, conf__all__rp_filter="0", conf__eth0__rp_filter="0")
        set_kernel(name, conf__tunl0__rp_filter="0")
        ip(*addresses, on=name)
        iptables(name, "-t", "raw", "-A", "PREROUTING", "-i", "eth0", "-p", "udp", "-j", "DROP")
        iptables(name, "-t", "raw", "-A", "PREROUTING", "-i", "eth0", "-p", "4", "-j", "ACCEPT")
        place = HOME / name
        place.mkdir()
        (place / "index.html").write_text("x" * 100)
        (place / "conf").write_text(
            f"daemon off;\nmaster_process off;\npid {place}/pid;\nerror_log {place}/log;\n"
            f"events {{}}\nhttp {{\n access_log off;\n client_body_temp_path {place}/b;\n"
            f" proxy_temp_path {place}/p;\n fastcgi_temp_path {place}/f;\n"
            f" uwsgi_temp_path {place}/u;\n scgi_temp_path {place}/s;\n"
            f" server {{\n  listen 80;\n  root {place};\n }}\n}}\n"
        )
        if number <= 2:
            with inside(name):
                subprocess.Popen(("nginx", "-c", str(place / "conf")), stderr=subprocess.DEVNULL)


class Generator:
    """A ring of frames, 256 clients' ports, that one system call sends."""

    def __init__(self) -> None:
        with inside("c"):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V2)
            self._socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
            size = FLOWS * SLOT_BYTES
            ring = struct.pack("=IIII", size, 1, SLOT_BYTES, FLOWS)
            self._socket.setsockopt(SOL_PACKET, PACKET_TX_RING, ring)
            self._socket.bind(("eth0", 0x0800))
            self._source = self._socket.getsockname()[4]
        self._ring = mmap.mmap(self._socket.fileno(), size)
        found = subprocess.run(
            ("ip", "-n", "d", "-j", "link", "show", "eth0"), capture_output=True, check=True
        )
        self._gateway = bytes.fromhex(json.loads(found.stdout)[0]["address"].replace(":", ""))

    def aim(self, address: str) -> None:
        """Write the frames for a destination."""
        for flow in range(FLOWS):
            payload = bytes(FRAME_BYTES - 14 - 20 - 8)
            udp = struct.pack(">HHHH", 20000 + flow, PORT, 8 + len(payload), 0) + payload
            head = struct.pack(
                ">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), flow, 0, 64, 17, 0,
                socket.inet_aton("10.9.0.2"), socket.inet_aton(address),
            )  # fmt: skip
            total = sum(struct.unpack(">10H", head))
            total = (total & 0xFFFF) + (total >> 16)
            total = (total & 0xFFFF) + (total >> 16)
            head = head[:10] + struct.pack(">H", ~total & 0xFFFF) + head[12:]
            frame = self._gateway + self._source + b"\x08\x00" + head + udp
            at = flow * SLOT_BYTES
            self._ring[at + DATA_AT : at + DATA_AT + len(frame)] = frame

    def send(self, rounds: int) -> None:
        """Send each frame so many times."""
        request = struct.pack("=III", SEND_REQUEST, FRAME_BYTES, FRAME_BYTES)
        for _ in range(rounds):
            for at in range(0, FLOWS * SLOT_BYTES, SLOT_BYTES):
                self._ring[at : at + 12] = request
            self._socket.send(b"")


def received(*, at_director: bool) -> int:
    """Return how many packets have come to the servers, or to the director from the client."""
    names = ("d",) if at_director else ("s1", "s2", "s3", "s4")
    total = 0
    for name in names:
        found = subprocess.run(
            ("ip", "-n", name, "-j", "-s", "link", "show", "eth0"), capture_output=True, check=True
        )
        total += int(json.loads(found.stdout)[0]["stats64"]["rx"]["packets"])
    return total


def rate(generator: Generator, address: str, seconds: float, *, at_director: bool = False) -> float:
    """Return how many packets per second arrive."""
    generator.aim(address)
    generator.send(4)
    before, began = received(at_director=at_director), time.perf_counter()
    while time.perf_counter() - began < seconds:
        generator.send(16)
    took = time.perf_counter() - began
    return (received(at_director=at_director) - before) / took


def connections(address: str, seconds: float) -> float:
    """Return new connections per second."""
    with inside("c"):
        done = subprocess.run(
            ("wrk", "-t1", "-c8", f"-d{max(1, round(seconds))}s", "-H", "Connection: close", f"http://{address}/"),
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    line = next(line for line in done.stdout.splitlines() if line.startswith("Requests/sec"))
    return float(line.split()[1])


def configuration(method: str) -> Path:
    """Write the keepalived.conf of a method."""
    blocks = []
    for protocol, port, count in (("UDP", PORT, 4), ("TCP", WEB_PORT, 2)):
        servers = "".join(f"  real_server {a} {port} {{ weight 1 }}\n" for a in SERVERS[:count])
        blocks.append(
            f"virtual_server {METHODS[method]} {port} {{\n  lb_algo rr\n  lb_kind {method}\n"
            f"  protocol {protocol}\n{servers}}}\n"
        )
    path = HOME / f"{method}.conf"
    path.write_text("".join(blocks))
    return path


@contextlib.contextmanager
def running(command: tuple[str, ...]) -> Iterator[None]:
    """Let a program balance on the director until all of its servers are there."""
    with inside("d"):
        log = (HOME / "log").open("ab")
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            for _ in range(300):
                listed = subprocess.run(
                    ("ipvsadm", "-Ln"), capture_output=True, text=True, check=True
                )
                if listed.stdout.count("->") >= 1 + 6:
                    break
                time.sleep(0.1)
            else:
                raise AssertionError((HOME / "log").read_text()[-3000:])
            time.sleep(SETTLE_S)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            subprocess.run(("ipvsadm", "-C"), check=True)


def one_round(generator: Generator, seconds: float) -> dict[str, tuple[float, float]]:
    """Return (packets/s, connections/s) of every way; 0 where there is nothing to measure."""
    found: dict[str, tuple[float, float]] = {}
    iptables("d", "-t", "raw", "-A", "PREROUTING", "-p", "udp", "-j", "DROP")
    found["received"] = rate(generator, DIRECT, seconds, at_director=True), 0.0
    iptables("d", "-t", "raw", "-F")
    found["forwarding"] = rate(generator, DIRECT, seconds), connections(DIRECT, seconds)
    for protocol, port, servers in (("udp", PORT, 4), ("tcp", WEB_PORT, 2)):
        for left in range(servers, 0, -1):
            every = (
                ("-m", "statistic", "--mode", "nth", "--every", str(left), "--packet", "0")
                if left > 1
                else ()
            )
            target = ("-j", "DNAT", "--to-destination", SERVERS[left - 1])
            to = ("-d", VIP, "-p", protocol, "--dport", str(port))
            iptables("d", "-t", "nat", "-A", "PREROUTING", *to, *every, *target)
    found["iptables NAT"] = rate(generator, VIP, seconds), connections(VIP, seconds)
    iptables("d", "-t", "nat", "-F")
    for method, address in METHODS.items():
        path = configuration(method)
        for name, command in (
            ("keepalived", (*KEEPALIVED, str(path))),
            ("Standfest", (*STANDFEST, str(path))),
        ):
            with running(command):
                found[f"{name}, {method}"] = (
                    rate(generator, address, seconds),
                    connections(address, seconds),
                )
    return found


def guest(rounds: int, seconds: float) -> None:
    """Measure, and print JSON."""
    build()
    generator = Generator()
    one_round(generator, 0.2)
    print(json.dumps([one_round(generator, seconds) for _ in range(rounds)]))


# --- on the host --------------------------------------------------------------------------------


def show(rounds: list[dict[str, list[float]]]) -> None:
    """Print medians and the medians of each round's ratio."""
    print("| way | kpps | of forwarding | ns a packet, net | conn/s | of forwarding |")
    print("| --- | --- | --- | --- | --- | --- |")

    def middle(values: Iterator[float]) -> float:
        return statistics.median(list(values))

    for name in rounds[0]:
        packets = middle(one[name][0] for one in rounds)
        ratio = middle(one[name][0] / one["forwarding"][0] for one in rounds)
        cost = middle(1e9 / one[name][0] - 1e9 / one["received"][0] for one in rounds)
        line = f"| {name} | {packets / 1e3:.0f} | {ratio:.2f} | {cost:.0f} |"
        if rounds[0][name][1]:
            made = middle(one[name][1] for one in rounds)
            share = middle(one[name][1] / one["forwarding"][1] for one in rounds)
            line += f" {made:.0f} | {share:.2f} |"
        else:
            line += " | |"
        print(line)


def main() -> int:
    """Boot a guest that measures; exit status 1 where that cannot be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--guest", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.guest:
        guest(arguments.rounds, arguments.seconds)
        return 0
    from standfest.lab import uml  # noqa: PLC0415  the guest has no use for it

    command = [
        sys.executable, __file__, "--guest", "--rounds", str(arguments.rounds),
        "--seconds", str(arguments.seconds),
    ]  # fmt: skip
    result = uml.run(
        command,
        modules=(*uml.IPVS_MODULES, *MODULES),
        memory_mb=768,
        environment={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        timeout_s=120 + arguments.rounds * (60 + 20 * arguments.seconds),
    )
    if result.status:
        print(result.output[-4000:], file=sys.stderr)
        return 1
    show(json.loads(result.output.strip().splitlines()[-1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
