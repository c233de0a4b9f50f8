"""`standfest sim`: whole clusters in virtual time, with everything that can go wrong, by a seed."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from standfest import __version__
from standfest.model.time import NANOSECONDS_PER_SECOND, in_seconds
from standfest.sim import probes as points
from standfest.sim.faults import KINDS
from standfest.sim.run import FAULTS_PER_HOUR, HOUR, INVARIANTS, NO_CRASH, Order, Outcome, run
from standfest.sim.shrink import shrink

EXIT_VIOLATION = 1
MAX_NODES = 64
MAX_HOURS = 10_000.0


@click.group(name="sim")
def command() -> None:
    """Break simulated clusters, and hold what they do against what is promised."""


@command.command(name="run")
@click.option(
    "--seed", type=click.IntRange(0), default=0, help="The first seed.", show_default=True
)
@click.option("--seeds", type=click.IntRange(1), default=1, help="How many.", show_default=True)
@click.option("--nodes", type=click.IntRange(2, MAX_NODES), default=3, show_default=True)
@click.option(
    "--hours",
    type=click.FloatRange(0, MAX_HOURS, min_open=True),
    default=1.0,
    help="Simulated hours for each seed.",
    show_default=True,
)
@click.option(
    "--faults-per-hour", type=click.IntRange(0, 1000), default=FAULTS_PER_HOUR, show_default=True
)
@click.option(
    "--fencing/--no-fencing", "fencing", default=None, help="Instead of what the seed draws."
)
@click.option("--pings", is_flag=True, help="Ping nodes, and resources that follow them (ipfail).")
@click.option("--roster", is_flag=True, help="Nodes are removed and added: an odd number, from 3.")
@click.option("--autojoin", is_flag=True, help="One node is in no ha.cf: an odd number, from 3.")
@click.option("--only", default="", metavar="N,N...", help="Let only these faults happen.")
@click.option("--no-shrink", is_flag=True, help="Print all faults of a run that failed.")
@click.option("--probes", is_flag=True, help="List which events the daemons noted, and which not.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end.")
def run_command(  # noqa: PLR0917  click gives them by name
    seed: int,
    seeds: int,
    nodes: int,
    hours: float,
    faults_per_hour: int,
    fencing: bool | None,
    pings: bool,
    roster: bool,
    autojoin: bool,
    only: str,
    no_shrink: bool,
    probes: bool,
    as_json: bool,
) -> None:
    """Simulate clusters of the machines that the daemons run; the same seed does the same.

    A seed draws the heartbeat's times, the resources, whether nodes are fenced, and the faults.
    What fails is printed with the command that repeats it, after faults that do not matter to it
    were left out.

    Exit status: 0 all invariants held; 1 one did not; 2 the command line cannot be used.
    """
    chosen = _numbers(only)
    for option, asked in {"--roster": roster, "--autojoin": autojoin}.items():
        if asked and (nodes < 3 or nodes % 2 == 0):
            raise click.UsageError(f"{option} needs 3, 5, 7 ... nodes, there are {nodes}")
    if roster and autojoin:  # of an even number one would be removed
        raise click.UsageError("--roster and --autojoin; expected one of them")
    tally = _Tally(nodes=nodes, hours=hours, first=seed, seeds=seeds)
    for number in range(seed, seed + seeds):
        order = Order(
            number, nodes, hours, faults_per_hour, fencing, chosen, pings, roster, autojoin
        )
        with tally.timed():
            outcome = run(order)
        if outcome.violation is not None and not no_shrink and chosen is None:
            outcome = shrink(outcome)
        tally.add(outcome)
        if outcome.violation is not None and not as_json:
            _show(outcome, faults_per_hour)
    click.echo(json.dumps(tally.document(), indent=2) if as_json else tally.line())
    if probes and not as_json:
        _table({n: f"{count:>9}" if count else points.unreached(n) for n, count in tally.probes()})
    sys.exit(EXIT_VIOLATION if tally.violations else 0)


@command.command(name="invariants")
def invariants_command() -> None:
    """List what must hold in every run."""
    rows = {kind.name: kind.promise for kind in INVARIANTS}
    rows[NO_CRASH] = "no daemon ever ends by an error of its own"
    _table(rows)


@command.command(name="faults")
def faults_command() -> None:
    """List what goes wrong in a run."""
    _table({name: kind.says for name, kind in KINDS.items()})


def _table(rows: dict[str, str]) -> None:
    width = max(map(len, rows))
    for name, says in sorted(rows.items()):
        click.echo(f"{name:{width}}  {says}")


def _numbers(text: str) -> frozenset[int] | None:
    if not text:
        return None
    try:
        return frozenset(int(word) for word in text.split(","))
    except ValueError:
        raise click.BadParameter(
            f'"{text}"; expected numbers with commas between them', param_hint="--only"
        ) from None


class _Tally:
    """Sums over all seeds. hours: simulated ones in which invariants were checked."""

    def __init__(self, *, nodes: int, hours: float, first: int, seeds: int) -> None:
        self._asked = {"nodes": nodes, "hours_each": hours, "first_seed": first, "seeds": seeds}
        self._spent = 0.0
        self._simulated = 0
        self._steps = 0
        self._faults: Counter[str] = Counter()
        self._noted: Counter[str] = Counter()
        self.violations: list[dict[str, Any]] = []

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the processor's time of what is done inside, s."""
        began = time.process_time()
        yield
        self._spent += time.process_time() - began

    def add(self, outcome: Outcome) -> None:
        """Count one run."""
        self._simulated += outcome.simulated
        self._steps += outcome.steps
        self._faults.update(fault.kind for fault in outcome.faults)
        self._noted.update(outcome.noted)
        violation = outcome.violation
        if violation is not None:
            self.violations.append(
                {
                    "seed": outcome.order.seed,
                    "invariant": violation.name,
                    "at_s": in_seconds(violation.at),
                    "what": violation.what,
                    "faults": [str(fault) for fault in outcome.faults],
                    "again": _again(outcome.order),
                }
            )

    def probes(self) -> list[tuple[str, int]]:
        """Return how often each event that the daemons can note was noted."""
        return [(name, self._noted[name]) for name in sorted(points.names())]

    def document(self) -> dict[str, Any]:
        """Return everything for a program."""
        return {
            "commit": _commit(),
            **self._asked,
            "simulated_hours": self._simulated / HOUR,
            "steps": self._steps,
            "faults": self._faults.total(),
            "faults_by_kind": dict(sorted(self._faults.items())),
            "cpu_seconds": round(self._spent, 3),
            "times_real_time": round(self._simulated / NANOSECONDS_PER_SECOND / self._spent, 1),
            "probes": dict(self.probes()),
            "violations": self.violations,
        }

    def line(self) -> str:
        """Return the closing line."""
        sums = self.document()
        return (
            f"{self._asked['seeds']} seeds, {self._asked['nodes']} nodes, "
            f"{sums['simulated_hours']:g} hours, {sums['faults']} faults, "
            f"{sums['times_real_time']:.0f} times real time: "
            f"{len(self.violations)} violations"
        )


