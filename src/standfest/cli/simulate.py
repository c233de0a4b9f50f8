"""`standfest simulate CIB`: what the cluster would do, and what it comes to."""

import gc
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from standfest.analysis import injection, plantext, replay, tables, whatif
from standfest.analysis.canonical import canonical, complete
from standfest.analysis.follow import MOST_TRANSITIONS, Step, at_rest, follow
from standfest.config.compressed import read_file
from standfest.config.recorded import read
from standfest.core.scheduler import calendar
from standfest.model.element import Element
from standfest.model.errors import ConfigError, OperationError
from standfest.model.history import Recorded

Command = Callable[..., None]


def _what_if(command: Command) -> Command:
    """Add the switches that change the situation; the letters are crm_simulate's."""
    result = "RSC_TASK_MS@NODE=RC"
    several = (
        ("--node-up", "-u", "NODE", "What if NODE were online."),
        ("--node-down", "-d", "NODE", "... had left in order."),
        ("--node-fail", "-f", "NODE", "... had been lost."),
        ("--op-inject", "-i", result, "... an operation had ended like this."),
        ("--op-fail", "-F", result, "... it ended like this when it happens (with --run)."),
        ("--ticket-grant", "-g", "TICKET", "... a ticket were granted."),
        ("--ticket-revoke", "-r", "TICKET", "... revoked."),
        ("--ticket-standby", "-b", "TICKET", "... put into standby."),
        ("--ticket-activate", "-e", "TICKET", "... taken out of standby."),
    )
    for long, short, metavar, text in reversed(several):
        command = click.option(long, short, multiple=True, metavar=metavar, help=text)(command)
    parameter = click.option(
        "--set-parameter",
        multiple=True,
        metavar="RSC:NAME=VALUE",
        help="... a parameter were changed.",
    )
    watchdog = click.option(
        "--watchdog/--no-watchdog", default=None, help="... nodes had a watchdog, or none."
    )
    quorum = click.option(
        "--quorum/--no-quorum", default=None, help="... there were quorum, or none."
    )
    return quorum(watchdog(parameter(command)))


def _shown(command: Command) -> Command:
    """Add the switches that say what is shown and kept."""
    flags = (
        ("--scores", "-s", "Show the scores that decided."),
        ("--utilization", "-U", "Show capacities, before and after."),
        ("--show-attrs", "-A", "Show node attributes."),
        ("--show-failcounts", "-c", "Show fail counts."),
        ("--all-actions", "-a", "In --save-dotfile, what is not needed, too."),
    )
    files = (
        ("--save-graph", "-G", "Write the first transition as XML."),
        ("--save-dotfile", "-D", "Write it for graphviz."),
        ("--save-input", "-I", "Write the CIB with what was changed."),
        ("--save-output", "-O", "Write the CIB as it is afterwards."),
    )
    for long, short, text in reversed(files):
        kind = click.Path(dir_okay=False)
        command = click.option(long, short, type=kind, metavar="FILE", help=text)(command)
    for long, short, text in reversed(flags):
        command = click.option(long, short, is_flag=True, help=text)(command)
    return command


