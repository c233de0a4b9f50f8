"""What a director finds at its birth, and what its family agrees on."""

import contextlib
import os
import signal
import socket
from dataclasses import dataclass

from standfest.adapters.linux.signs import SignsOfLife

SENTINEL = 900
"""The director's number for a pipe that closes when it dies.

The kernel lets go of a dead process's highest descriptor first, and a process is reported dead only
after the last one; its packet sockets alone take 30 ms (RCU grace periods).
"""
FORWARDED = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMAX - 1, signal.SIGRTMIN + 2)
"""Dumps, as keepalived's users know them: data, statistics, clear statistics, JSON."""


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a director finds at its birth.

    settings: a file that holds what was read last. news: where later ones arrive, with a file each.
    listener: where commands ask. balancer: who is told which routers are active.
    """

    settings: int
    signs: SignsOfLife
    guard: socket.socket
    news: socket.socket
    listener: socket.socket
    words: socket.socket
    path: str
    balancer: socket.socket

    def read_news(self) -> int | None:
        """Return the newest settings that have arrived, a file, or None."""
        newest: int | None = None
        with contextlib.suppress(BlockingIOError):
            while True:
                _, files, _, _ = socket.recv_fds(self.news, 64, 1)
                if not files:
                    return newest
                if newest is not None:
                    os.close(newest)
                newest = files[0]
        return newest

    def guard_asks(self) -> bool:
        """Return whether a guard that has just been born wants to hear everything."""
        asked = False
        with contextlib.suppress(OSError):
            while self.guard.recv(64):
                asked = True
        return asked
