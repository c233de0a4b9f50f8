"""Events in a node's log: when, who, what. Pure.

A line is `2026-11-24T11:00:00.123456+00:00 node-1 cluster[12]: info: EVENT key=value ...`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

_LINE = re.compile(
    r"(?P<at>\S+) (?P<node>\S+) (?P<process>[a-z]+)\[\d+\]: [a-z]+: (?P<name>\S+)(?P<rest>.*)"
)
_FIELD = re.compile(r'([a-z_-]+)=("[^"]*"|\S*)')

DETECTIONS = frozenset(
    {"member-lost", "link-down", "operation-failed", "standby-requested", "member-left"}
)
"""Events by which the cluster shows that it knows of a fault."""
DECISION = "transition-started"


@dataclass(frozen=True, slots=True)
class Event:
    """at: seconds since 1970."""

    at: float
    node: str
    process: str
    name: str
    fields: tuple[tuple[str, str], ...]

    def field(self, name: str) -> str:
        """Return a field's value, or the empty string."""
        return dict(self.fields).get(name, "")


def parse(text: str) -> list[Event]:
    """Return the events of a log; lines that are none are skipped."""
    found = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        try:
            at = datetime.fromisoformat(match["at"]).timestamp()
        except ValueError:
            continue
        fields = tuple((key, value.strip('"')) for key, value in _FIELD.findall(match["rest"]))
        found.append(Event(at, match["node"], match["process"], match["name"], fields))
    return found


def detection(events: Iterable[Event], fault: float) -> Event | None:
    """Return the first event that shows a fault of that instant as known."""
    return next((e for e in events if e.at >= fault and e.name in DETECTIONS), None)


def decision(events: Iterable[Event], detected: float) -> Event | None:
    """Return the first transition that was started after the detection."""
    return next((e for e in events if e.at >= detected and e.name == DECISION), None)
