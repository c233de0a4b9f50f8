"""`standfest share answer +N|-N ADDRESS`: what `echo +N > /proc/net/ipt_CLUSTERIP/ADDRESS` was.

By hand, for an address that the cluster's agent shares. Buckets are counted from 1 here, as in the
report (TUM-I0828 section 5.4.2).
"""

import re
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address

import click

from standfest.adapters.linux.shares import Shares
from standfest.adapters.linux.sharing.selection import choose, open_filter
from standfest.model.errors import OperationError
from standfest.model.sharing import Answering, Established

EXIT_REFUSED = 1
_CHANGE = re.compile(r"([+-])([0-9]{1,9})")


@click.command(name="answer", context_settings={"ignore_unknown_options": True})
@click.argument("change", metavar="+N|-N")
@click.argument("address")
@click.option(
    "--in-order",
    is_flag=True,
    help="With +N: the last owner lives and has let go; its connections are not reset.",
)
def answer(change: str, address: str, *, in_order: bool) -> None:
    """Answer bucket N, too, of an ADDRESS that the cluster's agent shares here, or no longer.

    The cluster does this by itself. By hand it is for a node that is surely dead: nobody else
    looks whether another node answers the same bucket.
    """
    try:
        click.echo(_changed(change, _address(address), in_order=in_order))
    except OperationError as error:
        click.echo(f"standfest: {error}", err=True)
        sys.exit(EXIT_REFUSED)


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError:
        raise click.UsageError(f"ADDRESS is {text}; expected an IP address") from None


def _changed(change: str, address: IPv4Address | IPv6Address, *, in_order: bool) -> str:
    found = _CHANGE.fullmatch(change)
    if found is None:
        raise click.UsageError(f"{change}; expected +N or -N, N from 1")
    taken, number = found[1] == "+", int(found[2])
    with Shares(choose, open_filter).made(address) as (made, buckets):
        most, stay = made.shared.layout.buckets, made.shared.established is Established.STAY
        if not 1 <= number <= most:
            raise OperationError(f"{address} has no bucket {number}; expected 1..{most}")
        now = buckets.look()
        if now is None:
            raise OperationError(f"{address} is not shared here any more")
        if (number - 1 in now.mine | now.orphaned) == taken:
            state = "already" if taken else "not"
            raise OperationError(f"bucket {number} of {address} is {state} answered here")
        buckets.open()
        buckets.answer(_after(now, number - 1, taken=taken, dead=not in_order, stay=stay), None)
        now = buckets.look() or Answering()
    told = ", ".join(str(bucket + 1) for bucket in sorted(now.mine | now.orphaned))
    return f"{address}: answers {told or 'none'} of {most}"


def _after(now: Answering, bucket: int, *, taken: bool, dead: bool, stay: bool) -> Answering:
    one = frozenset({bucket})
    if not taken:
        former = now.former | one if stay else now.former
        return Answering(now.mine - one, now.orphaned - one, former)
    mine = now.mine if dead else now.mine | one
    orphaned = now.orphaned | one if dead else now.orphaned
    return Answering(mine, orphaned, now.former - one)
