"""Runs on a real server: serves any number of connections; says its name, then echoes.

Arguments: port, name. A process of its own, since each end of a connection is a descriptor.
"""

import resource
import selectors
import socket
import sys


def main() -> None:
    port, name = int(sys.argv[1]), sys.argv[2].encode()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    listener = socket.create_server(("0.0.0.0", port), backlog=4096)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            endpoint = key.fileobj
            assert isinstance(endpoint, socket.socket)
            if endpoint is listener:
                endpoint, _ = listener.accept()
                if greeted(endpoint, name):
                    selector.register(endpoint, selectors.EVENT_READ)
            elif not echoed(endpoint):
                selector.unregister(endpoint)
                endpoint.close()


def greeted(endpoint: socket.socket, name: bytes) -> bool:
    """Say one's name; False when nobody is there any more, as after a check."""
    try:
        return endpoint.send(name) > 0
    except OSError:
        endpoint.close()
        return False


def echoed(endpoint: socket.socket) -> bool:
    """Send back what has come; False when it was the end."""
    try:
        data = endpoint.recv(4096)
        return bool(data) and endpoint.send(data) > 0
    except OSError:
        return False


if __name__ == "__main__":
    main()
