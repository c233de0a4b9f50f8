"""A stand-in for a service: answers its protocol's greeting, with the node's name in it.

Run as `python -I -S standin.py PROTOCOL PORT PIDFILE`: listens, goes into the background, and only
then lets its starter end. Standard library only, quick to start.
"""

import os
import select
import signal
import socket
import struct
import sys

NODE = os.uname().nodename.encode()
BODY = NODE + b"\n"
GREETINGS = {
    "smtp": b"220 %b ESMTP stand-in\r\n" % NODE,
    "imap": b"* OK [CAPABILITY IMAP4rev1] %b ready\r\n" % NODE,
    "pop3": b"+OK %b ready\r\n" % NODE,
    "banner": b"%b stand-in\r\n" % NODE,
}
HTTP = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY) + BODY
MAX_CLIENTS = 1000

Clients = dict[int, tuple[socket.socket, bytes]]
"""Descriptor -> the client's socket and what it has said."""


def answer(protocol: str, data: bytes) -> bytes | None:
    """Return what to say to a client's words, or None to wait for more."""
    if protocol == "http" and b"\r\n\r\n" in data:
        return HTTP
    if protocol == "rpc" and len(data) >= 44:
        # A reply to the NULL procedure: xid, REPLY, accepted, no verifier, success (RFC 5531);
        # the node's name goes along as surplus result bytes, which NULL's callers ignore.
        name = NODE + b"\0" * (-len(NODE) % 4)
        reply = data[4:8] + struct.pack("!5I", 1, 0, 0, 0, 0) + name
        return struct.pack("!I", 0x80000000 | len(reply)) + reply
    return None


def serve(listener: socket.socket, protocol: str) -> None:
    """Answer clients until killed."""
    poll = select.epoll()
    poll.register(listener.fileno(), select.EPOLLIN)
    clients: Clients = {}
    while True:
        for fileno, _ in poll.poll():
            if fileno == listener.fileno():
                try:
                    client, _ = listener.accept()
                except OSError:
                    continue
                if len(clients) >= MAX_CLIENTS:
                    client.close()
                    continue
                client.setblocking(False)
                clients[client.fileno()] = (client, b"")
                poll.register(client.fileno(), select.EPOLLIN)
                if protocol in GREETINGS:
                    talk(poll, clients, client.fileno(), GREETINGS[protocol])
                continue
            client, heard = clients[fileno]
            try:
                data = client.recv(4096)
            except OSError:
                data = b""
            if not data:
                drop(poll, clients, fileno)
                continue
            heard = (heard + data)[:8192]
            clients[fileno] = (client, heard)
            reply = answer(protocol, heard)
            if reply is not None:
                talk(poll, clients, fileno, reply)


def talk(poll: select.epoll, clients: Clients, fileno: int, words: bytes) -> None:
    """Say something; a client that does not listen is dropped."""
    try:
        clients[fileno][0].send(words)
    except OSError:
        drop(poll, clients, fileno)


def drop(poll: select.epoll, clients: Clients, fileno: int) -> None:
    """Forget a client."""
    poll.unregister(fileno)
    clients.pop(fileno)[0].close()


def main() -> None:
    """Listen, go into the background, serve."""
    protocol, port, pidfile = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("", port))
    listener.listen(512)
    child = os.fork()
    if child:
        with open(pidfile + ".new", "w") as stream:
            stream.write(f"{child}\n")
        os.rename(pidfile + ".new", pidfile)
        os._exit(0)
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    serve(listener, protocol)


if __name__ == "__main__":
    main()
