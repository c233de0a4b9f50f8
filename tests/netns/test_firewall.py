"""`standfest firewall` on the host's kernel: loaded, taken back, nobody else's touched."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.netns import vrrp_lab

pytestmark = pytest.mark.skipif(bool(vrrp_lab.why_not("nft")), reason=vrrp_lab.why_not("nft"))

CONFIGURATION = """
vrrp_instance inner {
    interface eth0
    virtual_router_id 51
    priority 150
    virtual_ipaddress { 10.92.0.1 }
}
vrrp_instance "six" {
    interface eth0
    virtual_router_id 52
    priority 150
    unicast_peer { fd92::2 }
    virtual_ipaddress { fd92::1 }
}
vrrp_instance signed {
    interface eth1
    virtual_router_id 53
    priority 150
    version 2
    authentication { auth_type AH
        auth_pass topSecret }
    virtual_ipaddress { 203.0.113.1 }
}
bfd_instance peer { neighbor_ip 10.92.0.2 }
global_defs { lvs_sync_daemon eth0 inner }
virtual_server 203.0.113.1 80 {
    lvs_sched rr
    lvs_method NAT
    protocol TCP
    real_server 10.92.0.11 8080 { weight 1 }
    real_server 10.92.0.12 8080 { weight 1 }
}
virtual_server 203.0.113.1 53 {
    lvs_sched rr
    lvs_method TUN
    protocol UDP
    real_server 198.51.100.7 53 { weight 1 }
}
virtual_server fwmark 7 {
    lvs_sched rr
    lvs_method DR
    real_server 10.92.0.13 { weight 1 }
}
"""
HA_CF = """
keepalive 1
deadtime 10
udpport 695
ucast eth0 10.92.0.2
mcast eth1 239.0.0.42 694 1 0
node a b
"""
USERS = """
table inet user {
  chain input { type filter hook input priority 0; policy drop;
    iifname "lo" accept
  }
}
"""


class Director:
    """A director with eth0 inside and eth1 outside, and a client at eth1."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name, self.client = (f"sffw{os.getpid()}{end}" for end in "dc")
        self.file = directory / "keepalived.conf"
        self.file.write_text(CONFIGURATION)
        (directory / "ha.cf").write_text(HA_CF)

    def build(self) -> None:
        for name in (self.name, self.client):
            vrrp_lab.ip("netns", "add", name)
        ends = ("peer", "name", "eth1", "netns", self.client)
        for words in (
            ("link", "add", "eth0", "type", "veth", "peer", "name", "eth0p"),
            ("link", "add", "eth1", "type", "veth", *ends),
            ("link", "set", "eth0", "up"),
            ("link", "set", "eth0p", "up"),
            ("link", "set", "eth1", "up"),
            ("address", "add", "10.92.0.1/24", "dev", "eth0"),
            ("address", "add", "203.0.113.1/24", "dev", "eth1"),
        ):
            vrrp_lab.ip("-n", self.name, *words)
        vrrp_lab.ip("-n", self.client, "link", "set", "eth1", "up")
        vrrp_lab.ip("-n", self.client, "address", "add", "203.0.113.9/24", "dev", "eth1")

    def destroy(self) -> None:
        for name in (self.name, self.client):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def inside(
        self, *words: str, name: str = "", given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ip", "netns", "exec", name or self.name, *words], input=given,
            capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "PYTHONPATH": vrrp_lab.SOURCE},
        )  # fmt: skip

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-m", "standfest.cli.main", "firewall", *words)
        return self.inside(*command, "--run-dir", str(self.directory / "run"))

    def state(self) -> str:
        sysctls = ("net.ipv4.ip_forward", "net.ipv4.conf.all.send_redirects")
        return self.inside("nft", "list", "ruleset").stdout + self.inside("sysctl", *sysctls).stdout


@pytest.fixture
def director(tmp_path: Path) -> Iterator[Director]:
    made = Director(tmp_path)
    try:
        made.build()
        yield made
    finally:
        made.destroy()


def test_everything_that_the_files_need_is_in_the_plan_with_its_reason(director: Director) -> None:
    before = director.state()
    words = ("plan", str(director.file), "--ha-dir", str(director.directory))
    plan = director.run(*words, "--json")
    assert plan.returncode == 0, plan.stderr
    document = json.loads(plan.stdout)
    rules = {line for rule in document["rules"] for line in rule["iptables"]}
    expected = [
        "iptables -A INPUT -i eth0 -p 112 -d 224.0.0.18 ",
        "ip6tables -A INPUT -i eth0 -p 112 -s fd92::2 ",
        "iptables -A INPUT -i eth1 -p 51 -d 224.0.0.18 ",
        "iptables -A INPUT -p udp -s 10.92.0.2 --dport 3784 ",
        "iptables -A INPUT -i eth0 -p udp --dport 695 ",
        "iptables -A INPUT -i eth1 -p udp -d 239.0.0.42 --dport 694 ",
        "iptables -A INPUT -i eth0 -p udp -d 224.0.0.81 --dport 8848 ",
        "iptables -A INPUT -p tcp -d 203.0.113.1 --dport 80 ",
        "iptables -A INPUT -p udp -d 203.0.113.1 --dport 53 ",
        "iptables -A FORWARD -p tcp -d 10.92.0.11 --dport 8080 ",
        "iptables -A FORWARD -p tcp -s 10.92.0.12 --sport 8080 ",
        "iptables -A FORWARD -i eth0 -s 10.92.0.11,10.92.0.12 ",
        "iptables -A FORWARD -d 10.92.0.11,10.92.0.12 -m conntrack --ctstate ESTABLISHED,RELATED ",
        "iptables -t nat -A POSTROUTING ! -o eth0 -s 10.92.0.11,10.92.0.12 ",
    ]
    for begin in expected:
        assert any(line.startswith(begin) for line in rules), (begin, sorted(rules))
    assert not any("198.51.100.7" in line for line in rules), "a tunnel passes no forward chain"
    assert all(rule["why"] for rule in document["rules"])
    assert [one["name"] for one in document["settings"]] == ["net/ipv4/ip_forward"]
    assert any("protocol 4" in note and "198.51.100.7" in note for note in document["notes"])
    assert any("mark 7" in note for note in document["notes"])
    assert director.state() == before

    # What iptables itself says of the printed commands: it takes every one.
    if vrrp_lab.why_not("iptables") == "":
        for line in sorted(rules):
            command = line.replace('"', "").split(" -m comment --comment ")
            done = director.inside(*command[0].split(), "-j", line.split()[-1])
            assert done.returncode == 0, (line, done.stderr)


