"""A recorded input of the scheduler: what was decided then, beside what is decided now.

The coordinator writes the steps that it decided on into a comment at the end of each input that it
keeps. Other decisions now mean another release, or another reading of the same situation.
"""

import json

from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.engine import decide
from standfest.core.scheduler.graph import graph
from standfest.core.scheduler.schedule import steps_of
from standfest.model.element import Element
from standfest.model.history import Recorded

MARK = b"<!-- standfest-result "
MAX_STEPS = 1_000_000


def recorded_steps(text: bytes) -> tuple[str, ...] | None:
    """Return the steps that an input was kept with; None for one that nobody decided on."""
    begin = text.rfind(MARK)
    end = text.find(b" -->", begin)
    if begin < 0 or end < 0:
        return None
    try:
        steps = json.loads(text[begin + len(MARK) : end])
    except ValueError:
        return None
    known = isinstance(steps, list) and all(isinstance(step, str) for step in steps)
    return tuple(steps) if known and len(steps) <= MAX_STEPS else None


def verdict(text: bytes, configuration: Element, recorded: Recorded, now: int) -> list[str]:
    """Return what `compare` says of an input as it was recorded; nothing for any other CIB."""
    then = recorded_steps(text)
    return [] if then is None else compare(then, decide(configuration, recorded, now))


def compare(then: tuple[str, ...], cluster: Cluster) -> list[str]:
    """Return a sentence, and a line for each step that is decided only then, or only now."""
    assert cluster.reader is not None, "a cluster that was decided has one"
    now = steps_of(graph(cluster, cluster.reader))
    if now == then:
        return [f"Replay: as decided when it was recorded ({len(then)} steps)"]
    lines = ["Replay: decided otherwise when it was recorded"]
    lines += [f"  only then: {step}" for step in sorted(set(then) - set(now))]
    lines += [f"  only now:  {step}" for step in sorted(set(now) - set(then))]
    return lines
