"""`standfest balance`: run a balancer alone, look at one that runs, drain its servers."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from standfest.cli import balance_table
from standfest.cli.director import BACKEND
from standfest.daemons.balancer import control
from standfest.model.errors import OperationError

EXIT_NO_BALANCER = 69  # EX_UNAVAILABLE, sysexits.h
EXIT_NOT_DRAINED = 75  # EX_TEMPFAIL, sysexits.h
POLL_S = 0.5

NAME = click.option("--name", default="", help="Name of the balancer, if it was given one.")
SERVICE = click.option("--service", default="", help="Only of this service, e.g. 192.0.2.1:80.")
SERVER = click.argument("server")


@click.group(name="balance")
def command() -> None:
    """Spread services over real servers: run it, look at it, take servers out."""


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--backend", type=BACKEND, default="auto", help="What forwards packets.")
@click.option("--pid-file", type=click.Path(path_type=Path), help="Write the process id there.")
@click.option("--name", default="", help="Tell balancers in one network namespace apart.")
def run(file: Path, backend: str, pid_file: Path | None, name: str) -> None:
    """Run the virtual servers of a keepalived.conf, without its virtual routers, until SIGTERM.

    SIGHUP reads the file again; what did not change is not touched.
    """
    words = [sys.executable, "-m", "standfest.daemons.balancer.main", str(file)]
    words += ["--backend", backend, "--name", name]
    if pid_file is not None:
        words += ["--pid-file", str(pid_file)]
    os.execv(sys.executable, words)  # a fresh, small process: what this one imported is gone


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--rate", is_flag=True, help="Count for a second, and show what each one carries.")
@NAME
def status(as_json: bool, rate: bool, name: str) -> None:
    """Show services, servers, their weights and connections, and why a server is down."""
    found = _ask({"verb": "status"}, name)
    if rate:
        began = time.monotonic()
        time.sleep(1.0)
        later = _ask({"verb": "status"}, name)
        found = balance_table.with_rates(found, later, time.monotonic() - began)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for line in balance_table.lines(found, now=time.time()):
        click.echo(line)


@command.command()
@SERVER
@SERVICE
@click.option("--wait", is_flag=True, help="Return when its last connection has ended.")
@click.option("--timeout", default=0.0, help="Seconds after which what is left does not count.")
@NAME
def drain(server: str, service: str, wait: bool, timeout: float, name: str) -> None:
    """Give a server no new connections; those that it has go on.

    SERVER is ADDRESS (all its ports) or ADDRESS:PORT. Exit status 75: with --wait and --timeout,
    connections were left.
    """
    click.echo(_do("drain", server, service, name, seconds=timeout))
    if wait:
        sys.exit(_wait(server, service, name))


@command.command()
@SERVER
@SERVICE
@NAME
def undrain(server: str, service: str, name: str) -> None:
    """Let a server take part again."""
    click.echo(_do("undrain", server, service, name))


@command.command()
@SERVER
@SERVICE
@NAME
def check(server: str, service: str, name: str) -> None:
    """Probe a server now, out of turn; the log and `status` say what is found."""
    click.echo(_do("check", server, service, name))


@command.command()
@click.option("--off", is_flag=True, help="Remove it at the end after all.")
@NAME
def keep(off: bool, name: str) -> None:
    """Leave what is forwarded as it is when the balancer ends: before an upgrade of Standfest."""
    _ask({"verb": "keep", "on": not off}, name)


def _wait(server: str, service: str, name: str) -> int:
    """Wait until servers are drained; return the exit status."""
    while True:
        left, waiting = _remaining(_ask({"verb": "status"}, name), server, service)
        if not waiting:
            if left:
                click.echo(f"{left} connections are left", err=True)
            return EXIT_NOT_DRAINED if left else 0
        time.sleep(POLL_S)


def _remaining(found: dict[str, Any], server: str, service: str) -> tuple[int, bool]:
    """Return (connections of the servers that are meant, whether one is still being drained)."""
    left, waiting = 0, False
    for one in found["services"]:
        if service and not any(key.endswith(service) for key in one["reached_at"]):
            continue
        for real in one["servers"]:
            if real["server"] == server or balance_table.address(real["server"]) == server:
                left += real["active"]
                waiting = waiting or real["state"] == "draining"
    return left, waiting


def _do(verb: str, server: str, service: str, name: str, *, seconds: float = 0.0) -> str:
    question = {"verb": verb, "server": server, "service": service, "seconds": seconds}
    return str(_ask(question, name)["done"])


def _ask(question: dict[str, object], name: str) -> dict[str, Any]:
    try:
        return control.ask(question, name)
    except OperationError as error:
        click.echo(f"standfest: {error}", err=True)
        sys.exit(EXIT_NO_BALANCER)
