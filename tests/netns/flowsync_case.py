"""Runs in a director's namespace: copies connections; SIGUSR1 makes it the active one.

Arguments: interface, the partner's address or "group", key in hexadecimal, our mark, "active" or
"passive".
"""

import os
import signal
import sys
from ipaddress import ip_address

from standfest.adapters.linux.trackedflows import TrackedFlows
from standfest.daemons.balancer.flowsync import FlowSync, open_path
from standfest.model.time import Instant
from standfest.runtime.loop import Loop

PORT = 8848


def main() -> None:
    interface, peer, key, own, role = sys.argv[1:]
    mark = int(own)

    def deadline() -> Instant | None:
        return sync.deadline()

    loop = Loop(deadline, lambda: sync.on_timer(loop.now()))
    path, way = open_path(interface, PORT, None if peer == "group" else ip_address(peer), 1)
    sync = FlowSync(
        loop,
        path,
        TrackedFlows(lambda flow: flow.mark == mark, lambda _flow: mark),
        way=way,
        incarnation=int.from_bytes(os.urandom(8)),
        key=bytes.fromhex(key),
        say=lambda line: print(line, flush=True),
    )

    def become_active() -> None:
        sync.become_active()
        print("active", flush=True)

    loop.on_signal(signal.SIGUSR1, become_active)
    loop.on_signal(signal.SIGTERM, loop.stop)
    if role == "active":
        become_active()
    print("ready", flush=True)
    loop.run()
    sync.close()


if __name__ == "__main__":
    main()
