"""`standfest realserver`: make this machine a real server of a service, and take it back."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import click

from standfest.cli.places import run_dir_option
from standfest.core.setup import advice, realserver
from standfest.daemons.setup import Keeper, keeper
from standfest.model.balancing import Forwarding
from standfest.model.errors import OperationError
from standfest.model.setup import Step, to_json
from standfest.model.vrrp import IPAddress

EXIT_REFUSED = 1
METHODS = {one.value.lower(): one for one in Forwarding}

vip_option = click.option("--vip", default="", metavar="A[,B...]", help="Virtual addresses.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
gateway_option = click.option("--gateway", default="", help="NAT: the director's address here.")
interface_option = click.option(
    "--interface", default="", help="The interface that faces the director, where it matters."
)


@click.group(name="realserver")
def command() -> None:
    """Make this machine a real server (dr, tun or nat), and put everything back."""


@command.command()
@vip_option
@click.option("--method", type=click.Choice(list(METHODS)), required=True)
@gateway_option
@interface_option
@click.option("--dry-run", is_flag=True, help="Print the plan, change nothing.")
@json_option
@run_dir_option
def up(
    vip: str, method: str, gateway: str, interface: str, run_dir: Path, *, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Set the machine up; what is so already stays as it is."""
    wanted = _wanted(vip, method, gateway, interface)
    with _one_line(), keeper(run_dir) as held:
        plans = realserver.plans(wanted, held.machine.look(realserver.kinds(wanted)))
        if dry_run:
            steps = tuple({str(one): one for plan in plans.values() for one in plan}.values())
            _print_plan(steps, held, as_json=as_json)
            return
        changed = held.up(plans)
    if as_json:
        document = {"entries": list(plans), "changed": [to_json(step) for step in changed]}
        click.echo(json.dumps(document, indent=2))
        return
    for step in changed:
        click.echo(step)
    click.echo(f"{', '.join(plans)}: {'up' if changed else 'was up already'}")


@command.command()
@vip_option
@click.option("--method", type=click.Choice(list(METHODS)))
@json_option
@run_dir_option
def down(vip: str, method: str | None, run_dir: Path, *, as_json: bool) -> None:
    """Put back what `up` has changed: for these addresses, or for all."""
    with _one_line(), keeper(run_dir) as held:
        names = realserver.entries_of(held.ledger().entries, _addresses(vip), method or "")
        steps, left = held.down(names)
    if as_json:
        document = {"entries": list(names), "undone": [to_json(s) for s in steps], "left": left}
        click.echo(json.dumps(document, indent=2))
        return
    for step in steps:
        click.echo(step)
    for line in left:
        click.echo(line, err=True)
    click.echo(f"{', '.join(names)}: down" if names else "nothing is up that could be put back")


@command.command()
@vip_option
@click.option("--method", type=click.Choice(list(METHODS)))
@json_option
@run_dir_option
def show(vip: str, method: str | None, run_dir: Path, *, as_json: bool) -> None:
    """Show what is set up, and what of it is not so any more; exit status 1 if something is not."""
    with _one_line(), keeper(run_dir) as held:
        ledger = held.ledger()
        names = realserver.entries_of(ledger.entries, _addresses(vip), method or "")
        rows = [
            (name, step, held.machine.holds(step), ledger.changed(step.key))
            for name in names
            for step in ledger.entries[name]
        ]
    if as_json:
        document: dict[str, list[object]] = {name: [] for name in names}
        for name, step, holds, ours in rows:
            document[name].append({**to_json(step), "holds": holds, "ours": ours})
        click.echo(json.dumps(document, indent=2))
    elif not rows:
        click.echo("nothing is set up")
    for name in names if not as_json else ():
        click.echo(name)
        for _, step, holds, ours in (row for row in rows if row[0] == name):
            origin = "" if ours else " (was so before)"
            click.echo(f"  {step}{origin}" if holds else f"  NOT SO ANY MORE: {step}")
    sys.exit(0 if all(row[2] for row in rows) else EXIT_REFUSED)


@command.command()
@vip_option
@click.option("--method", type=click.Choice(list(METHODS)), required=True)
@gateway_option
@interface_option
@json_option
@run_dir_option
def check(
    vip: str, method: str, gateway: str, interface: str, run_dir: Path, *, as_json: bool
) -> None:
    """Say what keeps this machine from being such a server; exit status 1 if anything does."""
    wanted = _wanted(vip, method, gateway, interface)
    with _one_line(), keeper(run_dir) as held:
        situation = held.machine.look()
        found = advice.of_server(wanted, situation)
    if as_json:
        click.echo(json.dumps([one.as_json() for one in found], indent=2))
    else:
        for one in found:
            click.echo(one)
        click.echo(advice.summary(found))
    sys.exit(EXIT_REFUSED if any(one.error for one in found) else 0)


def _print_plan(steps: tuple[Step, ...], held: Keeper, *, as_json: bool) -> None:
    rows = [(step, held.machine.holds(step)) for step in steps]
    if as_json:
        click.echo(json.dumps([{**to_json(s), "holds": holds} for s, holds in rows], indent=2))
        return
    for number, (step, holds) in enumerate(rows, 1):
        why = f"  ({step.why})" if step.why else ""
        click.echo(f"{number}. {step}{why}{'; so already' if holds else ''}")
    click.echo("`down` goes through this list backwards and puts back what was there before")


def _wanted(vip: str, method: str, gateway: str, interface: str) -> realserver.Wanted:
    vips = _addresses(vip)
    way = METHODS[method]
    if not vips and way is not Forwarding.NAT:
        raise click.UsageError(f"--method {method} needs --vip, the service's addresses")
    if gateway and way is not Forwarding.NAT:
        raise click.UsageError(f"--gateway is for nat; under {method} answers leave as before")
    gateways = _addresses(gateway, "--gateway")
    if len(gateways) > 1:
        raise click.UsageError(f"--gateway {gateway}: expected one address")
    return realserver.Wanted(vips, way, gateways[0] if gateways else None, interface)


def _addresses(text: str, option: str = "--vip") -> tuple[IPAddress, ...]:
    found = []
    for word in text.split(",") if text else ():
        try:
            found.append(ip_address(word.strip()))
        except ValueError:
            message = (
                f"{option}: {word.strip()!r} is not an address; expected 192.0.2.1 or 2001:db8::1"
            )
            raise click.UsageError(message) from None
        if found[-1].is_multicast or found[-1].is_unspecified or found[-1].is_loopback:
            raise click.UsageError(f"{option}: {word.strip()} is no unicast address of a network")
    return tuple(dict.fromkeys(found))


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except OperationError as error:
        click.echo(f"standfest: {error}", err=True)
        sys.exit(EXIT_REFUSED)
