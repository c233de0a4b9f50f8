"""The quorum server's process and nodes' side of it, over real sockets on loopback."""

import select
import socket
import time
from pathlib import Path

from standfest.daemons.asking import ServerVote
from standfest.daemons.qdevice import QuorumServer
from standfest.model.quorum import Breaker, Presence, QuorumRules, Token
from standfest.model.quorumfile import QuorumSettings, ServerSettings
from standfest.model.time import milliseconds, seconds

RULES = QuorumRules((("a", 1), ("b", 1), ("c", 1), ("d", 1)), breaker=Breaker.SERVER)
SETTINGS = QuorumSettings(RULES, None, milliseconds(50), seconds(1))
KEY = "auth 1\n1 aes256-gcm a-passphrase-of-the-test\n"
OTHER = "auth 1\n1 aes256-gcm another-passphrase-here\n"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def keys(path: Path, text: str) -> str:
    path.write_text(text, encoding="ascii")
    path.chmod(0o600)
    return str(path)


def pump(server: QuorumServer, nodes: list[ServerVote], rounds: int) -> None:
    """Let all of them talk for so many rounds of at most 10 ms."""
    for _ in range(rounds):
        descriptors = [server.fileno(), *(node.descriptors()[0] for node in nodes)]
        ready = select.select(descriptors, [], [], 0.01)[0]
        if server.fileno() in ready:
            server.on_datagram()
        for node in nodes:
            if node.descriptors()[0] in ready:
                node.on_ready()
            at = node.deadline()
            if at is not None and at <= time.monotonic_ns():
                node.on_timer()


def answers(nodes: list[ServerVote]) -> list[str]:
    return [str(node.status()["answer"]) for node in nodes]


def test_nodes_that_ask_at_the_same_moment_are_all_answered(tmp_path: Path) -> None:
    port = free_port()
    right, wrong = keys(tmp_path / "right", KEY), keys(tmp_path / "wrong", OTHER)
    file = tmp_path / "qdevice.toml"
    file.write_text(
        f'address = "127.0.0.1"\nport = {port}\n[[clusters]]\nname = "lab"\nkey_file = "{right}"\n',
        encoding="ascii",
    )
    server = QuorumServer(file, tmp_path)
    nodes = [
        ServerVote(
            ServerSettings("127.0.0.1", port, "lab", key), SETTINGS, name, 1, time.monotonic_ns
        )
        for name, key in (("a", right), ("b", right), ("c", right), ("d", wrong))
    ]
    for node in nodes:
        node.present(Presence(frozenset("abc"), 1, 3, enough=True, busy=False))
    # Before a server is believed each of them has to prove that it hears it: three datagrams.
    pump(server, nodes, 100)
    later = f"{Token.LATER.value} the server has just started"
    server.close()
    for node in nodes:
        node.close()
    assert answers(nodes) == [later, later, later, "none yet"]  # d does not know the key
