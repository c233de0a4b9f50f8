"""What an instance says on the wire, prepared once and said often."""

from dataclasses import replace

from standfest.core.vrrp.judge import address_block
from standfest.model.advertisement import Advertisement
from standfest.model.vrrp import PRIORITY_RESIGN, AuthenticationType, InstanceSettings

SEQUENCES = 2**32


class Voice:
    """Our own advertisements; the same object again unless something in it changed."""

    def __init__(self, settings: InstanceSettings) -> None:
        self._settings = settings
        self._own: Advertisement | None = None
        self._sequence = 0
        self._numbered = (
            settings.version == 2 and settings.authentication.type is AuthenticationType.AH
        )

    def hears(self, sequence: int) -> None:
        """Continue the sequence that the Active before us counted (facts, section 4)."""
        self._sequence = max(self._sequence, sequence)

    def take_over(self, other: "Voice") -> None:
        """Continue the sequence of the voice that we replace."""
        self._sequence = other._sequence

    def advertisement(self, priority: int) -> Advertisement:
        """Return the next advertisement."""
        own = self._own
        if own is None or own.priority != priority:
            own = self._own = self._compose(priority)
        if self._numbered:
            self._sequence = (self._sequence + 1) % SEQUENCES
            return replace(own, sequence=self._sequence)
        return own

    def resignation(self, ahead: int) -> Advertisement:
        """Return an advertisement of priority 0 whose sequence is so far ahead; not counted."""
        sequence = (self._sequence + ahead) % SEQUENCES if self._numbered else 0
        return replace(self._compose(PRIORITY_RESIGN), sequence=sequence)

    def _compose(self, priority: int) -> Advertisement:
        settings = self._settings
        kind, secret = AuthenticationType.NONE, bytes(8)
        if settings.version == 2:
            kind = settings.authentication.type
        if kind is AuthenticationType.PASS:
            secret = settings.authentication.password[:8].ljust(8, b"\0")
        return Advertisement(
            settings.family,
            settings.version,
            settings.vrid,
            priority,
            settings.advert_interval,
            address_block(settings),
            int(kind),
            secret,
        )
