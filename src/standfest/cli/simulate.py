"""`standfest simulate CIB`: what the cluster would do, and what it comes to."""

import gc
import json
import sys
import time
from pathlib import Path

import click

from standfest.analysis import plantext, replay, whatif
from standfest.analysis.canonical import canonical
from standfest.config.recorded import read
from standfest.core.scheduler import calendar
from standfest.core.scheduler.apply import execute
from standfest.core.scheduler.cluster import Cluster
from standfest.core.scheduler.engine import decide
from standfest.model.element import Element
from standfest.model.errors import ConfigError, OperationError
from standfest.model.history import Recorded

MOST_TRANSITIONS = 50


@click.command(name="simulate")
@click.argument("cib", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--at", default="", metavar="TIME", help="Decide as of this ISO 8601 time, not now.")
@click.option("--json", "as_json", is_flag=True, help="Print the transition as JSON.")
@click.option("--canonical", "as_suite", is_flag=True, help="The same JSON on one line.")
@click.option("--run", is_flag=True, help="Follow the transitions until nothing is left to do.")
@click.option("--node-up", multiple=True, metavar="NODE", help="What if NODE were online.")
@click.option("--node-down", multiple=True, metavar="NODE", help="... had left in order.")
@click.option("--node-fail", multiple=True, metavar="NODE", help="... had been lost.")
@click.option(
    "--op-inject",
    multiple=True,
    metavar="RSC_TASK_MS@NODE=RC",
    help="... an operation had ended like this.",
)
@click.option("--quorum/--no-quorum", default=None, help="... there were quorum, or none.")
@click.option("--ticket-grant", multiple=True, metavar="TICKET")
@click.option("--ticket-revoke", multiple=True, metavar="TICKET")
@click.option("--ticket-standby", multiple=True, metavar="TICKET")
@click.option("--ticket-activate", multiple=True, metavar="TICKET")
@click.option(
    "--set-parameter", multiple=True, metavar="RSC:NAME=VALUE", help="... a parameter were changed."
)
def command(cib: str, at: str, **options: object) -> None:
    """Show what the cluster would do with the situation in the file CIB (- for standard input)."""
    gc.disable()  # one run, then the process ends
    try:
        text = sys.stdin.buffer.read() if cib == "-" else Path(cib).read_bytes()
        configuration, recorded = read(text, cib)
        now = moment_of(at, recorded)
        replayed = replay.verdict(text, configuration, recorded, now)
        configuration = _changed(configuration, recorded, now, options)
    except OSError as error:
        raise click.ClickException(f"{cib}: {error.strerror}; expected a CIB file") from error
    except (ConfigError, OperationError) as error:
        raise click.ClickException(str(error)) from error
    cluster = decide(configuration, recorded, now)
    if options["as_json"] or options["as_suite"]:
        indent = 2 if options["as_json"] else None
        click.echo(json.dumps(canonical(cluster), indent=indent))
        return
    click.echo("\n".join(plantext.lines_of(cluster)))
    if replayed:
        click.echo("\n" + "\n".join(replayed))
    if options["run"]:
        _follow(cluster, configuration, recorded, now)


def moment_of(at: str, recorded: Recorded) -> int:
    """Return the time to decide for: as given, as recorded, or now."""
    if at and at != "-":
        moment = calendar.parse(at)
        if moment is None:
            raise OperationError(f"time {at}; expected ISO 8601, e.g. 2026-11-24T12:00:00Z")
        return moment
    recorded_at = recorded.attributes.get("execution-date", "")
    return int(recorded_at) if recorded_at.isdigit() else int(time.time())


def _changed(
    configuration: Element, recorded: Recorded, now: int, options: dict[str, object]
) -> Element:
    def given(name: str) -> tuple[str, ...]:
        value = options[name]
        return value if isinstance(value, tuple) else ()

    for state in whatif.STATES:
        for node in given(f"node_{state}"):
            whatif.node_is(configuration, recorded, node, state)
    quorum = options["quorum"]
    if isinstance(quorum, bool):
        whatif.quorum(recorded, present=quorum)
    for change in ("grant", "revoke", "standby", "activate"):
        for ticket in given(f"ticket_{change}"):
            whatif.ticket(recorded, ticket, change)
    for text in given("set_parameter"):
        configuration = whatif.parameter(configuration, text)
    for text in given("op_inject"):
        whatif.inject(configuration, recorded, text, now)
    return configuration


def _follow(cluster: Cluster, configuration: Element, recorded: Recorded, now: int) -> None:
    """Run transitions on paper until one has nothing to do."""
    for number in range(2, MOST_TRANSITIONS):
        execute(cluster)
        cluster = decide(configuration, recorded, now)
        lines = plantext.lines_of(cluster)
        if lines[1] == "  nothing to do":
            click.echo(f"\nAfter {number - 1} transition(s): nothing left to do")
            return
        click.echo(f"\n{number}. " + "\n".join(lines))
    raise click.ClickException(f"no end after {MOST_TRANSITIONS} transitions")
