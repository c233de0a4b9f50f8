"""The report's cluster of section 5.3 inside one kernel: directors, servers and a client.

Every machine is a network namespace; two bridges join them. Runs as root in a throw-away guest, or
in namespaces of the host that end with it (`tests/netns/test_lvs.py`).
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

from standfest.daemons.balancer import control
from standfest.daemons.balancer.backends import make
from standfest.lab.services import POSTFIX_MASTER
from standfest.model.balancing import BalancerSettings, Protocol
from standfest.model.errors import OperationError
from standfest.model.forwarding import service_key

EXAMPLES = Path(__file__).parents[2] / "examples" / "load-balancer"
MAIL, WEB = "123.123.123.1", "123.123.123.2"
SERVERS = {"m1": 101, "m2": 102, "w1": 201, "w2": 202}
DIRECTORS = {"lb1": 11, "lb2": 12}
CLIENTS = tuple(f"123.123.123.{number}" for number in range(210, 222))
RUN = Path("/run/lvs")
CLONE_NEWNET = 0x40000000
PATIENCE_S = 60.0

_libc = ctypes.CDLL(None, use_errno=True)
_home = os.open("/proc/self/ns/net", os.O_RDONLY)


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Be on another machine for a moment; sockets opened there stay there."""
    with open(f"/run/netns/{namespace}", "rb") as there:
        _libc.setns(there.fileno(), CLONE_NEWNET)
    try:
        yield
    finally:
        _libc.setns(_home, CLONE_NEWNET)


def batch(namespace: str, *lines: str) -> None:
    """Run iproute2's commands on a machine."""
    where = ["-n", namespace] if namespace else []
    subprocess.run(["ip", *where, "-batch", "-"], input="\n".join(lines), text=True, check=True)


def set_kernel(namespace: str, **values: int) -> None:
    """Set variables below net/ipv4/conf of a machine: `all__rp_filter=0`."""
    with inside(namespace):
        for name, value in values.items():
            path = name.replace("__", "/")
            root = "/proc/sys/net/ipv4/" + ("" if path == "ip_forward" else "conf/")
            Path(root + path).write_text(str(value))


def until(condition: Callable[[], bool], limit_s: float = PATIENCE_S) -> float:
    """Return after how many seconds the condition came true; raises TimeoutError."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > limit_s:
            raise TimeoutError(f"not within {limit_s:g} s")
        time.sleep(0.02)
    return time.monotonic() - began


def build() -> None:
    """Make machines and cables."""
    RUN.mkdir()
    names = ("net", "client", *DIRECTORS, *SERVERS)
    batch("", *(f"netns add {name}" for name in names))
    cables = ["link set lo up"]
    for bridge in ("outer", "inner"):
        cables += [f"link add {bridge} type bridge", f"link set {bridge} up"]
    for name in (*DIRECTORS, *SERVERS, "client"):
        for number, bridge in ((0, "outer"), (1, "inner")):
            end = f"{name}-{number}"
            cables.append(f"link add {end} type veth peer name eth{number} netns {name}")
            cables += [f"link set {end} master {bridge}", f"link set {end} up"]
    batch("net", *cables)
    for name, number in DIRECTORS.items():
        outer, inner = f"123.123.123.{number}/24 dev eth0", f"192.168.0.{number}/24 dev eth1"
        batch(name, "link set lo up", f"addr add {outer}", f"addr add {inner}")
        batch(name, "link set eth0 up", "link set eth1 up")
        set_kernel(name, ip_forward=1, all__rp_filter=0, all__send_redirects=0)
        set_kernel(name, eth0__send_redirects=0, eth1__send_redirects=0)
    batch("client", "link set lo up", "link set eth0 up")
    batch("client", *(f"addr add {address}/24 dev eth0" for address in CLIENTS))
    for name, number in SERVERS.items():
        gateway = "192.168.0.1" if name.startswith("m") else "192.168.0.2"
        batch(name, "link set lo up", f"addr add 192.168.0.{number}/24 dev eth1")
        batch(name, "link set eth1 up", f"route add default via {gateway}")


def prepare_servers(kind: str) -> None:
    """Let servers answer clients themselves, as direct routing and tunnels have it."""
    for name, number in SERVERS.items():
        address = MAIL if name.startswith("m") else WEB
        set_kernel(name, all__arp_ignore=1, all__arp_announce=2, all__rp_filter=0)
        set_kernel(name, default__rp_filter=0, eth0__rp_filter=0, eth1__rp_filter=0)
        batch(name, f"addr replace 123.123.123.{number}/24 dev eth0", "link set eth0 up")
        # Every machine has a tunl0, without an address, where the module is loaded.
        device = "lo" if kind == "DR" else "tunl0"
        batch(name, f"link set {device} up", f"addr add {address}/32 dev {device}")
        set_kernel(name, **{f"{device}__rp_filter": 0})


def set_servers_up() -> None:
    """Let the commands make real servers, as an operator would on a kernel without tunnels."""
    for name, number in SERVERS.items():
        address = MAIL if name.startswith("m") else WEB
        batch(name, f"addr replace 123.123.123.{number}/24 dev eth0", "link set eth0 up")
        # Not `ip netns exec`: what it mounts would end with the command, and programs with it.
        words = (
            "-m",
            "standfest.cli.main",
            "realserver",
            "up",
            "--vip",
            address,
            "--method",
            "tun",
        )
        done = subprocess.run(
            ["nsenter", f"--net=/run/netns/{name}", sys.executable, *words, "--run-dir", str(RUN)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "out of their tunnels by XDP on eth0, eth1" in done.stdout, done.stdout


def prepare_drivers() -> None:
    """Let cables of this lab carry what XDP programs send, as a network card's driver does."""
    from tests.netns.xdp_lab import passing, whole_frames

    from standfest.adapters.linux.xdp import programs

    with inside("client"):
        whole_frames("eth0")
    program = passing()
    with inside("net"):
        for name in (*DIRECTORS, *SERVERS, "client"):
            for number in (0, 1):
                index = socket.if_nametoindex(f"{name}-{number}")
                programs.attach(program, index, programs.Mode.NATIVE)


