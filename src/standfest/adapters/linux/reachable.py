"""Whether a server's answer to a connection comes back to an address of this machine."""

import contextlib
import errno
import selectors
import socket
import time
from collections.abc import Mapping, Sequence

from standfest.model.vrrp import IPAddress

Way = tuple[IPAddress, IPAddress, int]
"""From an address of this machine to a server's port."""

MAX_AT_ONCE = 256
_ANSWERED = frozenset({0, errno.ECONNREFUSED})


def answered(ways: Sequence[Way], timeout_s: float = 1.0) -> Mapping[Way, bool]:
    """Return for each way whether the server has answered, with a connection or a refusal."""
    found = dict.fromkeys(ways, False)
    with selectors.DefaultSelector() as waiting, contextlib.ExitStack() as opened:
        for way in tuple(found)[:MAX_AT_ONCE]:
            source, server, port = way
            family = socket.AF_INET6 if server.version == 6 else socket.AF_INET
            endpoint = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
            endpoint.setblocking(False)
            try:
                endpoint.bind((str(source), 0))
                number = endpoint.connect_ex((str(server), port))
            except OSError:
                continue  # the address has left meanwhile: nothing is known
            if number == errno.EINPROGRESS:
                waiting.register(endpoint, selectors.EVENT_WRITE, (way, endpoint))
            else:
                found[way] = number in _ANSWERED
        until = time.monotonic() + timeout_s
        while waiting.get_map() and (left := until - time.monotonic()) > 0:
            for key, _ in waiting.select(left):
                way, endpoint = key.data
                number = endpoint.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                found[way] = number in _ANSWERED
                waiting.unregister(endpoint)
    return found
