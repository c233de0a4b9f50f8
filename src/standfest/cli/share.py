"""`standfest share`: answer for an address together with other nodes, and see who answers what."""

import contextlib
import dataclasses
import json
import os
import sys
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any, NoReturn

import click

from standfest.cli import share_answer, share_table
from standfest.cli.places import run_dir_option
from standfest.config import share
from standfest.core.setup.advice import Advice, summary
from standfest.core.sharing.hashing import bucket_of, clusterip_bucket_of
from standfest.daemons.places import DEFAULT_STATE_DIR
from standfest.daemons.reading import text_of
from standfest.daemons.sharing import checking
from standfest.daemons.sharing.reading import Task, load
from standfest.model.errors import ConfigError, Finding, OperationError
from standfest.model.sharefile import ShareFile
from standfest.model.sharing import Flow, HashMode, Layout, Target
from standfest.runtime import channel
from standfest.runtime.frames import Command, Query, Reply, Value

EXIT_REFUSED = 1
EXIT_NO_DAEMON = 69  # EX_UNAVAILABLE, sysexits.h
EXIT_NOT_DRAINED = 75  # EX_TEMPFAIL
EXIT_CONFIGURATION = 78  # EX_CONFIG
POLL_S = 0.2

MEMBER = click.argument("member", default="")
FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
OF = click.option("--of", "address", default="", metavar="NAME", help="Name of the shared address.")


class FileOrCommand(click.Group):
    """A group that takes a first word which is none of its commands for the file to run."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the words mean."""
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)


@click.group(name="share", cls=FileOrCommand)
def command() -> None:
    """Share an address with other nodes: `standfest share FILE` takes part in it.

    A FILE that is called like one of the commands is written ./FILE.
    """


command.add_command(share_answer.answer)


@command.command()
@FILE
@click.option("--name", default="", help="Which member this is; the host's name by default.")
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path),
    default=DEFAULT_STATE_DIR,
    show_default=True,
    help="What outlives a restart.",
)
@run_dir_option
def run(file: Path, name: str, state_dir: Path, run_dir: Path) -> None:
    """Take part in the shared address of FILE until SIGTERM (`standfest share FILE` is enough).

    SIGHUP reads the file and the keys again; SIGTERM leaves when the others have taken over.
    """
    words = [sys.executable, "-m", "standfest.daemons.sharing.main", str(file)]
    words += ["--name", name, "--state-dir", str(state_dir), "--run-dir", str(run_dir)]
    os.execv(sys.executable, words)  # a fresh, small process: what this one imported is gone


@command.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--client", default="", metavar="ADDR[:PORT]", help="Say who serves this client.")
@click.option("--port", default=0, metavar="DEST", help="The port that the client asks for.")
@OF
@run_dir_option
def status(
    file: Path | None, *, as_json: bool, client: str, port: int, address: str, run_dir: Path
) -> None:
    """Show members, who answers how much, and who serves a client.

    FILE is only needed to tell several shared addresses of this node apart; --of does that, too.
    """
    found = _status(_socket(run_dir, _name_in(file) if file else address))
    if client:
        found = {**found, "client": _serving(found, client, port)}
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for line in share_table.client_lines(found) if client else share_table.lines(found):
        click.echo(line)


@command.command()
@MEMBER
@click.option("--wait", is_flag=True, help="Return when the member answers nothing new any more.")
@click.option("--timeout", default=30.0, show_default=True, help="Seconds to wait at most.")
@OF
@run_dir_option
def drain(member: str, wait: bool, timeout: float, address: str, run_dir: Path) -> None:
    """Let the other members take over what a member answers; its connections stay with it.

    MEMBER is this one by default; another one is asked through the network. Exit status 75: with
    --wait, it still answers something.
    """
    path = _socket(run_dir, address)
    click.echo(_do(path, "drain", member))
    if wait:
        sys.exit(0 if _waited(path, member, timeout) else EXIT_NOT_DRAINED)


@command.command()
@MEMBER
@OF
@run_dir_option
def undrain(member: str, address: str, run_dir: Path) -> None:
    """Let a member take part again."""
    click.echo(_do(_socket(run_dir, address), "undrain", member))


@command.command()
@FILE
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--name", default="", help="Which member this is; the host's name by default.")
@click.option("--live", is_flag=True, help="On a member: look at the machine, ask the network.")
@click.option("--port", "ports", multiple=True, type=int, help="With --live: a service's port.")
@click.option("--router", "routers", multiple=True, help="With --live: besides the gateway.")
@run_dir_option
def check(
    file: Path,
    *,
    as_json: bool,
    name: str,
    live: bool,
    ports: tuple[int, ...],
    routers: tuple[str, ...],
    run_dir: Path,
) -> None:
    """Say whether a FILE can be used, and with --live whether the network is fit for it.

    Exit status 0: all right, perhaps with warnings; 1: something is wrong.
    """
    task, findings = _load(file, name)
    seen: tuple[Advice, ...] = ()
    if live and task is not None:
        seen = _live(task.file, run_dir, ports, _addresses(routers))
    right = task is not None and not any(one.error for one in seen)
    if as_json:
        found = [{**dataclasses.asdict(one), "severity": one.severity.value} for one in findings]
        told = {"live": [one.as_json() for one in seen]} if live else {}
        click.echo(json.dumps({"usable": task is not None, "findings": found, **told}, indent=2))
    else:
        for line in (*findings, *seen):
            click.echo(line)
        click.echo(f"the file: {'usable' if task is not None else 'not usable'}")
        if live and task is not None:
            click.echo(f"the network: {summary(seen)}")
    sys.exit(0 if right else 1)