@click.command(name="simulate")
@click.argument("cib", type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "--at", "-t", default="", metavar="TIME", help="Decide as of this ISO 8601 time, not now."
)
@click.option("--run", "-S", is_flag=True, help="Follow the transitions until nothing is left.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@click.option("--canonical", "as_suite", is_flag=True, help="Only the transition, on one line.")
@_shown
@_what_if
def command(cib: str, at: str, **options: object) -> None:
    """Show what the cluster would do with the situation in the file CIB (- for standard input).

    CIB may be compressed (gzip, bzip2, xz), as Pacemaker's pe-input files are.
    """
    gc.disable()  # one run, then the process ends
    try:
        text = read_file(cib)
        configuration, recorded = read(text, cib)
        now = moment_of(at, recorded)
        replayed = replay.verdict(text, configuration, recorded, now)
        configuration = _changed(configuration, recorded, now, options)
        failing = [injection.parse(text) for text in _given(options, "op_fail")]
        for one in failing:
            whatif.node_record(configuration, recorded, one.node)
            injection.agent_of(configuration, one.resource)
        if failing and not options["run"]:
            raise OperationError("--op-fail without --run; expected both: it fails on the way")
        _save(options, "save_input", configuration, recorded, now)
        _simulate(configuration, recorded, now, options, failing, replayed)
        _save(options, "save_output", configuration, recorded, now)
    except (ConfigError, OperationError) as error:
        raise click.ClickException(str(error)) from error


def moment_of(at: str, recorded: Recorded) -> int:
    """Return the time to decide for: as given, as recorded, or now."""
    if at and at != "-":
        moment = calendar.parse(at)
        if moment is None:
            raise OperationError(f"time {at}; expected ISO 8601, e.g. 2026-11-24T12:00:00Z")
        return moment
    recorded_at = recorded.attributes.get("execution-date", "")
    return int(recorded_at) if recorded_at.isdecimal() else int(time.time())


def _given(options: dict[str, object], name: str) -> tuple[str, ...]:
    value = options[name]
    return value if isinstance(value, tuple) else ()


def _changed(
    configuration: Element, recorded: Recorded, now: int, options: dict[str, object]
) -> Element:
    quorum, watchdog = options["quorum"], options["watchdog"]
    if isinstance(quorum, bool):
        whatif.quorum(recorded, present=quorum)
    if isinstance(watchdog, bool):
        configuration = whatif.watchdog(configuration, present=watchdog)
    for state in whatif.STATES:
        for node in _given(options, f"node_{state}"):
            whatif.node_is(configuration, recorded, node, state)
    for change in ("grant", "revoke", "standby", "activate"):
        for ticket in _given(options, f"ticket_{change}"):
            whatif.ticket(recorded, ticket, change)
    for text in _given(options, "set_parameter"):
        configuration = whatif.parameter(configuration, text)
    for text in _given(options, "op_inject"):
        whatif.inject(configuration, recorded, text, now)
    return configuration


def _save(
    options: dict[str, object], name: str, configuration: Element, recorded: Recorded, now: int
) -> None:
    if options[name]:
        from standfest.analysis import savedcib  # noqa: PLC0415 (few need it)

        _write(str(options[name]), savedcib.document(configuration, recorded, now))


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperationError(f"{path}: {error.strerror}; expected a file to write") from error


def _simulate(  # noqa: PLR0917 (the parts of one request)
    configuration: Element,
    recorded: Recorded,
    now: int,
    options: dict[str, object],
    failing: list[injection.Injection],
    replayed: list[str],
) -> None:
    """Decide, and print; with --run until nothing is left to do."""
    steps = follow(configuration, recorded, now, failing)
    first = next(steps)
    _save_graph(first, options)
    further = steps if options["run"] else iter(())
    if options["as_suite"]:
        click.echo(json.dumps(canonical(first.cluster)))
        last, count = _last(first, further)
    elif options["as_json"]:
        last, count = _as_json(first, further, options)
    else:
        _tables(first, options)
        click.echo("\n".join([*plantext.lines_of(first.cluster, first.failed), *replayed]))
        last, count = _last(first, _printed(further))
    if options["save_output"] and not options["run"]:
        next(steps, None)  # carries the transition out
    if options["run"] and not at_rest(last.cluster):
        why = "it would go on" if count >= MOST_TRANSITIONS else "the last one would be repeated"
        raise OperationError(f"no end after {count} transitions: {why}")


def _last(first: Step, further: Iterator[Step]) -> tuple[Step, int]:
    """Return the last step, and how many there were."""
    steps = deque(enumerate(further, start=2), maxlen=1)
    count, last = steps[0] if steps else (1, first)
    return last, count


def _printed(further: Iterator[Step]) -> Iterator[Step]:
    for number, step in enumerate(further, start=2):
        if not at_rest(step.cluster):
            lines = plantext.lines_of(step.cluster, step.failed)
            click.echo(f"\n{number}. " + "\n".join(lines))
        else:
            click.echo(f"\nAfter {number - 1} transition(s): nothing left to do")
            click.echo("\n".join(plantext.status_of(step.cluster)))
        yield step


def _as_json(first: Step, further: Iterator[Step], options: dict[str, object]) -> tuple[Step, int]:
    scores, utilization = bool(options["scores"]), bool(options["utilization"])
    found = complete(first, scores=scores, utilization=utilization)
    steps, last = [], first
    for last in further:
        steps.append(complete(last, scores=scores, utilization=utilization))
    if options["run"]:
        found["transitions"] = steps
    click.echo(json.dumps(found, indent=2))
    return last, 1 + len(steps)


def _save_graph(step: Step, options: dict[str, object]) -> None:
    if not options["save_graph"] and not options["save_dotfile"]:
        return
    from standfest.analysis import graphfile  # noqa: PLC0415 (few need it)

    if options["save_graph"]:
        _write(str(options["save_graph"]), graphfile.as_xml(step.cluster))
    if options["save_dotfile"]:
        text = graphfile.as_dot(step.cluster, everything=bool(options["all_actions"]))
        _write(str(options["save_dotfile"]), text)


def _tables(step: Step, options: dict[str, object]) -> None:
    for option, lines in (
        ("show_attrs", tables.attribute_lines),
        ("show_failcounts", tables.failure_lines),
        ("utilization", tables.utilization_lines),
        ("scores", tables.score_lines),
    ):
        if options[option]:
            click.echo("\n".join(lines(step.cluster)) + "\n")
