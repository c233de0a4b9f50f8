"""The process of `standfest qdevice run`: the quorum server for many clusters.

One UDP socket; each cluster has keys, seals and a decision of its own (`core.quorum.server`). What
is not authentic costs one look at its first bytes, and a cipher at most, and leaves nothing behind.
"""

import contextlib
import json
import os
import signal
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from standfest.config import authkeys, qdevice
from standfest.core.quorum.server import VoteServer
from standfest.core.sealing.sessions import Refusal
from standfest.daemons.process import settle_memory, tell_systemd
from standfest.daemons.reading import text_of
from standfest.daemons.sealing import Sealing
from standfest.model.errors import ConfigError, Finding, WireError
from standfest.model.keys import Keyring
from standfest.model.quorum import Ask, Wish
from standfest.model.time import Duration, Instant, in_milliseconds, milliseconds
from standfest.runtime import frames
from standfest.runtime.channel import Channel, Listener
from standfest.runtime.loop import Loop
from standfest.wire import quorum as wire

SOCKET = "qdevice.sock"
GREET_EVERY: Duration = milliseconds(20)
"""Between greetings of one cluster: a recording of many starts must not make us talk."""

Peer = Any
"""An address as the kernel has it."""


def load(path: Path) -> tuple[qdevice.ServerFile, dict[str, Keyring]]:
    """Return the file and every cluster's keys; raises ConfigError with all errors."""
    file = qdevice.parse(text_of(path, "the quorum server's settings"), str(path))
    keys: dict[str, Keyring] = {}
    findings: list[Finding] = []
    for cluster in file.clusters:
        try:
            keys[cluster.name] = key_file(Path(cluster.key_file))
        except ConfigError as error:
            findings += error.findings
    if findings:
        raise ConfigError(*findings)
    return file, keys


def key_file(path: Path) -> Keyring:
    """Return keys of which all encrypt; raises ConfigError."""
    text = text_of(path, "keys as in authkeys, aes256-gcm")
    authkeys.check_mode(path.stat().st_mode, str(path))
    ring, _ = authkeys.parse(text, str(path))
    if not ring.only_encrypted:
        raise ConfigError(Finding(str(path), 0, "a key that does not encrypt", "aes256-gcm"))
    return ring


class Served:
    """One cluster at the server."""

    def __init__(self, now: Instant, longest: Duration, keys: Keyring) -> None:
        self.votes = VoteServer(now, longest)
        self.sealing = Sealing(keys, os.urandom)
        self.greet_at: Instant = 0
        self.last: dict[str, str] = {}


class QuorumServer:
    """Answers datagrams; SIGHUP reads the file and the keys again."""

    def __init__(self, path: Path, run_dir: Path) -> None:
        self._path = path
        self._loop = Loop(lambda: None, lambda: None)
        self._file, keys = load(path)
        now = self._loop.now()
        self._clusters = {n: Served(now, self._file.longest, keys[n]) for n in keys}
        self._refused: Counter[str] = Counter()
        family = socket.AF_INET6 if ":" in self._file.address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((self._file.address, self._file.port))
        self._run_dir = run_dir

    def run(self) -> None:
        """Serve until SIGTERM."""
        self._run_dir.mkdir(parents=True, exist_ok=True, mode=0o755)
        Listener(self._loop, self._run_dir / SOCKET, self._on_query, lambda _channel: None)
        self._loop.watch(self.fileno(), lambda _events: self.on_datagram())
        self._loop.on_signal(signal.SIGTERM, self._loop.stop)
        self._loop.on_signal(signal.SIGINT, self._loop.stop)
        self._loop.on_signal(signal.SIGHUP, self._on_reload)
        settle_memory()
        tell_systemd("READY=1")
        self._loop.run()

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def fileno(self) -> int:
        """Return the descriptor where datagrams arrive."""
        return self._socket.fileno()

    def on_datagram(self) -> None:
        """Take one datagram, and answer it."""
        try:
            datagram, peer = self._socket.recvfrom(wire.MAX_DATAGRAM + 1)
        except OSError:
            return
        try:
            name, sealed = wire.unwrap(datagram)
            served = self._clusters.get(name)
            if served is None:
                raise WireError("unknown-cluster")
            self._serve(name, served, sealed, peer)
        except WireError as error:
            self._refused[error.reason] += 1

    def _serve(self, name: str, served: Served, sealed: bytes, peer: Peer) -> None:
        now = self._loop.now()
        try:
            opened = served.sealing.open(sealed)
        except WireError as error:
            # Again and again, not only the first time: nothing else of ours would reach it.
            if error.reason == Refusal.UNPROVED and now >= served.greet_at:
                served.greet_at = now + GREET_EVERY
                self._send(name, served, wire.GREETING, peer)
            raise
        message = wire.decode(opened[1]) if opened is not None else None
        if isinstance(message, Ask):
            told = served.votes.ask(now, message)
            if told is not None:
                self._send(name, served, wire.encode(told), peer)
                if message.wish is Wish.VOTE:
                    answer = f"{told.token.value} {told.reason}".strip()
                    self._tell(name, served, message.node, answer)

    def _tell(self, name: str, served: Served, node: str, answer: str) -> None:
        """Log an answer that is another one than before."""
        if served.last.get(node) != answer:
            served.last[node] = answer
            print(f"cluster={name} node={node} answer={answer!r}", flush=True)

    def _send(self, name: str, served: Served, content: bytes, peer: Peer) -> None:
        with contextlib.suppress(OSError):  # as good as lost: the node asks again
            self._socket.sendto(wire.wrap(name, served.sealing.close(content)), peer)

    def _on_reload(self) -> None:
        """A file that cannot be used changes nothing; address and port stay as they are."""
        try:
            file, keys = load(self._path)
        except ConfigError as error:
            print(error, file=sys.stderr, flush=True)
            return
        now = self._loop.now()
        known, self._clusters = self._clusters, {}
        for name, ring in keys.items():
            served = known.get(name)
            if served is None or served.votes.longest != file.longest:
                served = Served(now, file.longest, ring)
            served.sealing.change(ring)
            self._clusters[name] = served
        self._file = file

    def _on_query(self, channel: Channel, value: frames.Value | frames.Payload) -> None:
        if not isinstance(value, frames.Query):
            channel.close()
            return
        channel.send(frames.Reply(True, json.dumps(self._report())))

    def _report(self) -> dict[str, object]:
        now = self._loop.now()
        return {
            "address": self._file.address,
            "port": self._file.port,
            "refused": dict(self._refused),
            "clusters": [
                {
                    "name": name,
                    "nodes": [
                        {
                            "name": node.node,
                            "view": list(node.view),
                            "votes": node.votes,
                            "wish": node.wish.value,
                            "has_vote": node.has_vote,
                            "answer": served.last.get(node.node, ""),
                            "silent_ms": in_milliseconds(node.silent),
                        }
                        for node in served.votes.report(now)
                    ],
                }
                for name, served in sorted(self._clusters.items())
            ],
        }


def main() -> None:
    """Run until SIGTERM: FILE RUN_DIR."""
    QuorumServer(Path(sys.argv[1]), Path(sys.argv[2])).run()


if __name__ == "__main__":
    main()
