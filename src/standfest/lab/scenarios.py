"""What the drill breaks, one thing at a time, each from a healthy start; and what came of it."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from standfest.lab import events as log
from standfest.lab import measure
from standfest.lab.lab import Lab
from standfest.model.errors import OperationError

HEALTHY_WITHIN_S = 60.0
RECOVERED_WITHIN_S = 30.0
WATCH_AFTER_S = 1.5
MAX_PHASE_S = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """One service in one scenario; durations in milliseconds, None where it never came back."""

    scenario: str
    service: str
    outage_ms: float | None
    detected_ms: float | None
    decided_ms: float | None
    started_ms: float | None
    before: str
    after: str
    recovered: bool
    duplicate_owner_ms: float
    remark: str = ""

    @property
    def passed(self) -> bool:
        """Return whether the service came back and was never owned twice."""
        return self.recovered and self.duplicate_owner_ms == 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault: `inject` gets the lab and the node that answers."""

    name: str
    title: str
    inject: Callable[[Lab, str], None]
    moves: bool


def _node_kill(lab: Lab, active: str) -> None:
    lab.kill(active)


def _public_link_cut(lab: Lab, active: str) -> None:
    lab.wiring.cut(active, lab.plan.public_device)


def _heartbeat_link_cut(lab: Lab, active: str) -> None:
    lab.wiring.cut(active, lab.plan.heartbeat_device)


def _service_kill(lab: Lab, active: str) -> None:
    lab.end_service(active, lab.plan.services[0].name)


def _standby(lab: Lab, active: str) -> None:
    status, output = lab.command(active, "node", "standby", active)
    if status:
        raise OperationError(f"standfest node standby {active}: {output.strip()}")


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("node-kill", "the active node loses its power", _node_kill, True),
    Scenario("public-link-cut", "its public cable is pulled", _public_link_cut, True),
    Scenario("heartbeat-link-cut", "its heartbeat cable is pulled", _heartbeat_link_cut, False),
    Scenario("service-kill", "the service's process is killed", _service_kill, False),
    Scenario("standby", "an administrator puts it into standby", _standby, True),
)


def play(lab: Lab, scenario: Scenario, say: Callable[[str], None]) -> list[Result]:
    """Start the installation, break one thing, watch; return a result for each service."""
    say("starting")
    lab.start()
    try:
        owners = lab.wait_healthy(HEALTHY_WITHIN_S)
        time.sleep(random.random() * MAX_PHASE_S)  # noqa: S311  any phase of the heartbeat
        say(f"{scenario.title} ({owners[0]})")
        fault, fault_wall = time.monotonic(), time.time()
        scenario.inject(lab, owners[0])
        _wait_recovered(lab, scenario, fault, owners)
        time.sleep(WATCH_AFTER_S)
        until = time.monotonic()
        answers, replies = lab.stop_client()
        return _results(lab, scenario, answers, replies, (fault, fault_wall, until))
    finally:
        lab.stop()


def _wait_recovered(lab: Lab, scenario: Scenario, fault: float, owners: list[str]) -> None:
    """Wait until the fault has had its effect and every service answers again."""
    until = fault + RECOVERED_WITHIN_S
    settle = fault + 0.3
    while time.monotonic() < until:
        now = time.monotonic()
        latest = lab.latest()
        fresh = all(entry is not None and now - entry[0] < 0.1 for entry in latest)
        moved = all(e is not None and e[1] != o for e, o in zip(latest, owners, strict=True))
        detected = log.detection(lab.events(), time.time() - (now - fault)) is not None
        if fresh and now > settle and (moved if scenario.moves else detected or moved):
            if not scenario.moves:
                time.sleep(1.0)  # what was detected is about to be acted on
                if not all(e is not None and time.monotonic() - e[0] < 0.1 for e in lab.latest()):
                    continue
            return
        time.sleep(0.05)


def _results(
    lab: Lab,
    scenario: Scenario,
    answers: list[measure.Answer],
    replies: list[measure.Reply],
    times: tuple[float, float, float],
) -> list[Result]:
    fault, fault_wall, until = times
    events = lab.events()
    detected = log.detection(events, fault_wall)
    decided = log.decision(events, detected.at) if detected else None
    doubles = max(
        (measure.answered_twice(replies, address.ip, fault) for address in lab.plan.addresses),
        default=0.0,
    )
    results = []
    for number, service in enumerate(lab.plan.services):
        gap = measure.outage(answers, number, fault, until)
        double = max(doubles, measure.served_twice(answers, number, fault))
        detected_ms = _ms(detected.at - fault_wall) if detected else None
        decided_ms = _ms(decided.at - detected.at) if decided and detected else None
        started_ms = None
        if gap and decided:
            started_ms = _ms(gap.restored - fault - (decided.at - fault_wall))
        results.append(
            Result(
                scenario.name,
                service.name,
                _ms(gap.seconds) if gap else None,
                detected_ms,
                decided_ms,
                started_ms,
                gap.before if gap else "",
                gap.after if gap else "",
                gap is not None,
                _ms(double),
                _remark(scenario, events, fault_wall),
            )
        )
    return results


def _remark(scenario: Scenario, events: list[log.Event], fault: float) -> str:
    """Return how a cut heartbeat link was decided without fencing, as the logs tell it."""
    if scenario.name != "heartbeat-link-cut":
        return ""
    after = [event for event in events if event.at >= fault]
    lost = next((event for event in after if event.name == "member-lost"), None)
    if lost is not None:
        return f"{lost.node} took {lost.field('node')} for dead: no link was left between them"
    down = next((event for event in after if event.name == "link-down"), None)
    still = sorted({e.field("device") for e in events if e.name == "service-link"})
    way = ", ".join(still) or "another link"
    if down is not None:
        return (
            f"the nodes still hear each other over {way}: nobody is taken for dead; "
            f"{down.field('node')} has no carrier on {down.field('device')}, "
            "so its resources move in order"
        )
    return f"the nodes still hear each other over {way}: nobody is taken for dead"


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
