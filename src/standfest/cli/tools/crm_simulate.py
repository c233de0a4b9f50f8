"""`crm_simulate`: what the cluster would do with a situation, and what comes of it.

One transition, as Pacemaker's; `standfest simulate` follows them to the end.
"""

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from standfest.analysis import injection
from standfest.cli.simulate import moment_of
from standfest.cli.tools.codes import Exit, ToolError
from standfest.cli.tools.profiling import MAX_REPEATS, profile
from standfest.cli.tools.rehearsal import Asked, Rehearsal
from standfest.cli.tools.saying import Saying
from standfest.cli.tools.source import chosen
from standfest.cli.tools.tool import Callback, Output, ToolCommand, output_options, tool
from standfest.config.compressed import plain, read_file
from standfest.config.recorded import read
from standfest.core.scheduler.values import boolean
from standfest.model import xml
from standfest.model.errors import ConfigError, OperationError

_FLAGS = (
    ("-L", "--live-check", "Take the running cluster's CIB."),
    ("-p", "--xml-pipe", "Read the CIB from standard input."),
    ("-R", "--run", "Show what the cluster would do."),
    ("-S", "--simulate", "Show that done, and the status after it."),
    ("-X", "--in-place", "As --simulate; the file becomes what comes of it."),
    ("-A", "--show-attrs", "Show node attributes."),
    ("-c", "--show-failcounts", "Show fail counts."),
    ("-s", "--show-scores", "Show the scores that decided."),
    ("-U", "--show-utilization", "Show capacities."),
    ("-a", "--all-actions", "In --save-dotfile, what is not needed, too."),
    ("-Q", "--quiet", "Show scores only."),
)
_FILES = (
    ("-x", "--xml-file", "Read the CIB from this file."),
    ("-I", "--save-input", "Write the CIB as it was changed."),
    ("-O", "--save-output", "Write the CIB as it is afterwards."),
    ("-G", "--save-graph", "Write the transition as XML."),
    ("-D", "--save-dotfile", "Write it for graphviz."),
)
_SEVERAL = (
    ("-u", "--node-up", "NODE", "What if NODE were online."),
    ("-d", "--node-down", "NODE", "... had left in order."),
    ("-f", "--node-fail", "NODE", "... had been lost."),
    ("-i", "--op-inject", "RSC_TASK_MS@NODE=RC", "... an operation had ended like this."),
    ("-F", "--op-fail", "RSC_TASK_MS@NODE=RC", "... it ended so when it happens."),
    ("-g", "--ticket-grant", "TICKET", "... a ticket were granted."),
    ("-r", "--ticket-revoke", "TICKET", "... revoked."),
    ("-b", "--ticket-standby", "TICKET", "... put into standby."),
    ("-e", "--ticket-activate", "TICKET", "... taken out of standby."),
)
_VALUES = (
    ("-t", "--set-datetime", "TIME", "Decide as of this ISO 8601 time, not now."),
    ("-q", "--quorum", "BOOLEAN", "What if there were quorum, or none."),
    ("-w", "--watchdog", "BOOLEAN", "... nodes had a watchdog, or none."),
)


_PROFILE = click.option(
    *("-P", "--profile"),
    metavar="DIR",
    help="Say how long each situation of a directory takes; only -N and -t count beside it.",
)
_REPEAT = click.option(
    *("-N", "--repeat"),
    type=click.IntRange(0, MAX_REPEATS),
    default=1,
    metavar="N",
    help="With --profile, decide each N times.",
)


def simulator(name: str, *legacy: str) -> Callable[[Callback], ToolCommand]:
    """Make a function a simulator; legacy: short options that it has not (Heartbeat 2's -X)."""

    def decorate(callback: Callback) -> ToolCommand:
        command = output_options()(callback)
        short = ("-X",) if "-X" in legacy else ()
        text = click.option(
            *short, "--xml-text", metavar="XML", hidden=not short, help="Take this text as CIB."
        )
        command = _PROFILE(_REPEAT(text(command)))
        for flag, long, metavar, words in (*_SEVERAL, *_VALUES):
            many = (flag, long, metavar, words) in _SEVERAL
            option = click.option(flag, long, multiple=many, metavar=metavar, help=words)
            command = option(command)
        for flag, long, words in _FILES:
            command = click.option(flag, long, metavar="FILE", help=words)(command)
        for flag, long, words in _FLAGS:
            names = (long,) if flag in legacy else (flag, long)
            command = click.option(*names, is_flag=True, help=words)(command)
        return tool(name)(click.argument("rest", nargs=-1, metavar="")(command))

    return decorate


