"""One simulated run by its seed: faults, calm, judgement, again and again."""

import random
import traceback
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from standfest.config.cib import compile_configuration
from standfest.model.time import Duration, Instant, seconds
from standfest.sim.bound import recovery_bound
from standfest.sim.cluster import SimCluster
from standfest.sim.faults import Fault, draw_plan
from standfest.sim.injector import Injector
from standfest.sim.invariants import (
    connection,
    keeping,
    liveness,
    membership,
    ownership,
    replication,
    views,
)
from standfest.sim.invariants.base import Invariant, Referee, ViolationError
from standfest.sim.network import Weather
from standfest.sim.scene import UNMANAGED, Scene, draw

HOUR: Duration = seconds(3600)
ROUND: Duration = seconds(1200)
"""Faults, recovery and quiet, three times in an hour."""
QUIET: Duration = seconds(60)
FAULTS_PER_HOUR = 30
PUT_RIGHT_AFTER: Duration = seconds(60)
"""How soon after the last fault an operator cleans up."""
SHORTEST: Duration = seconds(120)
"""So long faults happen, however short a run is to be."""

INVARIANTS: tuple[type[Invariant], ...] = (
    ownership.OneOwner,
    ownership.FenceBeforeRecover,
    ownership.QuorumBeforeStart,
    ownership.Order,
    ownership.Colocation,
    ownership.Unmanaged,
    ownership.Secrets,
    replication.SameVersionSameDigest,
    replication.NewestWins,
    replication.OneLeaderPerTerm,
    replication.AcknowledgedKept,
    keeping.OnDiskWhenSaid,
    keeping.KeptByMost,
    keeping.GivesUpAfterPause,
    keeping.LeftInPeace,
    membership.Deadtime,
    membership.Delivery,
    membership.DamageNoticed,
    membership.OneView,
    views.HearEachOther,
    liveness.Recovered,
    liveness.FailsOver,
    liveness.TakesPart,
    liveness.NoPingPong,
    liveness.MakesProgress,
    liveness.NoStorm,
    liveness.Answered,
    connection.Connected,
)
NO_CRASH = "no-crash"
"""The invariant that a daemon never ends by an error of its own."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to simulate.

    only: the numbers of the faults that happen, all when None; pings: with ping nodes and ipfail;
    roster: nodes are removed and added; autojoin: one joins that no ha.cf names; either of an odd
    number of at least three.
    """

    seed: int
    nodes: int = 3
    hours: float = 1.0
    faults_per_hour: int = FAULTS_PER_HOUR
    fencing: bool | None = None
    only: frozenset[int] | None = None
    pings: bool = False
    roster: bool = False
    autojoin: bool = False


@dataclass(slots=True)
class Outcome:
    """What came of it.

    faults: those that happened; simulated: ns; noted: how often each event was noted by a daemon;
    violation: None when all held.
    """

    order: Order
    scene: Scene
    faults: list[Fault] = field(default_factory=list)
    simulated: Duration = 0
    steps: int = 0
    starts: int = 0
    noted: Counter[str] = field(default_factory=Counter)
    violation: ViolationError | None = None
    where: str = ""


def run(order: Order, *, stop: Callable[[], bool] = lambda: False) -> Outcome:
    """Simulate; the same order gives the same outcome."""
    source = random.Random(f"{order.seed}/scene")  # noqa: S311
    scene = draw(
        source,
        order.nodes,
        fencing=order.fencing,
        pings=order.pings,
        roster=order.roster,
        autojoin=order.autojoin,
    )
    return _Run(order, scene).run(stop)


class _Run:
    def __init__(self, order: Order, scene: Scene) -> None:
        self._order = order
        self._outcome = Outcome(order, scene)
        configuration = compile_configuration(scene.configuration)[0]
        self._referee = Referee(kind(scene, configuration) for kind in INVARIANTS)
        calm = Weather()
        self._sim = SimCluster(
            f"{order.seed}/run",
            scene.settings,
            scene.configuration,
            links=scene.links,
            weather=calm,
            observer=self._referee,
        )
        self._referee.watch(self._sim)
        for name in scene.names:
            if name not in self._sim.nodes:
                self._sim.install(name, scene.settings)
        self._sim.switch.boots = True
        self._injector = Injector(self._sim, calm)
        bound = recovery_bound(scene.settings, configuration)
        self._recovery = bound
        self._source = random.Random(f"{order.seed}/plan")  # noqa: S311
        self._planned = 0

    def run(self, stop: Callable[[], bool]) -> Outcome:
        sim, outcome = self._sim, self._outcome
        try:
            if UNMANAGED in outcome.scene.primitives:
                sim.world.on(UNMANAGED).add(outcome.scene.names[0])
            for name in sim.nodes:
                sim.later(seconds(self._source.randrange(5)), self._power(name))
            end = int(self._order.hours * HOUR)
            while sim.now < end and not stop():
                self._round(min(end, sim.now + ROUND))
            if self._injector.done and not stop():
                self._death()
        except ViolationError as violation:
            outcome.violation = violation
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            outcome.where = "".join(traceback.format_exception(error))
            what = f"{type(error).__name__}: {error} in {last.name}, line {last.lineno}"
            outcome.violation = ViolationError(NO_CRASH, sim.now, what)
        outcome.faults = self._injector.done
        for node in sim.nodes.values():
            outcome.noted.update(note.event for _, note in node.notes)
        outcome.simulated, outcome.steps, outcome.starts = sim.now, sim.steps, sim.world.starts
        return outcome

    def _power(self, name: str) -> Callable[[], None]:
        return lambda: self._sim.power_on(name)

    def _round(self, end: Instant) -> None:
        """Faults until shortly before `end`, then recovery, then quiet."""
        sim = self._sim
        calm = PUT_RIGHT_AFTER + self._recovery + QUIET
        sim.targets.leave((), ())
        calm_from = max(sim.now + SHORTEST, end - calm)
        count = round(self._order.faults_per_hour * ROUND / HOUR)
        plan = draw_plan(
            self._source, self._outcome.scene, count, (sim.now, calm_from), self._planned
        )
        self._planned += count
        only: Collection[int] | None = self._order.only
        self._injector.schedule([f for f in plan if only is None or f.number in only])
        sim.run_for(calm_from - sim.now)
        self._injector.end_all()
        self._leave_ways()
        sim.run_for(PUT_RIGHT_AFTER)
        self._injector.put_right()
        sim.run_for(self._recovery)
        sim.shaken.clear()
        for invariant in self._referee.invariants:
            invariant.settled()
        sim.run_for(QUIET)
        for invariant in self._referee.invariants:
            invariant.rested()

    def _death(self) -> None:
        """Kill one node, if none has left once what kept it was cleaned up."""
        sim = self._sim
        if any(not node.up or node.member is None for node in sim.nodes.values()):
            return
        victims = random.Random(f"{self._order.seed}/death")  # noqa: S311
        sim.crash(victims.choice(self._outcome.scene.names))
        sim.run_for(self._recovery)
        for invariant in self._referee.invariants:
            invariant.bereaved()

    def _leave_ways(self) -> None:
        """Leave some ways to ping nodes lost, and a host dead, for as long as it is calm."""
        names, pinging = self._outcome.scene.names, self._outcome.scene.settings.pinging
        if pinging.nodes:
            cut = self._source.sample(names, self._source.randrange(len(names)))
            hosts = [host for node in pinging.nodes for host in node.hosts]
            dead = self._source.sample(hosts, self._source.randrange(2))
            self._sim.targets.leave(dead, cut)
