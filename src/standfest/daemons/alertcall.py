"""What an alert agent finds in its environment about one event.

Source: Pacemaker Administration, "Writing an Alert Agent"; date(1) for the format of the time.
"""

import re
import time

from standfest.model.alerts import AlertTarget
from standfest.model.time import NANOSECONDS_PER_SECOND
from standfest.runtime.cluster.effects import Alert

VERSION = "2.1.5"
"""Of the Pacemaker whose agents can be used: they ask for 1.1.15 or later."""
PREFIXES = ("CRM_alert_", "CRM_notify_")
"""Today's, and that of the scripts for ocf:pacemaker:ClusterMon, which are agents, too."""
LONGEST_FORMAT = 1000
_FRACTION = re.compile(r"%(%|(\d{0,2})N)")


def variables(target: AlertTarget, event: Alert, number: int, at: int) -> dict[str, str]:
    """Return the environment of one call. number: of the call on this node; at: ns since 1970.

    Instance attributes come first, so that none of them can stand for what the cluster says.
    """
    seconds, fraction = divmod(at, NANOSECONDS_PER_SECOND)
    told = {
        "kind": event.kind.value,
        "version": VERSION,
        "node_sequence": str(number),
        "timestamp": timestamp(target.timestamp_format, at),
        "timestamp_epoch": str(seconds),
        "timestamp_usec": str(fraction // 1000),
        **({} if target.value is None else {"recipient": target.value}),
        **dict(event.fields),
    }
    own = {name: value for name, value in target.environment if name and "=" not in name}
    return own | {f"{prefix}{name}": told[name] for prefix in PREFIXES for name in told}


def timestamp(form: str, at: int) -> str:
    """Return a time, in ns since 1970, by a format of date(1): `%06N` are six digits of a second.

    `%N` are all nine; what strftime(3) does not know stays as it is.
    """
    seconds, fraction = divmod(at, NANOSECONDS_PER_SECOND)
    digits = f"{fraction:09}"

    def part(found: re.Match[str]) -> str:
        return "%%" if found[1] == "%" else digits[: int(found[2] or 9) or 9]

    plain = _FRACTION.sub(part, form[:LONGEST_FORMAT])
    return time.strftime(plain, time.localtime(seconds))
