"""How long recovery may take after the last fault, computed from the configuration."""

from standfest.core.membership.election import HELLO_TIMEOUT
from standfest.core.membership.pings import RISE
from standfest.model.configuration import Configuration
from standfest.model.pinging import Pinging
from standfest.model.settings import HeartbeatSettings
from standfest.model.time import Duration, seconds
from standfest.runtime.cluster.reach import PATIENCE
from standfest.runtime.cluster.settings import FOLLOW_TIMEOUT, JOIN_TIMEOUT

DEFAULT_TIMEOUT: Duration = seconds(20)
"""What an operation may take where the configuration says nothing."""
LOST_ROUNDS = 2
"""So many times a transition may be given up and decided anew by what is still going on."""


def recovery_bound(settings: HeartbeatSettings, configuration: Configuration) -> Duration:
    """Return after which time everything must be well again, ns.

    All nodes hear each other, or give each other up (initdead, deadtime); the election and the
    joins; then, as often as a decision may be given up for news, the longest chain of operations:
    a stop and a start of every resource, one after the other, each at its timeout, and a probe.
    """
    heard = settings.initdead + settings.deadtime + settings.keepalive
    elected = HELLO_TIMEOUT + JOIN_TIMEOUT + 2 * FOLLOW_TIMEOUT
    chain = DEFAULT_TIMEOUT
    for primitive in configuration.primitives():
        stated = {entry.name: entry.timeout for entry in primitive.operations if not entry.interval}
        chain += stated.get("stop") or DEFAULT_TIMEOUT
        chain += stated.get("start") or DEFAULT_TIMEOUT
    return heard + elected + _reached(settings.pinging) + LOST_ROUNDS * chain


def _reached(pinging: Pinging) -> Duration:
    """Return how long it takes until ping nodes that changed are known, and written."""
    if not pinging.nodes:
        return 0
    return pinging.deadping + (RISE + 1) * pinging.interval + PATIENCE * pinging.dampen
