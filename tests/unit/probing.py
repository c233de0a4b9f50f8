"""Probes against servers on loopback that do what a test says, good or bad."""

import contextlib
import datetime
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from standfest.adapters.linux.probes.prober import Probes
from standfest.model.balancing import Checker, TlsSettings
from standfest.model.time import Instant, earliest, seconds
from standfest.ports.probes import Outcome, Target
from standfest.runtime.loop import Loop

PATIENCE = seconds(10)

Behaviour = Callable[[socket.socket], None]


class Site:
    """A loop with a prober."""

    def __init__(self, *, tls: TlsSettings | None = None) -> None:
        self._end: Instant | None = None
        self.loop = Loop(self._deadline, self._on_timer)
        self.probes = Probes(self.loop, self._report, tls=tls, own_name="director")
        self.reports: list[tuple[str, int, Outcome]] = []
        self._awaited = 1

    def probe(self, checker: Checker, port: int, host: str = "127.0.0.1") -> Outcome:
        """Run one probe to its end."""
        self.probes.begin("probe", 1, Target(checker, ip_address(host), port))
        assert not self.reports, "nothing is reported from begin"
        self.run()
        assert len(self.reports) == 1
        name, number, outcome = self.reports.pop()
        assert (name, number) == ("probe", 1)
        assert "\n" not in outcome.reason
        return outcome

    def run(self, reports: int = 1, at_most: int = PATIENCE) -> None:
        """Run until so many reports have come, or for so long."""
        self._awaited = reports
        self._end = self.loop.now() + at_most
        self.loop._running = True
        self.loop.run()

    def close(self) -> None:
        self.probes.close()
        self.loop.release()

    def _report(self, name: str, number: int, outcome: Outcome) -> None:
        self.reports.append((name, number, outcome))
        if len(self.reports) >= self._awaited:
            self.loop.stop()

    def _deadline(self) -> Instant | None:
        return earliest(self._end, self.probes.deadline())

    def _on_timer(self) -> None:
        now = self.loop.now()
        self.probes.on_timer(now)
        if self._end is not None and now >= self._end:
            self.loop.stop()


@contextlib.contextmanager
def site(*, tls: TlsSettings | None = None) -> Iterator[Site]:
    """Yield a loop with a prober, and close it."""
    made = Site(tls=tls)
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def server(behaviour: Behaviour, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Yield the port of a server that treats each connection so, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopping = threading.Event()
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(5)
            if context is None:
                behaviour(connection)
            else:
                with context.wrap_socket(connection, server_side=True) as wrapped:
                    behaviour(wrapped)

    def accept() -> None:
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
            threads[-1].start()

    threads.append(threading.Thread(target=accept, daemon=True))
    threads[0].start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopping.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join(7)


def says(data: bytes) -> Behaviour:
    """Read a request, answer with the same, always."""

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(data)

    return behave


def hangs(connection: socket.socket) -> None:
    """Say nothing until the client goes."""
    while connection.recv(65536):
        pass


def resets(connection: socket.socket) -> None:
    """Answer a request with a reset."""
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def trickles(data: bytes, pause_s: float = 0.05) -> Behaviour:
    """Say it byte by byte, slowly."""

    def behave(connection: socket.socket) -> None:
        for byte in data:
            connection.sendall(bytes((byte,)))
            time.sleep(pause_s)

    return behave


def replies(*turns: bytes) -> Behaviour:
    """Say the first, and each other one when the client has said something."""

    def behave(connection: socket.socket) -> None:
        for turn in turns:
            connection.sendall(turn)
            if not connection.recv(65536):
                return

    return behave


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def write(path: Path, data: bytes) -> str:
    """Write a file; return its path."""
    path.write_bytes(data)
    return str(path)


def certificate(
    directory: Path, *, days: int = 1, name: str = "www.example.org"
) -> tuple[str, str]:
    """Make a certificate that signs itself and ends in so many days; return the files' paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1000)
        .not_valid_before(now - datetime.timedelta(days=30))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    return write(directory / "certificate.pem", public), write(directory / "key.pem", secret)


def context(directory: Path, *, days: int = 1) -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(*certificate(directory, days=days))
    return found
