"""`standfest realserver` on the host's kernel: who answers for the address; what is put back."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns import vrrp_lab

from standfest.adapters.linux.setup import makeable

pytestmark = pytest.mark.skipif(bool(vrrp_lab.why_not()), reason=vrrp_lab.why_not())

VIP, SIX = "10.91.0.100", "fd91::100"
ASK = (
    "import sys; from ipaddress import ip_address;"
    "from standfest.adapters.linux.asking import who_has;"
    "ip = ip_address(sys.argv[1]); print(len(who_has('eth0', [ip], 0.6)[ip]))"
)
SYSCTLS = tuple(
    f"net.ipv4.conf.{where}.{what}"
    for where in ("all", "eth0", "lo")
    for what in ("arp_ignore", "arp_announce", "rp_filter")
)


class Pair:
    """A neighbour and a server on one cable."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.neighbour, self.server = (f"sfrs{os.getpid()}{end}" for end in "ns")

    def build(self) -> None:
        for name in (self.neighbour, self.server):
            vrrp_lab.ip("netns", "add", name)
        vrrp_lab.ip(
            *("-n", self.neighbour, "link", "add", "eth0", "type", "veth"),
            *("peer", "name", "eth0", "netns", self.server),
        )
        for number, name in ((1, self.neighbour), (2, self.server)):
            for words in (
                ("link", "set", "lo", "up"),
                ("link", "set", "eth0", "up"),
                ("address", "add", f"10.91.0.{number}/24", "dev", "eth0"),
                ("address", "add", f"fd91::{number}/64", "dev", "eth0", "nodad"),
            ):
                vrrp_lab.ip("-n", name, *words)
        vrrp_lab.ip("-n", self.server, "route", "add", "default", "via", "10.91.0.1", "mtu", "1400")
        self.sysctl("-w", "net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.eth0.arp_announce=1")

    def destroy(self) -> None:
        for name in (self.neighbour, self.server):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def sysctl(self, *words: str) -> str:
        command = ["ip", "netns", "exec", self.server, "sysctl", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def state(self) -> str:
        shown = [vrrp_lab.ip("-n", self.server, *words) for words in (
            ("-o", "address"), ("link",), ("route",), ("-6", "route"),
        )]  # fmt: skip
        return self.sysctl(*SYSCTLS) + "".join(shown).replace(" tentative", "")

    def python(self, namespace: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ip", "netns", "exec", namespace, sys.executable, *words],
            capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "PYTHONPATH": vrrp_lab.SOURCE},
        )  # fmt: skip

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ("-m", "standfest.cli.main", "realserver", *words, "--run-dir", str(self.run_dir))
        return self.python(self.server, *command)

    def answers(self, address: str) -> int:
        """Return how many machines say that they have the address."""
        asked = self.python(self.neighbour, "-c", ASK, address)
        assert asked.returncode == 0, asked.stderr
        return int(asked.stdout)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    try:
        made.build()
        yield made
    finally:
        made.destroy()


def test_a_server_has_the_address_and_nobody_hears_of_it(pair: Pair) -> None:
    before = pair.state()
    # The control: what a plain alias would do, and what makes the silence of IPv6 no accident.
    vrrp_lab.ip("-n", pair.server, "address", "add", f"{VIP}/32", "dev", "lo")
    assert pair.answers(VIP) == 1
    vrrp_lab.ip("-n", pair.server, "address", "delete", f"{VIP}/32", "dev", "lo")
    vrrp_lab.ip("-n", pair.server, "address", "add", f"{SIX}/128", "dev", "eth0", "nodad")
    assert pair.answers(SIX) == 1
    vrrp_lab.ip("-n", pair.server, "address", "delete", f"{SIX}/128", "dev", "eth0")
    assert pair.state() == before

    up = pair.run("up", "--vip", f"{VIP},{SIX}", "--method", "dr")
    assert up.returncode == 0, up.stderr
    assert (pair.answers(VIP), pair.answers(SIX)) == (0, 0)
    assert (pair.answers("10.91.0.2"), pair.answers("fd91::2")) == (1, 1)
    assert pair.run("check", "--vip", f"{VIP},{SIX}", "--method", "dr").returncode == 0

    again = pair.run("up", "--vip", f"{VIP},{SIX}", "--method", "dr")
    assert again.stdout == f"dr {VIP}, dr {SIX}: was up already\n"
    assert pair.run("show").returncode == 0
    pair.sysctl("-w", "net.ipv4.conf.all.arp_ignore=0")
    shown = pair.run("show")
    assert shown.returncode == 1
    assert "NOT SO ANY MORE: set net/ipv4/conf/all/arp_ignore to 1" in shown.stdout
    checked = pair.run("check", "--vip", VIP, "--method", "dr", "--json")
    assert checked.returncode == 1
    assert json.loads(checked.stdout)[0]["problem"] == "eth0 answers ARP for the virtual address"
    assert pair.answers(VIP) == 1, "the check tells the truth"
    assert pair.run("up", "--vip", VIP, "--method", "dr").returncode == 0
    assert pair.answers(VIP) == 0

    assert pair.run("down").returncode == 0
    assert pair.state() == before
    assert list(pair.run_dir.glob("*.json")) == []


