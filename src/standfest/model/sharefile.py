"""What the file of `standfest share` says, the same on every member."""

from dataclasses import dataclass
from typing import Final

from standfest.model.sharing import SharedAddress, SharingSettings, Target

DEFAULT_PORT: Final = 6942
"""Of the beats; UDP. Heartbeat's own is 694."""


@dataclass(frozen=True, slots=True)
class ShareFile:
    """One shared address with everything that its members must agree on.

    heartbeats: an IPv4 address of every member in their order, or nothing: beats are broadcast.
    authkeys: path as it stands in the file, relative to it. realtime: priority and locked memory.
    """

    shared: SharedAddress
    settings: SharingSettings
    target: Target
    port: int
    authkeys: str
    heartbeats: tuple[str, ...]
    realtime: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Return the members' names in their order."""
        return tuple(member.name for member in self.settings.members)
