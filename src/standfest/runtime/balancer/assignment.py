"""What one balancer is to do: its part of the configuration, as its process is handed it."""

from dataclasses import dataclass

from standfest.model.balancing import BalancerSettings
from standfest.model.director import DirectorSettings, GlobalSettings, TrackFile


@dataclass(frozen=True, slots=True)
class Assignment:
    """Services and their checks, and of the rest what scripts, mail and connection sync need.

    routers: names of virtual routers -> their numbers (VRID), for connection sync.
    """

    balancer: BalancerSettings
    globals: GlobalSettings = GlobalSettings()
    files: tuple[TrackFile, ...] = ()
    routers: tuple[tuple[str, int], ...] = ()

    @staticmethod
    def of(balancer: BalancerSettings, director: DirectorSettings) -> "Assignment":
        """Return the balancer's part of a configuration."""
        routers = tuple((one.name, one.vrid) for one in director.instances)
        return Assignment(balancer, director.globals, director.files, routers)
