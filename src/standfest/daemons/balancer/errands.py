"""Scripts, pipes, mail and tracked files of a balancer: the director's helper does them for it.

A fork of the balancer with nothing of its sockets, made when something in the settings needs one.
"""

import os
import signal
import socket
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from standfest.daemons.balancer.descriptors import close_all_but
from standfest.daemons.director.words import Words
from standfest.daemons.process import name_process
from standfest.model.balancing import FileCheck
from standfest.model.director import DirectorSettings
from standfest.runtime.balancer.assignment import Assignment

if TYPE_CHECKING:
    from standfest.daemons.director.helper import Line  # only where it is needed


def settings_of(assignment: Assignment, *, alone: bool) -> DirectorSettings:
    """Return what the helper needs to know; alone: no director's helper reads the common pipe."""
    globals_ = replace(assignment.globals, vrrp_notify_fifo=assignment.globals.lvs_notify_fifo)
    if globals_.notify_fifo is not None and not alone:
        globals_ = replace(globals_, notify_fifo=replace(globals_.notify_fifo, script=None))
    followed = {
        checker.file
        for service in assignment.balancer.services
        for server in service.servers
        for checker in server.checkers
        if isinstance(checker, FileCheck)
    }
    files = tuple(file for file in assignment.files if file.name in followed)
    return DirectorSettings(globals=globals_, files=files)


def is_needed(assignment: Assignment) -> bool:
    """Return whether anything is the helper's work."""
    services = assignment.balancer.services
    servers = [server for service in services for server in service.servers]
    scripts = any(s.quorum_up or s.quorum_down for s in services) or any(
        s.notify_up or s.notify_down for s in servers
    )
    mails = bool(assignment.globals.mail.recipients) and (
        any(s.smtp_alert for s in services) or any(s.smtp_alert for s in servers)
    )
    pipes = assignment.globals.notify_fifo or assignment.globals.lvs_notify_fifo
    files = settings_of(assignment, alone=True).files
    return bool(scripts or mails or pipes or files)


def start(settings: DirectorSettings, words_socket: socket.socket, known: dict[str, int]) -> "Line":
    """Fork a helper; known: newest values of files, which are not reported again."""
    from standfest.daemons.director import holding  # noqa: PLC0415  most balancers need none
    from standfest.daemons.director.helper import Helper, Line  # noqa: PLC0415

    ours, its = holding.pair()
    balancer = os.getpid()
    if os.fork() == 0:
        status = 1
        try:
            close_all_but(frozenset({0, 1, 2, its.fileno(), words_socket.fileno()}))
            name_process("sf-errands")
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # the line's end is our end
            Helper(settings, its, Words(words_socket, "errands"), known, balancer).run()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    its.close()
    return Line(ours, Words(words_socket, "balancer"), settings)