@simulator("crm_simulate")
def command(*, output: Output, **options: Any) -> None:
    """Show what the cluster would do with a situation, and how it would change it."""
    simulate(output, **options)


def simulate(output: Output, **options: Any) -> None:
    """Do what the options ask for; both names of the tool."""
    if options["profile"] is not None:
        at = options["set_datetime"] or ""
        saying = Saying("crm_simulate", output)
        code = profile(saying, options["profile"], options["repeat"] or 1, at)
        click.get_current_context().exit(code)
    gc.disable()  # one run, then the process ends
    try:
        path, text = _input(options)
        configuration, recorded = read(text, path)
        asked = _asked(options, moment_of(options["set_datetime"] or "", recorded))
        root = xml.parse(text, path)
    except ConfigError as error:
        raise ToolError(Exit.BAD_DATA, f"crm_simulate: {error}") from error
    except OperationError as error:
        raise ToolError(Exit.USAGE, f"crm_simulate: {error}") from error
    rehearsal = Rehearsal(asked, root, configuration, recorded)
    try:
        rehearsal.play()
    except OperationError as error:
        raise ToolError(Exit.NO_SUCH, f"crm_simulate: {error}") from error
    for name, kept in rehearsal.files.items():
        _write(path if name == "in_place" else options[name], kept)
    if output.as_xml:
        output.xml(*rehearsal.page.elements)
    elif options["quiet"]:
        lines = [*rehearsal.scores, *([""] if rehearsal.scores and asked.simulate else [])]
        output.text("".join(f"{line}\n" for line in lines))
    else:
        output.text(rehearsal.page.text)


def _input(options: dict[str, Any]) -> tuple[str, bytes]:
    """Return a name for the CIB, and its text; raises ToolError if there is none."""
    file, given = options["xml_file"], options["xml_text"]
    if file is not None or options["xml_pipe"]:
        path = file if file is not None else "-"
        try:
            return path, read_file(path)
        except OperationError as error:
            raise ToolError(Exit.NO_INPUT, f"crm_simulate: {error}") from error
    if given is not None:
        return "the given text", plain(given.encode(), "the given text")
    return "the cluster's CIB", xml.serialise(chosen().read()).encode()


def _asked(options: dict[str, Any], now: int) -> Asked:
    failing = tuple(injection.parse(text) for text in options["op_fail"])
    injected = tuple(options["op_inject"])
    for text in injected:
        injection.parse(text)
    changes = [
        (kind, change, name)
        for kind, words in (
            ("node", ("up", "down", "fail")),
            ("ticket", ("grant", "revoke", "standby", "activate")),
        )
        for change in words
        for name in options[f"{kind}_{change}"]
    ]
    if options["in_place"] and options["xml_file"] is None:
        raise OperationError("--in-place without --xml-file; expected the file to change")
    return Asked(
        now=now,
        at=options["set_datetime"] or "",
        run=options["run"],
        simulate=options["simulate"] or options["in_place"],
        scores=options["show_scores"],
        utilization=options["show_utilization"],
        attributes=options["show_attrs"],
        failures=options["show_failcounts"],
        everything=options["all_actions"],
        changes=(*changes, *(("operation", "", text) for text in injected)),
        failing=failing,
        quorum=_boolean(options["quorum"], "--quorum"),
        watchdog=_boolean(options["watchdog"], "--watchdog"),
        files=tuple(
            name
            for name in ("save_input", "save_output", "save_graph", "save_dotfile", "in_place")
            if options[name]
        ),
    )


def _boolean(text: str | None, option: str) -> str:
    if text is None:
        return ""
    if boolean(text, True) != boolean(text, False):
        raise OperationError(f"{option} is {text}; expected true or false")
    return text


def _write(path: str, text: str) -> None:
    try:
        if path == "-":
            sys.stdout.write(text)
        else:
            Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        problem = f"{path}: {error.strerror}; expected a file to write"
        raise ToolError(Exit.CANNOT_CREATE, f"crm_simulate: {problem}") from error