# --- real servers --------------------------------------------------------------------------------


def spawn(namespace: str, *words: str) -> subprocess.Popen[bytes]:
    """Start a program on a machine, in a session of its own."""
    log = (RUN / f"{namespace}.log").open("ab")
    return subprocess.Popen(
        ["ip", "netns", "exec", namespace, *words],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
    )  # fmt: skip


def start_smtp(name: str) -> subprocess.Popen[bytes]:
    """Start Postfix on a machine, with directories of its own."""
    place = RUN / name / "postfix"
    spool = place / "spool"
    if not place.exists():
        for part in ("pid", "public", "private", "active", "incoming", "deferred", "maildrop"):
            (spool / part).mkdir(parents=True)
            if part != "pid":
                shutil.chown(spool / part, "postfix")
        (place / "data").mkdir()
        shutil.chown(place / "data", "postfix")
        (place / "main.cf").write_text(
            f"compatibility_level = 3.6\nqueue_directory = {spool}\ndata_directory = {place}/data\n"
            f"myhostname = {name}.example\nsmtpd_banner = {name} ESMTP\nmydestination =\n"
            "inet_protocols = ipv4\nsmtpd_peername_lookup = no\n"
        )
        (place / "master.cf").write_text(
            "smtp inet n - n - - smtpd\ncleanup unix n - n - 0 cleanup\n"
            "rewrite unix - - n - - trivial-rewrite\nanvil unix - - n - 1 anvil\n"
            "proxymap unix - - n - - proxymap\nqmgr unix n - n 300 1 qmgr\n"
        )
    return spawn(name, str(POSTFIX_MASTER), "-d", "-c", str(place))


def start_imap(name: str) -> subprocess.Popen[bytes]:
    """Start Dovecot on a machine, with TLS."""
    place = RUN / name / "dovecot"
    place.mkdir(parents=True, exist_ok=True)
    (place / "conf").write_text(
        f"protocols = imap\nbase_dir = {place}/run\nlog_path = {place}/log\nssl = yes\n"
        f"ssl_cert = <{RUN}/cert.pem\nssl_key = <{RUN}/key.pem\nlogin_greeting = {name}\n"
        "service imap-login {\n chroot =\n inet_listener imap {\n  port = 0\n }\n"
        " inet_listener imaps {\n  port = 993\n  ssl = yes\n }\n}\n"
        "passdb {\n driver = static\n args = nopassword=y\n}\n"
        "userdb {\n driver = static\n args = uid=nobody gid=nogroup home=/tmp\n}\n"
    )
    return spawn(name, "dovecot", "-F", "-c", str(place / "conf"))