def _show(outcome: Outcome, faults_per_hour: int) -> None:
    violation = outcome.violation
    assert violation is not None, "only failures are shown"
    order, scene = outcome.order, outcome.scene
    fences = "fencing" if scene.fencing else "no fencing"
    click.echo(f"seed {order.seed}: {violation}")
    click.echo(
        f"  {order.nodes} nodes, {scene.resources}, no-quorum-policy {scene.policy}, {fences}, "
        f"keepalive {in_seconds(scene.settings.keepalive):g} s, "
        f"deadtime {in_seconds(scene.settings.deadtime):g} s, {faults_per_hour} faults an hour"
    )
    for fault in outcome.faults:
        click.echo(f"  {fault}")
    click.echo(f"  commit {_commit()}; again: {_again(order)}")


def _again(order: Order) -> str:
    """Return the command that repeats a run."""
    words = [f"standfest sim run --seed {order.seed} --nodes {order.nodes} --hours {order.hours:g}"]
    if order.faults_per_hour != FAULTS_PER_HOUR:
        words.append(f"--faults-per-hour {order.faults_per_hour}")
    if order.fencing is not None:
        words.append("--fencing" if order.fencing else "--no-fencing")
    if order.pings:
        words.append("--pings")
    if order.roster:
        words.append("--roster")
    if order.autojoin:
        words.append("--autojoin")
    if order.only is not None:
        words.append(f"--only {','.join(map(str, sorted(order.only)))}")
    return " ".join(words)


def _commit() -> str:
    """Return which code this is: the checkout's commit, or the version that is installed.

    A virtual environment may lie in somebody else's checkout: this file must be that one's.
    """
    ours = _git("ls-files", "--error-unmatch", Path(__file__).name)
    return (ours and _git("describe", "--always", "--dirty", "--abbrev=12")) or __version__


def _git(*words: str) -> str:
    """Return what git says in this folder, nothing if it refuses or is not there."""
    here = str(Path(__file__).resolve().parent)
    try:
        done = subprocess.run(
            ["git", "-C", here, *words], capture_output=True, text=True, check=False, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
