"""Which data plane is taken: the one that was named, or the first that suits and works here."""

import contextlib
import subprocess
from collections.abc import Callable
from pathlib import Path

from standfest.daemons.director.words import Words
from standfest.model.balancing import AUTO, BalancerSettings
from standfest.model.errors import OperationError
from standfest.ports.balancer import BalancerBackend
from standfest.runtime.balancer import suitability

TEMPLATES = Path("/proc/sys/net/ipv4/vs/expire_quiescent_template")
MODPROBE_S = 10.0


class UnsuitableError(OperationError):
    """No backend can do what is wanted; lines: why, one each."""

    def __init__(self, lines: tuple[str, ...]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


def choose(wanted: str, settings: BalancerSettings, words: Words) -> BalancerBackend:
    """Return the backend to work with, and say why it is this one; raises UnsuitableError.

    wanted: what the command line says; `auto` leaves it to the file, and that to us.
    """
    if wanted == AUTO:
        wanted = settings.backend
    names = suitability.order(settings) if wanted == AUTO else (wanted,)
    lines: list[str] = []
    for name in names:
        try:
            backend = make(name, settings)
        except OperationError as error:
            lines.append(f"backend {name} does not work here: {error}")
            continue
        missing = suitability.lacks(name, backend.capabilities(), settings)
        if not missing:
            words.say(_reason(name, wanted, lines))
            return backend
        lines += missing
        backend.close(keep=True)
    raise UnsuitableError(tuple(lines))


def make(name: str, settings: BalancerSettings) -> BalancerBackend:
    """Return a backend of this name; raises OperationError where it does not work."""
    maker = MAKERS.get(name)
    if maker is None:
        raise OperationError("it is not part of this installation")
    return maker(settings)


def _ipvs(_settings: BalancerSettings) -> BalancerBackend:
    from standfest.adapters.linux.ipvs import IpvsBackend  # noqa: PLC0415  only if it is taken

    try:
        backend = IpvsBackend()
    except OperationError:
        _load_module("ip_vs")
        backend = IpvsBackend()
    # A drained server gets no new connections of clients that persist there either.
    with contextlib.suppress(OSError):
        TEMPLATES.write_text("1\n")
    return backend


def _proxy(_settings: BalancerSettings) -> BalancerBackend:
    from standfest.adapters.linux.proxy import ProxyBackend  # noqa: PLC0415  only if it is taken

    return ProxyBackend()


def _nftables(_settings: BalancerSettings) -> BalancerBackend:
    from standfest.adapters.linux.nftables.backend import (  # noqa: PLC0415  only if it is taken
        NftablesBackend,
    )
    from standfest.core.balancer.slots import slots  # noqa: PLC0415

    return NftablesBackend(slots)


def _xdp(_settings: BalancerSettings) -> BalancerBackend:
    from standfest.adapters.linux.xdp.backend import XdpBackend  # noqa: PLC0415  only if taken
    from standfest.core.balancer.slots import slots  # noqa: PLC0415

    return XdpBackend(slots)


MAKERS: dict[str, Callable[[BalancerSettings], BalancerBackend]] = {
    "ipvs": _ipvs,
    "nftables": _nftables,
    "xdp": _xdp,
    "proxy": _proxy,
}


def _load_module(name: str) -> None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(
            ["modprobe", "-q", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=MODPROBE_S,
            check=False,
        )


def _reason(name: str, wanted: str, refused: list[str]) -> str:
    if wanted != AUTO:
        return f"Backend {name}, as asked for"
    why = f": {'; '.join(refused)}" if refused else ", the first choice"
    return f"Backend {name}{why}"
