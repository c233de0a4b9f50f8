"""Warnings that are given once per cause and source, not once per packet."""

from ipaddress import ip_address

from standfest.core.vrrp.effects import Alert, Effects, Warned
from standfest.model.vrrp import IPAddress

MAX_REMEMBERED = 16
"""Causes that have been told; beyond that the memory starts anew."""


class Warner:
    """Remembers what one instance has warned of."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._told: set[tuple[bytes, Warned]] = set()

    def forget(self) -> None:
        """Warn of everything again: the settings have changed."""
        self._told.clear()

    def about_router(self, kind: Warned, source: bytes) -> Effects:
        """Return a warning about a router, packed address, unless it has been given."""
        return self._once(kind, source, str(ip_address(source)), None)

    def about_address(self, kind: Warned, mac: bytes, address: IPAddress) -> Effects:
        """Return a warning about one of our addresses at another MAC, unless it has been given."""
        return self._once(kind, mac + address.packed, mac.hex(":"), address)

    def _once(self, kind: Warned, key: bytes, source: str, address: IPAddress | None) -> Effects:
        if (key, kind) in self._told:
            return []
        if len(self._told) >= MAX_REMEMBERED:
            self._told.clear()
        self._told.add((key, kind))
        return [Alert(self._instance, kind, source, address)]