def test_nat_goes_through_the_director_and_down_restores_the_old_route_entirely(pair: Pair) -> None:
    before = pair.state()
    assert "default via 10.91.0.1 dev eth0 mtu 1400" in before
    up = pair.run("up", "--method", "nat", "--gateway", "10.91.0.77")
    assert up.returncode == 0, up.stderr
    assert "default via 10.91.0.77 dev eth0" in pair.state()
    assert pair.run("up", "--method", "nat", "--gateway", "fd91::77").returncode == 0
    assert "default via fd91::77 dev eth0" in pair.state()
    assert pair.run("check", "--method", "nat", "--gateway", "10.91.0.77").returncode == 0
    wrong = pair.run("check", "--method", "nat", "--gateway", "10.91.0.78")
    assert wrong.returncode == 1
    assert "the default route is by 10.91.0.77, not 10.91.0.78" in wrong.stdout
    assert pair.run("down", "--method", "nat").returncode == 0
    assert pair.state() == before


TUNNELLED = """
import socket, sys
from ipaddress import ip_address
from standfest.wire.ipv4 import encode_header
vip, server = sys.argv[1:]
answers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
answers.bind(("10.91.0.1", 4000))
answers.settimeout(2)
datagram = (4000).to_bytes(2) + (7000).to_bytes(2) + (8 + 5).to_bytes(2) + bytes(2) + b"hello"
inner = encode_header(
    source=ip_address("10.91.0.1").packed, destination=ip_address(vip).packed, ttl=64, tos=0,
    identification=1, protocol=17, payload_bytes=len(datagram),
) + datagram
socket.socket(socket.AF_INET, socket.SOCK_RAW, 4).sendto(inner, (server, 0))
try:
    print(*answers.recvfrom(100))
except TimeoutError:
    print("no answer")
"""
ANSWERER = """
import socket
served = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
served.bind(("0.0.0.0", 7000))
served.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO: answer from the address that was asked
print("ready", flush=True)
while True:
    data, control, _, client = served.recvmsg(100, 100)
    served.sendmsg([data], control, 0, client)
"""


@contextlib.contextmanager
def own_mounts(pair: Pair) -> Iterator[list[str]]:
    """Give the words that run a command on the server, among mounts that outlive the command."""
    holder = subprocess.Popen(["unshare", "--mount", "sleep", "600"])
    mounts = Path(f"/proc/{holder.pid}/ns/mnt")
    vrrp_lab.until(lambda: mounts.readlink() != Path("/proc/self/ns/mnt").readlink(), 5)
    enter = ["nsenter", f"--mount={mounts}", f"--net=/run/netns/{pair.server}"]
    try:
        run = [*enter, "mount", "-t", "bpf", "bpf", "/sys/fs/bpf"]
        subprocess.run(run, check=True, capture_output=True)
        yield enter
    finally:
        holder.kill()
        holder.wait()