def start_web(name: str) -> subprocess.Popen[bytes]:
    """Start nginx on a machine."""
    place = RUN / name / "nginx"
    place.mkdir(parents=True, exist_ok=True)
    (place / "index.html").write_text(f"{name}\n")
    (place / "conf").write_text(
        f"daemon off;\nmaster_process off;\npid {place}/pid;\nerror_log {place}/log;\n"
        f"events {{}}\nhttp {{\n access_log off;\n client_body_temp_path {place}/b;\n"
        f" proxy_temp_path {place}/p;\n fastcgi_temp_path {place}/f;\n uwsgi_temp_path {place}/u;\n"
        f" scgi_temp_path {place}/s;\n server {{\n  listen 80;\n  root {place};\n }}\n}}\n"
    )
    return spawn(name, "nginx", "-c", str(place / "conf"))


def start_pop3(name: str) -> subprocess.Popen[bytes]:
    """Start a greeter on port 995: what TCP_CHECK and the client need of it."""
    greeter = f"""
import contextlib, socket
listener = socket.create_server(("", 995), backlog=128)
while True:
    line, _ = listener.accept()
    with line, contextlib.suppress(OSError):
        line.sendall(b"+OK {name}\\r\\n")
"""
    return spawn(name, sys.executable, "-I", "-S", "-c", greeter)


START = {25: start_smtp, 993: start_imap, 995: start_pop3, 80: start_web}


def make_certificate() -> None:
    """Make what Dovecot shows."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=mail.example", "-days", "30"),
            *("-keyout", str(RUN / "key.pem"), "-out", str(RUN / "cert.pem")),
        ],
        check=True, capture_output=True,
    )  # fmt: skip


def kill(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    """End a process with everything that it has started, its session."""
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, IndexError):
            if entry.isdigit():
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == process.pid:
                    os.kill(int(entry), number)
    process.wait()


# --- directors -----------------------------------------------------------------------------------


def configuration(name: str, kind: str) -> str:
    """Return the report's file for a director, with connection sync and another method."""
    number = name[-1]
    text = (EXAMPLES / f"keepalived-director{number}.conf").read_text()
    text = text.replace("lb_kind NAT", f"lb_kind {kind}")
    sync = f"    router_id director{number}\n    lvs_sync_daemon eth1 mail_vip id 10\n"
    return text.replace(f"    router_id director{number}\n", sync)


def start_director(name: str, kind: str, backend: str) -> subprocess.Popen[bytes]:
    """Start our director on a machine."""
    path = RUN / f"{name}.conf"
    path.write_text(configuration(name, kind))
    words = (sys.executable, "-m", "standfest.daemons.director.main", str(path))
    return spawn(name, *words, "--backend", backend)


def weights(name: str, address: str, port: int, backend: str = "ipvs") -> dict[str, int]:
    """Return what a director's kernel forwards to for one service."""
    if backend in ("xdp", "proxy"):  # only the director's own processes see what they have
        return _told_weights(name, f"TCP {address}:{port}")
    with inside(name):
        there = make(backend, BalancerSettings())
        try:
            table = there.read()
        finally:
            there.close(keep=True)
    service = table.get(service_key(Protocol.TCP, IPv4Address(address), port))
    if service is None:
        return {}
    return {str(key): value.weight for key, value in service.destinations.items()}


def _told_weights(name: str, service: str) -> dict[str, int]:
    """Return what a director's balancer says that it forwards to."""
    with inside(name):
        try:
            services = control.ask({"verb": "status"})["services"]
        except OperationError:
            return {}
    assert isinstance(services, list), "a status lists services"
    found = [one for one in services if one["service"] == service]
    return {s["server"]: s["weight"] for one in found for s in one["servers"] if s["weight"]}


def holder(address: str) -> list[str]:
    """Return the directors that have an address."""
    found = []
    for name in DIRECTORS:
        shown = subprocess.run(
            ["ip", "-n", name, "-4", "-o", "addr"], capture_output=True, text=True, check=True
        ).stdout
        if f" {address}/" in shown:
            found.append(name)
    return found


# --- the client ----------------------------------------------------------------------------------

_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_context.check_hostname = False
_context.verify_mode = ssl.CERT_NONE


def open_line(source: str, address: str, port: int, limit_s: float = 3.0) -> socket.socket:
    """Connect as one client; raises OSError."""
    with inside("client"):
        line = socket.create_connection((address, port), limit_s, (source, 0))
    return _context.wrap_socket(line) if port == 993 else line


def who(source: str, address: str, port: int) -> str:
    """Return the server that answers a client, as it calls itself; raises OSError."""
    with open_line(source, address, port) as line:
        if port == 80:
            line.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
        said = b""
        while part := line.recv(4096):
            said += part
            if port != 80 and b"\n" in said:
                break
    words = said.decode(errors="replace").split()
    return next((word for word in words if word in SERVERS), said.decode(errors="replace"))