def _load(file: Path, name: str) -> tuple[Task | None, tuple[Finding, ...]]:
    try:
        return load(file.absolute(), name)
    except ConfigError as error:
        return None, error.findings


def _live(
    file: ShareFile, run_dir: Path, ports: Sequence[int], routers: Sequence[IPv4Address]
) -> tuple[Advice, ...]:
    path = run_dir / f"share-{file.shared.name}.sock"
    status: dict[str, Any] | None = None
    deaf: tuple[str, ...] | None = None
    with contextlib.suppress(OperationError):
        status = json.loads(_reply(path, Query("status")).text)
        deaf = tuple(_reply(path, Command("probe")).text.split())
    return checking.judge(file, checking.look(file, status, deaf, routers), ports)


def _addresses(words: Sequence[str]) -> list[IPv4Address]:
    try:
        return [IPv4Address(word) for word in words]
    except ValueError as error:
        raise click.UsageError(f"--router: {error}") from None


# --- asking -----------------------------------------------------------------------------------


def _name_in(file: Path) -> str:
    try:
        found, _ = share.parse(text_of(file, "the file of a shared address"), str(file.absolute()))
    except ConfigError as error:
        click.echo(error, err=True)
        sys.exit(EXIT_CONFIGURATION)
    return found.shared.name


def _socket(run_dir: Path, name: str) -> Path:
    """Return where the member of this shared address is asked; of the only one without a name."""
    known = sorted(run_dir.glob("share-*.sock"))
    if name:
        return run_dir / f"share-{name}.sock"
    if len(known) > 1:
        names = ", ".join(path.stem.removeprefix("share-") for path in known)
        _end(f"several addresses are shared here; expected --of with one of {names}")
    return known[0] if known else run_dir / "share-NAME.sock"


def _ask(path: Path, value: Value) -> Reply:
    try:
        return _reply(path, value)
    except OperationError as error:
        _end(str(error))


def _reply(path: Path, value: Value) -> Reply:
    answer = channel.request(path, value)
    assert isinstance(answer, Reply), "a member answers with a Reply"
    return answer


def _end(problem: str) -> NoReturn:
    click.echo(f"standfest: {problem}", err=True)
    sys.exit(EXIT_NO_DAEMON)


def _status(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_ask(path, Query("status")).text)
    return found


def _do(path: Path, verb: str, member: str) -> str:
    reply = _ask(path, Command(verb, node=member.lower()))
    if not reply.accepted:
        click.echo(f"standfest: {reply.text}", err=True)
        sys.exit(EXIT_REFUSED)
    return reply.text


def _waited(path: Path, member: str, timeout_s: float) -> bool:
    """Return whether a member came to answer nothing in time."""
    end = time.monotonic() + timeout_s
    while True:
        for one in _status(path)["members"]:
            is_meant = one["name"] == member.lower() if member else one["here"]
            if is_meant and int(one["holds"], 16) == 0:
                return True
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)


# --- who serves whom --------------------------------------------------------------------------


def _serving(found: dict[str, Any], client: str, port: int) -> dict[str, Any]:
    """Return the bucket of a client, as the kernel computes it, and who answers it."""
    flow = _flow(client, port)
    layout = Layout(HashMode(found["mode"]), found["buckets"], found["seed"])
    if layout.mode is not HashMode.SOURCE_IP and not flow.source_port:
        raise click.UsageError(f"mode {layout.mode.value} asks for --client ADDR:PORT")
    if layout.mode is HashMode.SOURCE_IP_PORTS and not flow.destination_port:
        raise click.UsageError(f"mode {layout.mode.value} asks for --port")
    by_clusterip = found["target"] == Target.CLUSTERIP.value
    bucket = clusterip_bucket_of(layout, flow) if by_clusterip else bucket_of(layout, flow)
    servers = [one["name"] for one in found["members"] if int(one["holds"], 16) >> bucket & 1]
    return {
        "address": str(flow.source),
        "port": flow.source_port,
        "destination_port": flow.destination_port,
        "bucket": bucket,
        "served_by": servers,
    }


def _flow(client: str, port: int) -> Flow:
    host, source = client, "0"
    if client.startswith("["):
        host, _, rest = client[1:].partition("]")
        source = rest.removeprefix(":") or "0"
    elif client.count(":") == 1:
        host, _, source = client.partition(":")
    try:
        numbers = (int(source), port)
        if not all(0 <= number <= 65_535 for number in numbers):
            raise ValueError
        return Flow(ip_address(host), *numbers)
    except ValueError:
        expected = "ADDR, ADDR:PORT or [ADDR]:PORT, ports up to 65535"
        raise click.UsageError(f'--client is "{client}"; expected {expected}') from None