@pytest.mark.skipif("ipip" in makeable(("ipip",)), reason="this kernel makes tunnels itself")
def test_a_kernel_without_tunnels_takes_them_in_its_driver(pair: Pair) -> None:
    with own_mounts(pair) as enter:

        def standfest(*words: str) -> subprocess.CompletedProcess[str]:
            command = [*enter, sys.executable, "-m", "standfest.cli.main", "realserver", *words]
            return subprocess.run(
                [*command, "--run-dir", str(pair.run_dir)],
                capture_output=True, text=True, check=False, timeout=60,
                env={**os.environ, "PYTHONPATH": vrrp_lab.SOURCE},
            )  # fmt: skip

        def answer() -> str:
            return pair.python(pair.neighbour, "-c", TUNNELLED, VIP, "10.91.0.2").stdout

        before = pair.state()
        server = subprocess.Popen(
            [*enter, sys.executable, "-c", ANSWERER], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            assert answer() == "no answer\n"
            up = standfest("up", "--vip", f"{VIP},{SIX}", "--method", "tun")
            assert up.returncode == 0, up.stderr
            step = f"take packets to {VIP} out of their tunnels by XDP on eth0"
            assert step in up.stdout
            assert answer() == f"b'hello' ('{VIP}', 7000)\n"
            assert pair.answers(VIP) == 0
            assert "xdp" in vrrp_lab.ip("-n", pair.server, "link", "show", "eth0")
            again = standfest("up", "--vip", VIP, "--method", "tun")
            assert again.stdout == f"tun {VIP}: was up already\n"
            for verb in ("show", "check"):
                words = ("--vip", f"{VIP},{SIX}", "--method", "tun")
                assert standfest(verb, *words).returncode == 0
            assert standfest("down", "--vip", SIX).returncode == 0
            assert answer() == f"b'hello' ('{VIP}', 7000)\n"
            assert standfest("down").returncode == 0
            assert answer() == "no answer\n"
        finally:
            server.kill()
            server.communicate()
        assert pair.state() == before
        pinned = subprocess.run(
            [*enter, "ls", "/sys/fs/bpf/standfest"], capture_output=True, text=True, check=True
        )
        assert pinned.stdout == ""


@pytest.mark.skipif("ipip" in makeable(("ipip",)), reason="this kernel makes tunnels itself")
def test_tunnels_that_would_end_with_the_command_are_refused(pair: Pair) -> None:
    before = pair.state()
    refused = pair.run("up", "--vip", VIP, "--method", "tun")
    assert refused.returncode == 1
    assert "no bpf file system that outlives this command" in refused.stderr
    assert refused.stderr.endswith("; nothing is changed\n")
    assert pair.state() == before


def test_a_dry_run_changes_nothing(pair: Pair) -> None:
    before = pair.state()
    shown = pair.run("up", "--vip", VIP, "--method", "dr", "--dry-run")
    assert shown.returncode == 0
    assert "1. set net/ipv4/conf/all/arp_ignore to 1" in shown.stdout
    assert pair.state() == before
    assert pair.run("show").stdout == "nothing is set up\n"


def test_a_failure_half_way_leaves_nothing_behind(pair: Pair) -> None:
    """The kernel refuses the second address, when the first is up."""
    pair.sysctl("-w", "net.ipv6.conf.lo.disable_ipv6=1")
    before = pair.state()
    refused = pair.run("up", "--vip", f"{VIP},{SIX}", "--method", "dr")
    if refused.returncode == 0:
        pytest.skip("this kernel makes dummy interfaces, where IPv6 is as it should be")
    assert refused.stderr == (
        f"standfest: add {SIX}/128 to lo: Permission denied; nothing is changed\n"
    )
    assert pair.state() == before
    assert list(pair.run_dir.glob("*.json")) == []


def test_an_address_that_answers_already_is_refused(pair: Pair) -> None:
    vrrp_lab.ip("-n", pair.server, "address", "add", f"{VIP}/24", "dev", "eth0")
    before = pair.state()
    refused = pair.run("up", "--vip", VIP, "--method", "dr")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"standfest: {VIP} is on eth0, which answers for it")
    assert refused.stderr.count("\n") == 1
    assert pair.state() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "dr"), "--method dr needs --vip"),
        (("--method", "dr", "--vip", "192.0.2.300"), "'192.0.2.300' is not an address"),
        (("--method", "dr", "--vip", "224.0.0.1"), "224.0.0.1 is no unicast address"),
        (("--method", "dr", "--vip", VIP, "--gateway", "10.91.0.1"), "--gateway is for nat"),
        (("--method", "nat"), "NAT needs --gateway"),
    ],
)
def test_bad_input_is_one_clear_line(pair: Pair, words: tuple[str, ...], message: str) -> None:
    refused = pair.run("up", *words)
    assert refused.returncode in (1, 2)
    assert message in refused.stderr.splitlines()[-1]