def test_apply_and_remove_leave_the_users_rules_and_settings_as_they_were(
    director: Director,
) -> None:
    assert director.inside("nft", "-f", "-", given=USERS).returncode == 0
    before = director.state()
    applied = director.run("apply", str(director.file), "--ha-dir", str(director.directory))
    assert applied.returncode == 0, applied.stderr
    assert "set net/ipv4/ip_forward to 1" in applied.stdout
    during = director.state()
    assert "table inet standfest_firewall" in during
    assert "net.ipv4.ip_forward = 1" in during
    assert before.split("net.ipv4")[0] in during
    again = director.run("apply", str(director.file), "--ha-dir", str(director.directory))
    assert again.stdout.startswith("the firewall was as planned already")
    removed = director.run("remove")
    assert removed.returncode == 0, removed.stderr
    assert director.state() == before
    assert director.run("remove").stdout == "nothing was applied\n"


def test_a_chain_that_drops_all_the_same_is_named_with_what_it_lacks(director: Director) -> None:
    """A TCP connection to the service's port gets no answer; then it gets as far as the port."""
    connect = (
        sys.executable,
        "-c",
        "import socket\ntry: socket.create_connection(('203.0.113.1', 80), 1)\n"
        "except OSError as error: print(type(error).__name__)",
    )
    assert director.inside("nft", "-f", "-", given=USERS).returncode == 0
    applied = director.run("apply", str(director.file))
    assert "warning: chain inet user input drops what it does not accept" in applied.stdout
    assert director.inside(*connect, name=director.client).stdout == "TimeoutError\n"
    commands = [
        line.removeprefix("warning:   ")
        for line in applied.stdout.splitlines()
        if "nft add rule inet user input" in line
    ]
    script = "\n".join(line.removeprefix("nft ") for line in commands)
    assert director.inside("nft", "-f", "-", given=script).returncode == 0
    assert director.inside(*connect, name=director.client).stdout == "ConnectionRefusedError\n"


def test_a_real_server_in_a_private_network_gets_out_by_the_directors_address(
    director: Director,
) -> None:
    """eth0p is the server: its packets leave eth1 with the director's address as their source."""
    server = f"{director.name}s"
    vrrp_lab.ip("netns", "add", server)
    try:
        vrrp_lab.ip("-n", director.name, "link", "set", "eth0p", "netns", server)
        for words in (
            ("link", "set", "eth0p", "up"),
            ("address", "add", "10.92.0.11/24", "dev", "eth0p"),
            ("route", "add", "default", "via", "10.92.0.1"),
        ):
            vrrp_lab.ip("-n", server, *words)
        script = (
            "import socket\ns = socket.socket(2, 2); s.settimeout(2); s.bind(('203.0.113.9', 99))\n"
            "print('ready', flush=True)\n"
            "try: print(s.recvfrom(9)[1][0])\nexcept OSError: print('nothing')"
        )
        send = "import socket; socket.socket(2, 2).sendto(b'x', ('203.0.113.9', 99))"
        heard = []
        for _ in range(2):
            with subprocess.Popen(
                ["ip", "netns", "exec", director.client, sys.executable, "-c", script],
                stdout=subprocess.PIPE,
                text=True,
            ) as client:
                assert client.stdout is not None
                client.stdout.readline()
                director.inside(sys.executable, "-c", send, name=server)
                heard.append(client.stdout.read().strip())
            assert director.run("apply", str(director.file)).returncode == 0
        assert heard == ["nothing", "203.0.113.1"]
    finally:
        subprocess.run(["ip", "netns", "delete", server], check=False, capture_output=True)


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("apply",), 2, "expected a keepalived.conf, or --ha-dir"),
        (("apply", "/nonexistent"), 78, "/nonexistent: No such file or directory"),
        (("plan", "--ha-dir", "/nonexistent"), 78, "/nonexistent/ha.cf: No such file"),
    ],
)
def test_bad_input_is_one_clear_line(
    director: Director, words: tuple[str, ...], status: int, message: str
) -> None:
    refused = director.run(*words)
    assert refused.returncode == status
    assert message in refused.stderr.splitlines()[-1]
    assert "standfest_firewall" not in director.state()
