"""`standfest ipvsadm ...`: the kernel's IPVS by ipvsadm's own command lines."""

import shlex
import socket
import sys
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

import click

from standfest.adapters.linux.ipvs import IpvsBackend
from standfest.config.ipvsadm import Names, parse
from standfest.model.errors import OperationError, WireError
from standfest.model.forwarding import IPAddress
from standfest.model.ipvstable import (
    Clear,
    Do,
    Order,
    Restore,
    Save,
    SetTimeouts,
    Show,
    ShowConnections,
    ShowDaemons,
    ShowTimeouts,
    StartDaemon,
    StopDaemon,
    Zero,
)
from standfest.monitor import ipvsadm as tables
from standfest.wire import ipvs

USAGE_ERROR, REFUSED = 2, 1
CONNECTIONS = Path("/proc/net/ip_vs_conn")
ABSENT = (
    "; this kernel has no IPVS (module ip_vs): `standfest balance run FILE` does the same "
    "with --backend nftables, xdp or proxy"
)


@click.command(
    name="ipvsadm",
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["-h", "--help"],
    },
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...]) -> None:
    """Obey a command line of ipvsadm(8): -A -E -D -a -e -d -L -C -S -R -Z --set --start-daemon.

    What is listed looks as ipvsadm shows it; what is saved has the thresholds, too. Exit status: 1
    when the kernel refuses, 2 when the command line is wrong.
    """
    try:
        order = parse(words, _names())
    except ValueError as error:
        click.echo(f"standfest ipvsadm: {error}", err=True)
        sys.exit(USAGE_ERROR)
    try:
        backend = IpvsBackend()
    except OperationError as error:
        click.echo(f"standfest ipvsadm: {error}{ABSENT}", err=True)
        sys.exit(REFUSED)
    sys.exit(_obey(backend, order))


def _obey(backend: IpvsBackend, order: Order) -> int:
    if isinstance(order, Restore):
        return _restore(backend, sys.stdin)
    try:
        _perform(backend, order)
    except (OperationError, WireError) as error:
        click.echo(f"standfest ipvsadm: {error}", err=True)
        return REFUSED
    return 0


def _restore(backend: IpvsBackend, lines: Iterable[str]) -> int:
    """Obey a command a line. All are read first: a mistake in one changes nothing."""
    orders: list[tuple[int, Order]] = []
    names = _names()
    for number, line in enumerate(lines, 1):
        words = shlex.split(line, comments=True)
        if words[:1] == ["ipvsadm"]:
            words = words[1:]
        if not words:
            continue
        try:
            order = parse(words, names)
        except ValueError as error:
            click.echo(f"standfest ipvsadm: line {number}: {error}", err=True)
            return USAGE_ERROR
        if not isinstance(order, Do | Clear | Zero | SetTimeouts | StartDaemon | StopDaemon):
            click.echo(f"standfest ipvsadm: line {number}: expected a change", err=True)
            return USAGE_ERROR
        orders.append((number, order))
    for number, order in orders:
        try:
            _perform(backend, order)
        except OperationError as error:
            click.echo(f"standfest ipvsadm: line {number}: {error}", err=True)
            return REFUSED
    return 0


def _perform(backend: IpvsBackend, order: Order) -> None:
    match order:
        case Do(change):
            try:
                backend.apply([change])
            except OperationError as error:
                raise OperationError(tables.refusal(change, str(error))) from error
        case Clear():
            backend.clear()
        case Zero(service):
            backend.zero(service)
        case SetTimeouts(tcp, tcp_fin, udp):
            backend.set_timeouts(tcp, tcp_fin, udp)
        case StartDaemon(master, settings):
            backend.start_sync(ipvs.MASTER if master else ipvs.BACKUP, settings, settings.id or 0)
        case StopDaemon(master):
            backend.stop_sync(ipvs.MASTER if master else ipvs.BACKUP)
        case _:
            _print(backend, order)


def _print(backend: IpvsBackend, order: Order) -> None:
    match order:
        case Show():
            _show(backend, order)
        case Save(numeric):
            listed = tables.in_order(backend.listing())
            _lines(tables.saved(listed, _naming(numeric)))
        case ShowTimeouts():
            tcp, fin, udp = backend.timeouts()
            click.echo(f"Timeout (tcp tcpfin udp): {tcp} {fin} {udp}")
        case ShowDaemons():
            for one in backend.daemons():
                click.echo(
                    f"{'master' if one.state == ipvs.MASTER else 'backup'} sync daemon "
                    f"(mcast={one.interface}, syncid={one.id}, maxlen={one.max_length}, "
                    f"group={one.group}, port={one.port}, ttl={one.ttl})"
                )
        case ShowConnections(numeric, engines):
            text = CONNECTIONS.read_text(encoding="ascii")
            found = ipvs.read_connections(text, engines=engines)
            _lines(tables.connections(found, _naming(numeric)))
        case _:
            raise AssertionError(f"{order} is performed, not printed")


def _show(backend: IpvsBackend, order: Show) -> None:
    listed = backend.listing()
    if order.service is not None:
        listed = [one for one in listed if one.key == order.service]
        if not listed:
            raise OperationError(f"there is no service {order.service}")
    else:
        click.echo(tables.first_line(*backend.info()))
    shown = tables.in_order(listed) if order.sort else listed
    _lines(tables.table(shown, order.columns, _naming(order.numeric), exact=order.exact))


def _lines(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


# --- names ---------------------------------------------------------------------------------------


def _names() -> Names:
    def host(name: str) -> IPAddress:
        return ip_address(socket.getaddrinfo(name, None)[0][4][0])

    return Names(port=socket.getservbyname, host=host)


def _naming(numeric: bool) -> tables.Naming:
    if numeric:
        return tables.NUMERIC

    def host(address: IPAddress) -> str:
        try:
            return socket.gethostbyaddr(str(address))[0]
        except OSError:
            return tables.plain_host(address)

    def port(number: int, protocol: str) -> str:
        try:
            return socket.getservbyport(number, protocol.lower())
        except OSError:
            return str(number)

    return tables.Naming(host, port)
