"""What simulated clusters recorded is decided again, input by input."""

import random

import pytest
from tests.recorded import Recordings
from tests.simulation.test_cluster import cluster

from standfest.model.time import milliseconds, seconds
from standfest.runtime.cluster.protocol import Cleanup, Move, Request, Standby
from standfest.runtime.recording.replayer import Damage, Step, Verdict, parse, replay
from standfest.sim.cluster import SimCluster
from standfest.sim.network import Weather

SEEDS = 6


def trouble(sim: SimCluster, source: random.Random, nodes: tuple[str, ...]) -> None:
    """Let half a simulated minute of things go wrong."""
    for _ in range(8):
        sim.run_for(milliseconds(source.randint(100, 6000)))
        node = source.choice(nodes)
        runs = sim.nodes[node].member is not None
        match source.randrange(7):
            case 0:
                sim.crash(node)
                sim.run_for(milliseconds(source.randint(0, 3000)))
                sim.power_on(node)
            case 1:
                sim.partition([node], [other for other in nodes if other != node])
            case 2:
                sim.heal()
            case 3 if runs:
                sim.restart_pulse(node)
            case 4 if runs:
                sim.kill_cluster_daemon(node)
                sim.restart_cluster_daemon(node)
            case 5 if runs:
                wishes: tuple[Request, ...] = (
                    Standby(node, True),
                    Move("mail", ""),
                    Cleanup("mail", ""),
                )
                sim.ask(node, source.choice(wishes))
            case _:
                sim.unplug(node, "eth1")
                sim.run_for(milliseconds(500))
                sim.plug(node, "eth1")


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_runs_are_decided_again_as_they_were(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = Recordings()
    recordings.install(monkeypatch)
    nodes = ("a", "b", "c")[: 2 + seed % 2]
    weather = Weather(loss=0.02, duplication=0.02)
    sim = cluster(seed, *nodes, weather=weather)
    trouble(sim, random.Random(seed), nodes)
    sim.heal()
    sim.run_for(seconds(5))
    assert recordings.troubles == []
    inputs = effects = 0
    for process, ring in recordings.rings:
        steps = list(replay(parse(bytes(ring))))
        for step in steps[:-1]:
            assert isinstance(step, Step)
            assert step.verdict is Verdict.AS_RECORDED, (process, step)
        assert steps, process
        assert not isinstance(steps[-1], Damage)
        assert steps[-1].verdict is Verdict.AS_RECORDED
        inputs += len(steps)
        effects += sum(len(step.effects) for step in steps if isinstance(step, Step))
    assert inputs > 1000
    assert effects > 300
