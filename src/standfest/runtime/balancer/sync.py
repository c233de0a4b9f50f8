"""Where connections are copied: whoever is active sends, whoever is not receives.

Source: keepalived.conf(5), lvs_sync_daemon; ipvsadm(8), --start-daemon.
"""

from collections.abc import Mapping

from standfest.runtime.balancer.assignment import Assignment
from standfest.runtime.balancer.effects import Synchronise

NOWHERE = Synchronise(sends=False, receives=False, id=None)


def wanted(assignment: Assignment, routers: Mapping[str, bool]) -> Synchronise | None:
    """Return what connection sync should do; None: that is not known yet, so what runs goes on.

    Without an instance both directions run for good.
    """
    settings = assignment.balancer.sync_daemon
    if settings is None:
        return NOWHERE
    number = settings.id
    if number is None:
        number = dict(assignment.routers).get(settings.instance, 0)
    if not settings.instance:
        return Synchronise(sends=True, receives=True, id=number)
    active = routers.get(settings.instance)
    if active is None:
        return None
    return Synchronise(sends=active, receives=not active, id=number)
