"""`standfest firewall`: what a director's packet filter needs: shown, done, and undone."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from standfest.adapters.linux import nfttable
from standfest.cli.places import run_dir_option
from standfest.config import hacf
from standfest.core.setup import filtertext, firewall
from standfest.daemons.director.settings import read_configuration
from standfest.daemons.included import text_of
from standfest.daemons.setup import keeper
from standfest.model.errors import ConfigError, OperationError
from standfest.model.setup import Situation, Step, to_json

ENTRY = "firewall"
EXIT_REFUSED = 1
EXIT_CONFIGURATION = 78  # EX_CONFIG, sysexits.h

file_argument = click.argument("file", required=False, type=click.Path(dir_okay=False))
ha_option = click.option(
    "--ha-dir", type=click.Path(path_type=Path), help="Read ha.cf there, too: heartbeats."
)
iptables_option = click.option("--iptables", is_flag=True, help="Print iptables commands instead.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(name="firewall")
def command() -> None:
    """Let through what directors need, in an nftables table of our own, or print what to add."""


@command.command("plan")
@file_argument
@ha_option
@iptables_option
@json_option
@run_dir_option
def show(
    file: str | None, ha_dir: Path | None, run_dir: Path, *, iptables: bool, as_json: bool
) -> None:
    """Print what keepalived.conf and ha.cf need, with reasons; nothing is changed."""
    with _one_line(), keeper(run_dir) as held:
        wanted = _plan(file, ha_dir, held.machine.look())
        holds = [held.machine.holds(step) for step in wanted.settings]
        refusing = nfttable.refusing_chains(filtertext.TABLE)
    if as_json:
        click.echo(json.dumps(_document(wanted, refusing), indent=2))
        return
    for step, so in zip(wanted.settings, holds, strict=True):
        name, value = step.key.removeprefix("sysctl "), str(step).rpartition(" ")[2]
        click.echo(f"# {step.why}{'; it is so already' if so else ''}")
        click.echo(f"sysctl -w {name}={value}")
    if iptables:
        for rule in wanted.rules:
            click.echo(f"# {rule.why}")
            for line in filtertext.iptables(rule):
                click.echo(line)
    else:
        click.echo(f"table {filtertext.FAMILY} {filtertext.TABLE} {{")
        click.echo(filtertext.table(wanted).text)
        click.echo("}")
    for note in wanted.notes:
        click.echo(f"# {note}")
    _warn(wanted, refusing, "#")


@command.command()
@file_argument
@ha_option
@json_option
@run_dir_option
def apply(file: str | None, ha_dir: Path | None, run_dir: Path, *, as_json: bool) -> None:
    """Load the table in one transaction and set what it needs; nobody else's rules are touched."""
    with _one_line(), keeper(run_dir) as held:
        wanted = _plan(file, ha_dir, held.machine.look())
        changed = held.up({ENTRY: (*wanted.settings, *_table(wanted))})
        refusing = nfttable.refusing_chains(filtertext.TABLE)
    if as_json:
        document = {**_document(wanted, refusing), "changed": [to_json(one) for one in changed]}
        click.echo(json.dumps(document, indent=2))
        return
    for step in changed:
        click.echo(step)
    click.echo("the firewall is as planned" if changed else "the firewall was as planned already")
    _warn(wanted, refusing, "warning:")


@command.command()
@json_option
@run_dir_option
def remove(run_dir: Path, *, as_json: bool) -> None:
    """Remove the table and put the settings back as they were before `apply`."""
    with _one_line(), keeper(run_dir) as held:
        there = ENTRY in held.ledger().entries
        steps, left = held.down([ENTRY])
    if as_json:
        document = {"undone": [to_json(step) for step in steps], "left": left}
        click.echo(json.dumps(document, indent=2))
        return
    for step in steps:
        click.echo(step)
    for line in left:
        click.echo(line, err=True)
    click.echo("the firewall is as it was" if there else "nothing was applied")


def _plan(file: str | None, ha_dir: Path | None, situation: Situation) -> firewall.Plan:
    if file is None and ha_dir is None:
        raise click.UsageError("expected a keepalived.conf, or --ha-dir with an ha.cf")
    configuration = read_configuration(file) if file is not None else None
    heartbeat = None
    if ha_dir is not None:
        path = ha_dir / "ha.cf"
        heartbeat = hacf.parse(text_of(path), str(path))[0]
    director = configuration.director if configuration is not None else None
    balancer = configuration.balancer if configuration is not None else None
    return firewall.plan(director, balancer, heartbeat, situation)


def _table(wanted: firewall.Plan) -> tuple[Step, ...]:
    return (filtertext.table(wanted),) if wanted.rules else ()


def _document(
    wanted: firewall.Plan, refusing: tuple[tuple[str, str, str, str], ...]
) -> dict[str, object]:
    return {
        "settings": [to_json(step) for step in wanted.settings],
        "rules": [
            {
                "chain": rule.chain,
                "why": rule.why,
                "nftables": list(filtertext.nft(rule)),
                "iptables": list(filtertext.iptables(rule)),
            }
            for rule in wanted.rules
        ],
        "notes": list(wanted.notes),
        "refusing": [" ".join(chain) for chain in refusing],
    }


def _warn(
    wanted: firewall.Plan, refusing: tuple[tuple[str, str, str, str], ...], mark: str
) -> None:
    """Say which chains drop all the same, and what has to be added to them."""
    for hook, family, table, chain in refusing:
        rules = [rule for rule in wanted.rules if rule.chain == hook]
        if not rules:
            continue
        click.echo(
            f"{mark} chain {family} {table} {chain} drops what it does not accept, and no other "
            "table's accept changes that; add to it:"
        )
        for rule in rules:
            for line in filtertext.nft(rule):
                click.echo(f"{mark}   nft add rule {family} {table} {chain} {line}")


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        for finding in error.findings:
            click.echo(finding, err=True)
        sys.exit(EXIT_CONFIGURATION)
    except OperationError as error:
        click.echo(f"standfest: {error}", err=True)
        sys.exit(EXIT_REFUSED)
