"""Servers and clients for the proxy on loopback, for any user: each kind of server that exists."""

import contextlib
import itertools
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from standfest.adapters.linux.proxy import ProxyBackend
from standfest.model.balancing import Method, Protocol
from standfest.model.forwarding import (
    AddDestination,
    AddService,
    Change,
    Destination,
    DestinationKey,
    ServiceKey,
    ServiceOptions,
    service_key,
)

HOST = "127.0.0.1"
PATIENCE_S = 10.0
PORTS = itertools.cycle(range(20_000 + os.getpid() * 7 % 10_000, 32_000))


class Server:
    """Listens on a port of its own; what it does with a connection is `serve`."""

    def __init__(self, serve: Callable[[socket.socket], None], host: str = HOST) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, 0), family=family, backlog=1000)
        self.key = DestinationKey(ip_address(host), self.listener.getsockname()[1])
        self.accepted = 0
        self._serve = serve
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                endpoint, _ = self.listener.accept()
                self.accepted += 1
                threading.Thread(target=self._one, args=(endpoint,), daemon=True).start()

    def _one(self, endpoint: socket.socket) -> None:
        with contextlib.suppress(OSError), endpoint:
            self._serve(endpoint)

    def stop(self) -> None:
        """Refuse from now on."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def again(self) -> None:
        """Listen again on the same port."""
        address = (str(self.key.address), self.key.port)
        self.listener = socket.create_server(address, backlog=1000)
        threading.Thread(target=self._accept, daemon=True).start()


class Datagrams:
    """Answers each datagram with its name before it."""

    def __init__(self, name: bytes) -> None:
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self.key = DestinationKey(ip_address(HOST), self._socket.getsockname()[1])
        self._name = name
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, client = self._socket.recvfrom(2000)
                if not client:
                    return  # shut down
                self._socket.sendto(self._name + data, client)

    def stop(self) -> None:
        """Close the port."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)  # the port is open as long as anybody waits for datagrams there
        self._socket.close()


def named(name: bytes) -> Callable[[socket.socket], None]:
    """Return a server that says its name, then echoes."""

    def serve(endpoint: socket.socket) -> None:
        endpoint.sendall(name)
        while data := endpoint.recv(65536):
            endpoint.sendall(data)

    return serve


def port() -> int:
    """Return a port that is free, and none that the kernel gives to clients meanwhile."""
    while True:
        number = next(PORTS)
        with contextlib.suppress(OSError), socket.create_server((HOST, number)):
            return number


def service(at: int, protocol: Protocol = Protocol.TCP, host: str = HOST) -> ServiceKey:
    """Return a service on loopback."""
    return service_key(protocol, ip_address(host), at)


def adding(
    key: ServiceKey, options: ServiceOptions, servers: Sequence[Server | Datagrams], *weights: int
) -> list[Change]:
    """Return the changes that make a service with these servers, of weight 1 unless said."""
    changes: list[Change] = [AddService(key, options)]
    for number, server in enumerate(servers):
        weight = weights[number] if weights else 1
        changes.append(AddDestination(key, server.key, Destination(Method(), weight)))
    return changes


@contextmanager
def proxy(directory: Path, workers: int = 0) -> Iterator[ProxyBackend]:
    """Yield a backend with a proxy of its own, which is gone afterwards."""
    backend = ProxyBackend(directory / "proxy.sock", workers=workers)
    try:
        yield backend
    finally:
        backend.close(keep=False)


def connect(key: ServiceKey) -> socket.socket:
    """Return a client's connection to a service."""
    return socket.create_connection((str(key.address), key.port), timeout=PATIENCE_S)


def greeting(key: ServiceKey) -> bytes:
    """Return what the first server that is met says, b"" for a refusal."""
    try:
        with connect(key) as client:
            return client.recv(100)
    except OSError:
        return b""


def until(condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition."""
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, f"not within {patience_s:g} s: {what}"
        time.sleep(0.01)


def echo_forever() -> None:
    """Be a server of many connections: print the port, echo until killed (one process, epoll)."""
    listener = socket.create_server((HOST, 0), backlog=4096)
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    open_now: dict[int, socket.socket] = {}
    while True:
        for fd, _ in epoll.poll():
            if fd == listener.fileno():
                with contextlib.suppress(BlockingIOError):
                    while True:
                        endpoint, _ = listener.accept()
                        open_now[endpoint.fileno()] = endpoint
                        epoll.register(endpoint, select.EPOLLIN)
                continue
            data = os.read(fd, 4096)
            if data:
                os.write(fd, data)
            else:
                open_now.pop(fd).close()


if __name__ == "__main__":
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    echo_forever()
