"""`python -m standfest.daemons.director.main FILE`: a director with its supervisor, guard, helper.

What all of them need is imported here, before the first fork, so that they share it.
"""

import errno
import os
import signal
import socket
import sys
import time

from standfest.daemons.director import control, director
from standfest.daemons.director.supervisor import Supervisor
from standfest.daemons.process import die_with_parent

PATIENCE_S = 60.0
"""How long to wait for the guard of a director that was killed: as long as its peers may take."""
POLL_S = 0.05


def listener(name: str) -> socket.socket:
    """Return the socket for commands, which says that no other director is here; may exit."""
    until, said = time.monotonic() + PATIENCE_S, False
    while True:
        try:
            return control.listen(name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > until:
                sys.exit(f"standfest: cannot listen for commands: {error.strerror}")
        if _answers(name):
            sys.exit("standfest: another director runs in this network namespace; expected none")
        if not said:
            print("standfest: another director is just ending here: waiting", file=sys.stderr)
            said = True
        time.sleep(POLL_S)


def _answers(name: str) -> bool:
    """Return whether a director is alive behind the name, and not only its guard."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        line.settimeout(1.0)
        try:
            line.connect(control.NAME + (f"/{name}" if name else ""))
            line.send(control.ALIVE.encode())
            return bool(line.recv(64))
        except OSError:
            return False


def main() -> None:
    """Run until SIGTERM; arguments: FILE, --pid-file PATH, --name, --backend NAME, --parent PID."""
    words = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
    parent = words.get("--parent", "")
    if parent:  # who supervises us; its death is our orderly end
        die_with_parent(signal.SIGTERM)
        if os.getppid() != int(parent):
            return
    pid_file = words.get("--pid-file", "")
    name = words.get("--name", "")
    endpoint = listener(name)
    if pid_file:
        with open(pid_file, "w", encoding="ascii") as stream:
            stream.write(f"{os.getpid()}\n")
    try:
        supervisor = Supervisor(
            os.path.abspath(sys.argv[1]),
            endpoint,
            director.direct,
            backend=words.get("--backend", "auto"),
            name=name,
        )
        status = supervisor.run()
    finally:
        if pid_file:
            os.unlink(pid_file)
    sys.exit(status)


if __name__ == "__main__":
    main()
